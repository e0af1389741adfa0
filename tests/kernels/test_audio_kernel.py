"""The microphone's audio path: C equals its twin; the high-pass, the gain and the levels are what they are called."""

import numpy as np
import pytest
import stapes_spec as spec

RATE = spec.AUDIO_SAMPLE_RATE_HZ
LEVELS = spec.AUDIO_LEVEL_INDEX_COUNT
RANDOM = np.random.default_rng(3)


def config(shift=0, bits=24, binary=0, gain=0, pole=8):
    return np.array([shift, bits, binary, gain, pole], np.int32)


def started(kernels, settings):
    state = bytearray(kernels.audio_size())
    assert kernels.audio_init(state, settings) == 0
    return state


def apply(kernels, state, words):
    words = np.ascontiguousarray(words, np.uint32)
    samples = np.zeros(len(words), np.int16)
    assert kernels.audio_apply(state, words, samples) == len(words)
    return samples


def levels(kernels, state):
    found = np.zeros(LEVELS, np.int32)
    assert kernels.audio_levels(state, found) == 0
    return found


def slots(values):
    """24-bit values as the words of I2S slots."""
    return (np.asarray(values, np.int64) << 8 & 0xFFFFFFFF).astype(np.uint32)


@pytest.mark.parametrize("seed", range(25))
def test_equals_the_reference_in_any_cut(native, reference, seed):
    random = np.random.default_rng(seed)
    settings = config(
        random.integers(0, 32), random.integers(8, 25), seed % 2, random.integers(0, 15), random.integers(4, 13)
    )
    ours, twin = started(native, settings), started(reference, settings)
    for count in (0, 1, 2, 317, 33):
        words = random.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
        if seed % 5 == 0:
            words = np.where(random.random(count) < 0.5, 0x7FFFFFFF, 0x80000000)
        assert (apply(native, ours, words) == apply(reference, twin, words)).all()
        if count % 2:
            assert (levels(native, ours) == levels(reference, twin)).all()


def test_cuts_do_not_matter(native):
    words = slots(RANDOM.integers(-(1 << 20), 1 << 20, 700))
    whole = apply(native, started(native, config(gain=3)), words)
    state = started(native, config(gain=3))
    pieces = [apply(native, state, piece) for piece in np.split(words, [1, 2, 99, 480])]
    assert (np.concatenate(pieces) == whole).all()


def test_constant_offset_is_gone_from_the_first_sample_on(native):
    offset = 700_000
    tone = 30_000 * np.sin(np.arange(4000) * 2 * np.pi * 500 / RATE)
    with_offset = apply(native, started(native, config(gain=4)), slots(np.rint(tone) + offset))
    without = apply(native, started(native, config(gain=4)), slots(np.rint(tone)))
    assert np.abs(with_offset.astype(int) - without).max() <= 1
    assert not apply(native, started(native, config(gain=14)), slots([offset] * 500)).any()


