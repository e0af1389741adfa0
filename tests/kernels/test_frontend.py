"""The front end: C equals its twin, any cutting of the samples gives the same, and float64 agrees."""

import mel_oracle
import numpy as np
import pytest
import stapes_spec as spec
from speech_signals import at_level, extreme_signals, speech_like
from stapes_tools.kernels import features as feature_tools

PRIOR = np.linspace(3000, 9000, 40).astype(np.int16)
ODD_CHUNKS = (7, 0, 393, 480, 1, 159, 161, 2400)


def run(kernels, samples, chunks, prior=PRIOR):
    """Return the features of samples handed over in chunks, and check each call's count."""
    state = bytearray(kernels.frontend_size())
    assert kernels.frontend_init(state, prior) == 0
    out, at = [], 0
    for size in chunks:
        chunk = samples[at : at + size]
        at += size
        features = bytearray(kernels.frontend_steps(state, len(chunk)) * spec.FRONTEND_FEATURE_SIZE)
        assert kernels.frontend_apply(state, chunk, features) * spec.FRONTEND_FEATURE_SIZE == len(features)
        out.append(bytes(features))
    assert at >= len(samples)
    return b"".join(out)


@pytest.mark.parametrize("name", extreme_signals(0))
def test_extreme_signals_equal_reference_in_any_chunks(native, reference, name):
    samples = extreme_signals()[name]
    whole = run(native, samples, [len(samples)])
    assert len(whole) == 4 * spec.FRONTEND_FEATURE_SIZE
    assert run(reference, samples, ODD_CHUNKS) == whole
    assert run(native, samples, ODD_CHUNKS) == whole
    assert run(native, samples, [1] * len(samples)) == whole


@pytest.mark.parametrize("level_dbfs", [-70, -40, -20, 0])
def test_speech_equals_reference(native, reference, level_dbfs):
    samples = at_level(speech_like(seed=level_dbfs + 100, samples=4800), level_dbfs)
    assert run(native, samples, (*ODD_CHUNKS, 2400)) == run(reference, samples, [4800])


def test_extreme_prior_equals_reference(native, reference):
    samples = extreme_signals()["noise"]
    for value in (-32768, 32767):
        prior = np.full(40, value, np.int16)
        assert run(native, samples, [2400], prior) == run(reference, samples, [2400], prior)


@pytest.mark.parametrize("level_dbfs", [-60, -40, -26, -12, -3])
def test_log_mel_is_close_to_float64(level_dbfs):
    samples = at_level(speech_like(seed=1, samples=32000), level_dbfs)
    expected = mel_oracle.log_mel(samples)
    error = np.abs(feature_tools.log_mel(samples) / 1024 - expected)
    audible = expected > 1
    # What lies within 50 dB of a frame's strongest band must be better.
    strong = audible & (expected > expected.max(axis=1, keepdims=True) - 16.6)
    assert strong.mean() > 0.1
    assert error[audible].mean() < 0.02
    assert error[strong].mean() < 0.005
    assert error[strong].max() < 0.3


def test_full_scale_sine_does_not_saturate():
    samples = (32767 * np.sin(2 * np.pi * 7000 / 16000 * np.arange(800))).astype(np.int16)
    log_mel = feature_tools.log_mel(samples)
    assert np.abs(log_mel.max(axis=1) / 1024 - mel_oracle.log_mel(samples).max(axis=1)).max() < 0.01
    assert log_mel.max() < 32767


def test_silence_is_zero_whatever_the_offset():
    for offset in (0, 1, -5, 32767, -32768):
        assert not feature_tools.log_mel(np.full(720, offset, np.int16)).any()


def test_microphone_offset_hardly_matters():
    samples = at_level(speech_like(seed=3, samples=8000), -30)
    shifted = feature_tools.log_mel((samples + 3000).astype(np.int16))
    difference = np.abs(shifted - feature_tools.log_mel(samples).astype(int))
    assert np.quantile(difference, 0.999) < 0.1 * 1024


