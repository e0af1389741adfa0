"""Trace of whole steps in one call: the model and the noise of record_endpoint.py."""

import importlib.util
from pathlib import Path

import stapes_spec as spec

HERE = Path(__file__).parent
STEPS = 25
WORDS = 3  # kept: fewer than some hypotheses have


def _endpoint():
    module_spec = importlib.util.spec_from_file_location("record_endpoint", HERE / "record_endpoint.py")
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


ENDPOINT = _endpoint()
DECODER = ENDPOINT.DECODER


def stepping(recorder):
    """Noise that comes and goes; what each step returns, its figures and words; then what is refused."""
    one = DECODER.Utterance(recorder, DECODER.AMPLE, model="tiny_endpointer.tflite")
    one.start()
    pointer = ENDPOINT.Pointer(one, "net")
    words = recorder.data(b"\xff" * (2 * WORDS))
    silence, nobody, blank = recorder.zeros(2 * DECODER.CHUNK), recorder.zeros(0), recorder.zeros(256)

    def step(samples, **other):
        parts = {
            "frontend": one.front,
            "samples": samples,
            "state": one.state,
            "model": one.model,
            "decoder": one.decoder,
            "graph": one.graph,
            "status": one.status,
            "words": words,
            "endpoint": pointer.state,
            "effort": spec.ARBITRATOR_EFFORT_PERCENT,
        }
        recorder.call("recognizer_step", *{**parts, **other}.values())
        recorder.expect(one.status)
        recorder.expect(words)

    for index in range(STEPS):
        piece = one.samples.piece(2 * DECODER.CHUNK * (index % 4), 2 * DECODER.CHUNK)
        step(silence if index % 14 > 4 else piece, **({"endpoint": nobody} if index % 9 == 8 else {}))
    step(silence, status=one.status.piece(0, 4 * spec.STATUS_INDEX_COUNT - 4))
    for name in ("state", "frontend", "decoder", "endpoint"):
        step(silence, **{name: blank})
    step(silence.piece(0, 2 * DECODER.CHUNK - 1))
    step(recorder.zeros(6 * DECODER.CHUNK))
    step(silence, effort=101)
    step(silence)


TRACES = {"recognizer": stepping}
