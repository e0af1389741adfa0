"""Traces of the log-softmax: several scales, random and extreme logits, faults."""

import random
import struct

SCALES = (0.0001, 0.05, 0.17, 1.0, 7.5)
REFUSED_BITS = (0, 0x7F800000, 0x7FC00000, 0x41000000, -0x80000000)


def logits():
    """Yield int8 logits as bytes."""
    source = random.Random(8)
    for count in (1, 40, 64):
        yield source.randbytes(count)
    yield bytes([128] * 64)
    yield bytes([127, 128] * 20)
    yield bytes([127] * 256)


def values(recorder):
    """Tables of five scales and log-probabilities with each."""
    inputs = [recorder.data(content) for content in logits()]
    outputs = recorder.zeros(512)
    table = recorder.zeros(1024)
    for scale in SCALES:
        recorder.call("log_softmax_table", struct.unpack("<i", struct.pack("<f", scale))[0], table)
        recorder.expect(table)
        for slot in inputs:
            recorder.call("log_softmax", slot, table, outputs)
            recorder.expect(outputs, 0, 2 * len(slot.buffer))


def faults(recorder):
    """What the log-softmax must refuse."""
    table = recorder.zeros(1024)
    for bits in REFUSED_BITS:
        recorder.call("log_softmax_table", bits, table)
    recorder.call("log_softmax_table", 0x3D000000, table.piece(0, 1020))
    recorder.call("log_softmax_table", 0x3D000000, table)
    recorder.call("log_softmax", recorder.zeros(257), table, recorder.zeros(514))
    recorder.call("log_softmax", recorder.zeros(8), table.piece(0, 1020), recorder.zeros(16))
    recorder.call("log_softmax", recorder.zeros(8), table, recorder.zeros(15))
    recorder.call("log_softmax", recorder.zeros(0), table, recorder.zeros(0))


TRACES = {"log_softmax": values, "log_softmax_faults": faults}
