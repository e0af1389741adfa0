"""Traces of the interpreter: models with every operator over random steps, and faults."""

import random
import struct
from pathlib import Path

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
    "model_faults": faults,
}
