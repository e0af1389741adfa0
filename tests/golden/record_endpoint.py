"""Traces of the end-pointers: the tiny model of record_decoder.py, with a net of random weights, listens to noise.

tiny_endpointer.tflite is tests/kernels/endpoint_runner.with_random_net(tiny_model.tflite, 5, DECIDING), kept as a
file because it comes out of floating-point arithmetic.
"""

import importlib.util
import struct
from pathlib import Path

import stapes_spec as spec

HERE = Path(__file__).parent
STEPS = 25


def _decoder():
    module_spec = importlib.util.spec_from_file_location("record_decoder", HERE / "record_decoder.py")
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


DECODER = _decoder()
# The fields of layout.endpoint but the reserved one, so chosen that each verdict comes.
DECIDING = (0, 60, -30, 1, 4, 6, 4, 9, 12, 5, 3)
HASTY = (*DECIDING[:5], 2, 2, 2, 3, 5, 1)  # a net of random weights seldom keeps silent
RULES = {"energy": (0, *DECIDING), "trailing": (1, *HASTY), "net": (2, *DECIDING)}


class Pointer:
    """An end-pointer beside an utterance."""

    def __init__(self, utterance, rule):
        self.utterance, self.recorder = utterance, utterance.recorder
        values = RULES[rule]
        self.settings = self.recorder.data(struct.pack(f"<{len(values)}i", *values))
        self.figures = self.recorder.zeros(4 * spec.ENDPOINT_STATUS_INDEX_COUNT)
        self.state = self.recorder.sized("endpoint_size")
        self.recorder.call("endpoint_init", self.state, utterance.state, utterance.model, self.settings)

    def look(self):
        """The verdict on a step, and its figures."""
        one = self.utterance
        self.recorder.call("endpoint_step", self.state, one.decoder, one.state, one.model, one.graph)
        self.recorder.call("endpoint_status", self.state, self.figures)
        self.recorder.expect(self.figures)


def deciding(recorder):
    """Noise that comes and goes, looked at by all rules after every step; then what they must refuse."""
    utterance = DECODER.Utterance(recorder, DECODER.AMPLE, model="tiny_endpointer.tflite")
    utterance.start()
    pointers = [Pointer(utterance, rule) for rule in RULES]
    silence = recorder.zeros(2 * DECODER.CHUNK)
    for index in range(STEPS):
        piece = utterance.samples.piece(2 * DECODER.CHUNK * (index % 4), 2 * DECODER.CHUNK)
        if utterance.hear_chunk(silence if index % 14 > 4 else piece):
            for pointer in pointers:
                pointer.look()
    faults(recorder, pointers[-1])


def faults(recorder, pointer):
    """What an end-pointer with a net must refuse."""
    one = pointer.utterance
    good = one.state, one.model
    for index, value in ((0, 3), (1, 129), (2, -129), (4, 0), (6, 256), (11, -1)):
        values = list(RULES["net"])
        values[index] = value
        recorder.call("endpoint_init", pointer.state, *good, recorder.data(struct.pack("<12i", *values)))
    recorder.call("endpoint_init", pointer.state.piece(0, 64), *good, pointer.settings)
    recorder.call("endpoint_init", pointer.state, *good, pointer.settings.piece(0, 40))
    blank = recorder.zeros(256)
    recorder.call("endpoint_step", blank, one.decoder, *good, one.graph)
    recorder.call("endpoint_status", blank, pointer.figures)
    recorder.call("endpoint_status", pointer.state, pointer.figures.piece(0, 64))
    recorder.call("endpoint_step", pointer.state, blank, *good, one.graph)


TRACES = {"endpoint": deciding}