def test_high_pass_is_one_pole(native):
    """Against the same filter in double precision, and its corner: 3 dB down at 10 Hz."""
    values = np.rint(RANDOM.normal(0, 200_000, 3000)) + 500_000
    expected, mean = [], values[0]
    for value in values:
        expected.append((value - mean) / 256)
        mean += (value - mean) / 256
    found = apply(native, started(native, config()), slots(values))
    assert np.abs(found - np.array(expected)).max() < 0.6
    hertz = RATE / (2 * np.pi * 256)
    tone = 4_000_000 * np.sin(np.arange(RATE) * 2 * np.pi * hertz / RATE)
    heard = apply(native, started(native, config()), slots(np.rint(tone)))[RATE // 2 :]
    assert 20 * np.log10(np.std(heard) / np.std(tone[RATE // 2 :] / 256)) == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize("gain", [0, 4, 14])
def test_gain_rounds_and_saturates(native, gain):
    """An impulse after a long silence, so that the offset is 0."""
    for value in (1, -1, 127, 128, 129, -128, 8_388_607, -8_388_608):
        state = started(native, config(gain=gain))
        apply(native, state, slots([0] * 4))
        found = int(apply(native, state, slots([value]))[0])
        exact = value * 2**gain / 256
        assert found == max(-32768, min(32767, int(np.floor(exact + 0.5))))
        assert levels(native, state)[spec.AUDIO_LEVEL_INDEX_CLIPPED] == (not -32768.5 <= exact < 32767.5)


def test_bits_that_are_no_sound_do_not_count(native):
    values = RANDOM.integers(-(1 << 22), 1 << 22, 300)
    clean, dirty = slots(values), slots(values) | RANDOM.integers(0, 256, 300).astype(np.uint32)
    assert (apply(native, started(native, config()), clean) == apply(native, started(native, config()), dirty)).all()
    late = (clean >> 1) | (RANDOM.integers(0, 2, 300) << 31).astype(np.uint32)
    assert (
        apply(native, started(native, config(shift=1)), late) == apply(native, started(native, config()), clean)
    ).all()


def test_readings_of_an_adc(native):
    readings = 2048 + np.rint(900 * np.sin(np.arange(2000) * 0.2)).astype(np.int64)
    found = apply(native, started(native, config(shift=20, bits=12, binary=1)), readings)
    assert np.abs(found[1000:] - 16 * (readings[1000:] - 2048)).max() < 400


def test_levels_tell_silence_a_stuck_line_and_clipping(native):
    state = started(native, config(gain=4))
    apply(native, state, slots([0] * 480))
    found = levels(native, state)
    assert found.tolist() == [480, 0, 0, 0, 1, 480, 0]
    apply(native, state, slots([0] * 480))
    assert levels(native, state)[spec.AUDIO_LEVEL_INDEX_CHANGES] == 0
    apply(native, state, np.full(480, 0xFFFFFFFF))
    found = levels(native, state)
    assert (found[spec.AUDIO_LEVEL_INDEX_CHANGES], found[spec.AUDIO_LEVEL_INDEX_ZEROS]) == (1, 0)
    apply(native, state, slots([8_000_000, -8_000_000] * 240))
    found = levels(native, state)
    assert found[spec.AUDIO_LEVEL_INDEX_CLIPPED] == 480
    assert found[spec.AUDIO_LEVEL_INDEX_PEAK] == 32768
    assert found[spec.AUDIO_LEVEL_INDEX_MAGNITUDE] == 240 * (32767 + 32768)
    assert levels(native, state)[: spec.AUDIO_LEVEL_INDEX_OFFSET].tolist() == [0] * 6


def test_a_window_that_nobody_takes_does_not_overflow(native, reference):
    for kernels in (native, reference):
        state = started(kernels, config(gain=14))
        words = slots([8_000_000, -8_000_000] * 17_000)
        for _ in range(2):
            apply(kernels, state, words)
        found = levels(kernels, state)
        assert found[spec.AUDIO_LEVEL_INDEX_SAMPLES] == spec.AUDIO_WINDOW_SAMPLES
        assert found[spec.AUDIO_LEVEL_INDEX_MAGNITUDE] > 2_000_000_000


# --- PDM --------------------------------------------------------------------------------------


def decimated(kernels, words):
    state = bytearray(kernels.pdm_size())
    assert kernels.pdm_init(state) == 0
    words = np.ascontiguousarray(words, np.uint32)
    samples = np.zeros(len(words) // 2, np.int32)
    assert kernels.pdm_apply(state, words, samples) == len(samples)
    return samples


def modulated(level):
    """Bits of a first-order sigma-delta modulator, 64 to a sample."""
    bits, rest = np.zeros(64 * len(level), np.uint8), 0.0
    for k, value in enumerate(np.repeat(level, 64)):
        rest += value
        if rest >= 0:
            bits[k] = 1
            rest -= 1
        else:
            rest += 1
    return np.packbits(bits).view(">u4").astype(np.uint32)


def test_pdm_equals_the_reference(native, reference):
    words = RANDOM.integers(0, 1 << 32, 300, dtype=np.uint64).astype(np.uint32)
    assert (decimated(native, words) == decimated(reference, words)).all()
    for word in (0, 0xFFFFFFFF, 0x55555555):
        assert (decimated(native, np.full(80, word)) == decimated(reference, np.full(80, word))).all()


def test_pdm_may_be_done_in_place(native):
    words = RANDOM.integers(0, 1 << 32, 96, dtype=np.uint64).astype(np.uint32)
    expected = decimated(native, words)
    state = bytearray(native.pdm_size())
    native.pdm_init(state)
    assert native.pdm_apply(state, words, words) == 48
    assert (words[:48].view(np.int32) == expected).all()


@pytest.mark.parametrize(("hertz", "least_db", "most_db"), [(100, -0.1, 0.1), (3000, -0.1, 0.1), (6000, -0.2, 0.2)])
def test_pdm_passes_speech_as_it_is(native, hertz, least_db, most_db):
    level = 0.5 * np.sin(2 * np.pi * hertz * np.arange(1600) / RATE)
    found = decimated(native, modulated(level))[400:] / 2**31
    turn = np.exp(-2j * np.pi * hertz * np.arange(400, 1600) / RATE)
    amplitude = 2 * abs(np.mean(found * turn))
    # Each level lasts 64 bits in this test's modulator.
    held = np.sinc(hertz / RATE)
    assert least_db < 20 * np.log10(amplitude / 0.5 / held) < most_db


def test_pdm_response_beyond_8_khz(reference):
    """What would fold into speech is 45 dB down from 9.4 kHz on: it folds to 6.6 kHz and above."""
    from stapes_reference.tables import PDM

    taps = np.concatenate([PDM, PDM[::-1]]) / 32768
    hertz = np.arange(9400, 32000, 50)
    fir = np.abs(np.exp(-2j * np.pi * np.outer(hertz, np.arange(64)) / 64000) @ taps)
    cic = np.abs(np.sin(np.pi * hertz / 64000) / (16 * np.sin(np.pi * hertz / 64000 / 16))) ** 4
    assert 20 * np.log10((fir * cic).max()) < -45
    assert sum(np.abs(np.concatenate([PDM, PDM]).astype(int))) * 32768 < 2**31
