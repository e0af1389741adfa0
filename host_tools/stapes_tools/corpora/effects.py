"""Single changes to a recording: speed, room, noise, level, clipping, band limit.

All take and give float32 [n] at 16 kHz, full scale 1.0, unless they say otherwise.
"""

from fractions import Fraction

import numpy as np
import stapes_spec
from scipy.signal import fftconvolve, firwin, resample_poly

SAMPLE_RATE = stapes_spec.AUDIO_SAMPLE_RATE_HZ
_FRAME = 480  # 30 ms
_ROOM_TAIL = 4000  # samples of reverberation kept after the end
_BAND_TAPS = 255


def from_int16(samples: np.ndarray) -> np.ndarray:
    """int16 [n] as float32, full scale 1.0."""
    return samples.astype(np.float32) / 32768.0


def to_int16(x: np.ndarray) -> np.ndarray:
    """float [n] as int16, rounded; what is beyond full scale is clipped."""
    return np.clip(np.round(x * 32768.0), -32768, 32767).astype(np.int16)


def change_speed(x: np.ndarray, speed: Fraction) -> np.ndarray:
    """Play faster (speed > 1) or slower: tempo, pitch and formants change together."""
    return resample_poly(x, speed.denominator, speed.numerator).astype(np.float32)


def add_room(x: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Reverberate by an impulse response, float32 [m], its peak first and its energy one."""
    return fftconvolve(x, room)[: x.size + _ROOM_TAIL]


def loudness(x: np.ndarray) -> float:
    """RMS of the loudest third of 30 ms frames, at least 1e-5: the level of speech, pauses left out."""
    energy = np.sort(np.mean(x[: x.size // _FRAME * _FRAME].reshape(-1, _FRAME) ** 2, axis=1))
    return float(np.sqrt(np.mean(energy[-(energy.size // 3 + 1) :])) if energy.size else 0.0) + 1e-5


def set_level(x: np.ndarray, level_db: float) -> np.ndarray:
    """Scale to a loudness in dB full scale (see `loudness`)."""
    return x * (10 ** (level_db / 20) / loudness(x))


def stretch_of(noise: np.ndarray, start: int, length: int) -> np.ndarray:
    """A stretch of a noise at unit RMS, repeated if the noise is too short."""
    return at_unit_rms(np.take(noise, np.arange(start, start + length), mode="wrap"))


def at_unit_rms(x: np.ndarray) -> np.ndarray:
    """Scale to an RMS of one; silence stays silent."""
    return x / (np.sqrt(np.mean(x**2)) + 1e-6)


def add_noise(x: np.ndarray, noise: np.ndarray, snr_db: float, start: int = 0) -> np.ndarray:
    """Add noise so that speech (see `loudness`) is snr_db above the noise's RMS."""
    return x + stretch_of(noise, start, x.size) * (loudness(x) * 10 ** (-snr_db / 20))


def clip(x: np.ndarray, over_db: float) -> np.ndarray:
    """Drive the peaks over_db beyond full scale and cut them there."""
    return np.clip(x * (10 ** (over_db / 20) / max(float(np.abs(x).max(initial=0.0)), 1e-5)), -1.0, 1.0)


def band_limit(x: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Keep what lies between two frequencies: 0 < low < high < 8000 Hz; linear phase, no delay."""
    taps = firwin(_BAND_TAPS, [low_hz, high_hz], pass_zero=False, fs=SAMPLE_RATE)
    return np.asarray(fftconvolve(x, taps, mode="full")[_BAND_TAPS // 2 :][: x.size], np.float32)
