"""Traces of the interpreter: models with every operator over random steps, and faults."""

import binascii
import random
import struct
from pathlib import Path

import stapes_spec as spec

MODELS = Path(__file__).parent / "models"
STEPS = 6
FREE_INPUT_LIMIT = {"predictor": 3}  # indices into its table of units


def free_input(source, name, size):
    """Random bytes of a subgraph's first input; the predictor's are int32 indices, the classifier's float32."""
    if name in FREE_INPUT_LIMIT:
        return b"".join(source.randrange(FREE_INPUT_LIMIT[name]).to_bytes(4, "little") for _ in range(size // 4))
    if name == "classifier":
        return b"".join(struct.pack("<f", source.uniform(-9, 9)) for _ in range(size // 4))
    return source.choice((source.randbytes(size), bytes([127]) * size, bytes([128]) * size))


def run_subgraph(recorder, state, model, name, source):
    """A few steps of one subgraph: every first output."""
    index = recorder.call("model_subgraph", state, model, recorder.data(name.encode()))
    into = recorder.call("model_tensor", state, model, index, 0, 0)
    size = recorder.call("model_tensor_size", state, model, index, 0, 0)
    out = recorder.call("model_tensor", state, model, index, 1, 0)
    out_size = recorder.call("model_tensor_size", state, model, index, 1, 0)
    for _ in range(STEPS):
        recorder.write(state, into, free_input(source, name, size))
        recorder.call("model_invoke", state, model, index)
        recorder.expect(state, out, out_size)


def steps(file, names=("encoder", "predictor", "lstm")):
    """Return the trace of one model's subgraphs."""

    def record(recorder):
        source = random.Random(file)
        model, info = recorder.data((MODELS / file).read_bytes()), recorder.zeros(16)
        state = recorder.sized("model_size", model, info)
        recorder.call("model_size", model, info)
        recorder.call("model_init", state, model, info)
        recorder.expect(info)
        recorder.expect(state)
        for name in names:
            run_subgraph(recorder, state, model, name, source)
        recorder.call("model_reset", state, model)
        recorder.expect(state)

    return record


def branches(recorder):
    """Two encoders and an arbitrator: which one runs at efforts that change, what comes out, and strange efforts."""
    source = random.Random("branches")
    model, info = recorder.data((MODELS / "branches.tflite").read_bytes()), recorder.zeros(16)
    state = recorder.sized("model_size", model, info)
    recorder.call("model_size", model, info)
    recorder.call("model_init", state, model, info)
    recorder.expect(state)
    index = recorder.call("model_subgraph", state, model, recorder.data(b"encoder_light"))
    places = [recorder.call("model_tensor", state, model, index, output, 0) for output in (0, 1)]
    size = recorder.call("model_tensor_size", state, model, index, 0, 0)
    for effort in (50, 0, 100, -1, 101, 30, 80):
        for _ in range(4):
            recorder.write(state, places[0], source.randbytes(size))
            recorder.call("encoder_step", state, model, effort)
            recorder.expect(state, places[1], size)
    for effort in range(101):
        recorder.call("encoder_step", state, model, effort)
    recorder.expect(state)


def branch_faults(recorder):
    """Branches that do not fit each other: a part has another name, or a scale of 1/16 is 1/8."""
    content = (MODELS / "branches.tflite").read_bytes()
    model, info = recorder.data(content), recorder.zeros(16)
    changes = [(content.index(name), b"?") for name in (b"encoder_light", b"arbitrator")]
    scale = struct.pack("<f", 1 / 16)
    places = [at for at in range(0, len(content), 4) if content[at : at + 4] == scale]
    changes += [(at, struct.pack("<f", 1 / 8)) for at in places]
    crc = content.index(spec.MAGIC_METADATA.encode()) + spec.METADATA_FILE_CRC_OFFSET
    for at, value in changes:
        recorder.write(model, at, value)
        recorder.write(model, crc, bytes(4))
        recorder.write(model, crc, struct.pack("<I", binascii.crc32(model.buffer)))
        recorder.call("model_size", model, info)
        recorder.expect(info)
        recorder.write(model, at, content[at : at + len(value)])


def faults(recorder):
    """What the interpreter must refuse: cut and changed files, a small state, strange arguments."""
    content = (MODELS / "every_operator.tflite").read_bytes()
    model, info = recorder.data(content), recorder.zeros(16)
    state = recorder.sized("model_size", model, info)
    for length in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        recorder.call("model_size", model.piece(0, length), info)
        recorder.expect(info)
    recorder.call("model_invoke", state, model, 0)
    recorder.call("model_init", state.piece(0, 16), model, info)
    recorder.call("model_init", state.piece(0, len(state.buffer) - 8), model, info)
    recorder.call("model_init", state, model, info)
    recorder.call("model_subgraph", state, model, recorder.data(b"decoder"))
    for arguments in ((0, 0, 9), (7, 0, 0), (0, 2, 0), (-1, 0, 0)):
        recorder.call("model_tensor", state, model, *arguments)
    recorder.call("model_invoke", state, model, 3)
    recorder.call("model_invoke", state, model.piece(0, len(content) - 1), 0)
    for at in (5, 40, len(content) // 3):
        recorder.write(model, at, bytes([content[at] ^ 0x10]))
        recorder.call("model_size", model, info)
        recorder.expect(info)
        recorder.write(model, at, content[at : at + 1])
    recorder.call("model_size", model, info)


TRACES = {
    "model_every_operator": steps("every_operator.tflite"),
    "model_copied_state": steps("copied_state.tflite"),
    "model_int4": steps("int4.tflite", ["encoder"]),
    "model_packed": steps("packed.tflite", ["encoder"]),
    "model_audio_operators": steps("audio_operators.tflite", ["classifier"]),
    "model_packed_lstm": steps("packed_lstm.tflite", ["encoder"]),
    "model_branches": branches,
    "model_branch_faults": branch_faults,
    "model_faults": faults,
}
