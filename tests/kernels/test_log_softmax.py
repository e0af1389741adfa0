"""The log-softmax: C equals its twin, and both lie within 2 in the last place of float64."""

import numpy as np
import pytest
import stapes_spec as spec

RANDOM = np.random.default_rng(5)
SCALES = np.concatenate([np.exp(RANDOM.uniform(np.log(1e-4), np.log(7.9), 60)), [2.0**-60, 1e-6, 0.125, 7.99999]])


def bits(scale):
    return int(np.float32(scale).view(np.uint32))


def make_table(kernels, scale):
    table = np.zeros(256, np.int32)
    assert kernels.log_softmax_table(bits(scale), table) == 0
    return table


def apply(kernels, logits, table):
    log_probs = np.zeros(len(logits), np.int16)
    assert kernels.log_softmax(logits, table, log_probs) == 0
    return log_probs


def cases():
    """Yield logits, int8 [n]: random, all equal, and the two ends of the range."""
    for n in (1, 2, 40, 64, 256):
        for deviation in (3, 30, 100):
            yield np.clip(RANDOM.normal(0, deviation, n), -128, 127).astype(np.int8)
        for fill in (-128, 0, 127):
            yield np.full(n, fill, np.int8)
    yield np.array([-128, 127], np.int8)


@pytest.mark.parametrize("scale", SCALES)
def test_equals_reference_and_float64(native, reference, scale):
    table = make_table(native, scale)
    assert (table == make_table(reference, scale)).all()
    for logits in cases():
        found = apply(native, logits, table)
        assert (found == apply(reference, logits, table)).all()
        scaled = logits.astype(float) * float(np.float32(scale))
        scaled -= scaled.max()
        expected = np.maximum(scaled - np.log(np.exp(scaled).sum()), -32)
        assert np.abs(found - 1024 * expected).max() <= 2


def test_table_holds_exponentials(native):
    scale = float(np.float32(0.1))
    table = make_table(native, scale)
    assert table[0] == round(scale * 2**20)
    assert np.abs(table[1:] / 2**23 - np.exp(-scale * np.arange(1, 256))).max() < 2e-6


@pytest.mark.parametrize("scale", [0.0, -0.1, 8.0, np.inf, -np.inf, np.nan, 1e-45])
def test_impossible_scales_are_refused(native, reference, scale):
    pattern = int(np.float32(scale).view(np.int32))
    for kernels in (native, reference):
        assert kernels.log_softmax_table(pattern, np.zeros(256, np.int32)) == -spec.ERROR_ARGUMENT


def test_faults_are_reported_alike(native, reference):
    for kernels in (native, reference):
        table = make_table(kernels, 0.1)
        assert kernels.log_softmax_table(bits(0.1), np.zeros(255, np.int32)) == -spec.ERROR_BUFFER_SMALL
        assert kernels.log_softmax(bytes(257), table, bytearray(514)) == -spec.ERROR_ARGUMENT
        assert kernels.log_softmax(bytes(8), table[:255], bytearray(16)) == -spec.ERROR_ARGUMENT
        assert kernels.log_softmax(bytes(8), table, bytearray(15)) == -spec.ERROR_BUFFER_SMALL
        assert kernels.log_softmax(b"", table, bytearray()) == 0