def test_running_mean_starts_at_prior_and_forgets():
    """A steady tone's features start at log-mel minus prior and decay by the documented rates."""
    samples = np.tile(at_level(np.sin(2 * np.pi * 0.0625 * np.arange(160)), -20), 1000)
    log_mel = feature_tools.log_mel(samples)
    assert (log_mel[10:] == log_mel[10]).all()
    features = feature_tools.features(samples, PRIOR).reshape(-1, 40).astype(float)
    mean, count = PRIOR.astype(float), spec.FRONTEND_MEAN_PRIOR_FRAMES
    for row, frame in zip(features, log_mel, strict=False):
        count = min(count + 1, spec.FRONTEND_MEAN_MAX_FRAMES)
        mean += (frame - mean) / count
        expected = np.clip((frame - mean) / 2 ** (10 - spec.FRONTEND_FEATURE_FRACTION_BITS), -128, 127)
        assert np.abs(row - expected).max() < 1.0


def test_step_is_complete_when_documented(native):
    state = bytearray(native.frontend_size())
    native.frontend_init(state, PRIOR)
    for k in range(4):
        last = 480 * k + 320 + 400
        assert native.frontend_steps(state, last - 1) == k
        assert native.frontend_steps(state, last) == k + 1


def test_features_of_recordings_shorter_than_a_step():
    for length in (0, 1, 399, 719):
        samples = np.zeros(length, np.int16)
        assert feature_tools.features(samples, PRIOR).shape == (0, 120)
        assert feature_tools.log_mel(samples).shape == (max(0, (length - 400) // 160 + 1), 40)


def test_wrong_samples_are_refused():
    with pytest.raises(TypeError, match="int16"):
        feature_tools.log_mel(np.zeros(400))
    with pytest.raises(TypeError, match="prior"):
        feature_tools.features(np.zeros(400, np.int16), PRIOR[:39])


def test_faults_are_reported_alike(native, reference):
    for kernels in (native, reference):
        state = bytearray(kernels.frontend_size())
        samples = bytearray(2 * 720)
        assert kernels.frontend_steps(state, 1) == -spec.ERROR_STATE
        assert kernels.frontend_apply(state, samples, bytearray(120)) == -spec.ERROR_STATE
        assert kernels.frontend_init(state[:-4], PRIOR) == -spec.ERROR_BUFFER_SMALL
        assert kernels.frontend_init(state, PRIOR[:39]) == -spec.ERROR_ARGUMENT
        assert kernels.frontend_init(state, PRIOR) == 0
        assert kernels.frontend_steps(state, -1) == -spec.ERROR_ARGUMENT
        before = bytes(state)
        assert kernels.frontend_apply(state, samples, bytearray(119)) == -spec.ERROR_BUFFER_SMALL
        assert kernels.frontend_apply(state, bytes(3), bytearray(120)) == -spec.ERROR_ARGUMENT
        assert bytes(state) == before
        assert kernels.frontend_apply(state, samples, bytearray(121)) == 1
        assert kernels.frontend_logmel(bytes(799), bytearray(80)) == -spec.ERROR_ARGUMENT
        assert kernels.frontend_logmel(bytes(800), bytearray(79)) == -spec.ERROR_BUFFER_SMALL


def test_unaligned_buffers_are_refused(native):
    state = bytearray(native.frontend_size() + 4)
    unaligned = memoryview(bytearray(1444))[1:1441]
    assert native.frontend_init(memoryview(state)[2:], PRIOR) == -spec.ERROR_ARGUMENT
    assert native.frontend_init(state, PRIOR) == 0
    assert native.frontend_apply(state, unaligned, bytearray(120)) == -spec.ERROR_ARGUMENT
    assert native.frontend_logmel(unaligned, bytearray(80)) == -spec.ERROR_ARGUMENT
