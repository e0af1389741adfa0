"""Mixing speech with noise: the benchmark's formula to the last bit, the same stretch each time."""

import numpy as np
import pytest
import soundfile
from stapes_tools.errors import UserError
from stapes_tools.evaluate.noise import (
    CLEAN,
    FRAME,
    Condition,
    in_noise,
    loudest_frame_energy,
    mix,
    noise_stretch,
    read_noise,
    stretch_start,
)

HALF, QUARTER = 16384, 8192  # of full scale


def level(*values):
    """One frame of each value."""
    return np.repeat(np.array(values, np.int16), FRAME)


def benchmark_mix(speech, noise, snr_db, path):
    """The benchmark's arithmetic, written down anew: float64, and a 16-bit file that is read back."""
    speech, noise = speech / 32768, noise / 32768

    def energy(x):
        return max(float((x[k : k + 2048] ** 2).sum()) for k in range(0, len(x) - 2047, 2048))

    noisy = speech + np.sqrt(energy(speech) / (energy(noise) * 10 ** (snr_db / 10))) * noise
    soundfile.write(str(path), noisy / (2 * np.max(np.abs(noisy))), 16000)
    return soundfile.read(str(path), dtype="int16")[0]


def test_exact_numbers():
    speech, noise = level(HALF, 0), level(QUARTER, QUARTER)
    # At 0 dB the noise is doubled: 0.5 + 0.5 and 0 + 0.5, brought to 0.5 and 0.25.
    np.testing.assert_array_equal(mix(speech, noise, 0), level(16384, 8192))
    # At 20 dB it is a tenth of that: 0.55 and 0.05 become 0.5 and 0.5 / 11.
    np.testing.assert_array_equal(mix(speech, noise, 20), level(16384, 32768 // 22))


def test_the_loudest_whole_frame_counts():
    quiet_then_loud = np.concatenate([level(100, HALF, -200), np.full(FRAME - 1, 32767, np.int16)])
    assert loudest_frame_energy(quiet_then_loud / 32768) == FRAME / 4
    # Fewer samples than a frame are one.
    assert loudest_frame_energy(np.full(4, 0.5)) == 1.0


@pytest.mark.parametrize("snr_db", [24, 12, 6, 0, -3])
def test_the_benchmark_gives_the_same_samples(tmp_path, snr_db):
    chance = np.random.default_rng(snr_db + 100)
    speech = (chance.normal(0, 1, 9000) * np.hanning(9000) * 4000).astype(np.int16)
    noise = np.clip(chance.normal(0, 9000, 9000), -32768, 32767).astype(np.int16)
    expected = benchmark_mix(speech, noise, snr_db, tmp_path / "mix.wav")
    mixed = mix(speech, noise, snr_db)
    np.testing.assert_array_equal(mixed, expected)
    assert mixed.dtype == np.int16 and np.abs(mixed).max() == 16384


def test_silence():
    np.testing.assert_array_equal(mix(level(0), level(HALF), 6), level(0))
    with pytest.raises(ValueError, match="silent"):
        mix(level(HALF), level(0), 6)


def test_a_name_decides_where_the_noise_begins():
    noise = np.arange(30000, dtype=np.int16)
    starts = {name: stretch_start(name, len(noise), 10000) for name in map(str, range(200))}
    assert all(0 <= start < 20000 for start in starts.values())
    assert len(set(starts.values())) > 150 and max(starts.values()) > 19000
    np.testing.assert_array_equal(noise_stretch(noise, "7", 10000), noise[starts["7"] : starts["7"] + 10000])
    assert starts["7"] == stretch_start("7", len(noise), 10000) == 13230


@pytest.mark.parametrize("length", [100, 101, 250])
def test_noise_that_is_too_short_is_repeated(length):
    noise = np.arange(100, dtype=np.int16)
    stretch = noise_stretch(noise, "a", length)
    np.testing.assert_array_equal(stretch, (stretch[0] + np.arange(length)) % 100)


def test_in_noise(tmp_path):
    noise = np.random.default_rng(1).integers(-9000, 9000, 16000 * 121).astype(np.int16)
    path = tmp_path / "kitchen.wav"
    soundfile.write(str(path), noise, 16000)
    speech = level(0, HALF, -HALF, 0)
    six, again = (in_noise(speech, "a", Condition(path, 6.0)) for _ in range(2))
    np.testing.assert_array_equal(six, again)
    np.testing.assert_array_equal(six, mix(speech, noise_stretch(noise, "a", len(speech)), 6.0))
    np.testing.assert_array_equal(in_noise(speech, "a", CLEAN), speech)
    assert str(Condition(path, 6.0)) == "kitchen, 6 dB" and str(CLEAN) == "clean"


def test_noise_that_is_silent_where_it_is_needed(tmp_path):
    path = tmp_path / "gap.wav"
    soundfile.write(str(path), np.zeros(16000, np.int16), 16000)
    with pytest.raises(UserError, match=r"gap.wav: the noise is silent from .* mixed with a; cut the silence out"):
        in_noise(level(HALF), "a", Condition(path, 6.0))
    with pytest.raises(UserError, match=r"none.wav: there is no such file"):
        read_noise(tmp_path / "none.wav")


def test_noise_alone_before_the_speech_is_as_loud_as_beside_it():
    rng = np.random.default_rng(2)
    noise = rng.integers(-3000, 3000, 12000).astype(np.int16)
    noise[500:600] *= 9
    speech = rng.integers(-HALF, HALF, 8000).astype(np.int16)
    whole, plain = mix(speech, noise, 6.0), mix(speech, noise[4000:], 6.0)
    np.testing.assert_array_equal(whole[4000:], plain)
    beside = np.linalg.lstsq(np.stack([speech, noise[4000:]], 1).astype(float), plain.astype(float), rcond=None)[0][1]
    loud = np.abs(noise[:4000] * beside) > 32767
    np.testing.assert_allclose(whole[:4000][~loud], noise[:4000][~loud] * beside, atol=1.5)  # rounded down
    assert not mix(level(0), level(HALF, HALF), 6).any()
    with pytest.raises(ValueError, match="silent"):
        mix(level(HALF), level(HALF, 0), 6)


def test_the_lead_is_what_stands_before_the_stretch(tmp_path):
    noise = np.arange(30000, dtype=np.int16)
    stretch = noise_stretch(noise, "7", 10000, 14000)
    np.testing.assert_array_equal(stretch[14000:], noise_stretch(noise, "7", 10000))
    np.testing.assert_array_equal(stretch[:14000], (13230 - 14000 + np.arange(14000)) % 30000)
    speech = level(0, HALF)
    np.testing.assert_array_equal(in_noise(speech, "a", CLEAN, 5), np.concatenate([np.zeros(5, np.int16), speech]))
