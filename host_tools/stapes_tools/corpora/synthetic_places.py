"""Noises and rooms made from random numbers, where no recordings of real ones are at hand.

Reference: J. Allen, D. Berkley, Image Method for Efficiently Simulating Small-Room Acoustics, JASA 1979,
is what these rooms do not attempt: a room here is a direct sound and decaying noise, which has the
reverberation time and the ratio of direct to reverberant sound, and nothing else.
"""

import numpy as np
import stapes_spec
from scipy.signal import lfilter

SAMPLE_RATE = stapes_spec.AUDIO_SAMPLE_RATE_HZ
_NOISE_S = 10.0


def make_noises(count: int, seed: int) -> list[np.ndarray]:
    """Fans, hums, rattling and wind: float32 [160000] each, about unit RMS."""
    makers = (_steady, _hum, _rattle, _gusts)
    noises = []
    for index in range(count):
        noise = makers[index % len(makers)](np.random.default_rng([seed, index]))
        noises.append((noise / (np.sqrt(np.mean(noise**2)) + 1e-9)).astype(np.float32))
    return noises


def make_rooms(count: int, seed: int) -> list[np.ndarray]:
    """Impulse responses with unit energy, direct sound first: float32, 60 dB down after 0.12 to 0.7 s."""
    rooms = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        reverberation_s, direct_db = rng.uniform(0.12, 0.7), rng.uniform(-3.0, 12.0)
        time = np.arange(int(reverberation_s * SAMPLE_RATE)) / SAMPLE_RATE
        # Walls swallow the highs first.
        tail = _coloured(rng.standard_normal(time.size), rng.uniform(0.1, 0.6)) * 10 ** (-3.0 * time / reverberation_s)
        tail[: int(rng.uniform(0.001, 0.008) * SAMPLE_RATE)] = 0.0
        tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2) + 1e-9)
        tail[0] = 1.0
        rooms.append((tail / np.sqrt(np.sum(tail**2))).astype(np.float32))
    return rooms


def _samples() -> int:
    return int(_NOISE_S * SAMPLE_RATE)


def _coloured(x: np.ndarray, pole: float) -> np.ndarray:
    return np.asarray(lfilter([1.0 - pole], [1.0, -pole], x))


def _steady(rng: np.random.Generator) -> np.ndarray:
    """A fan or a tap: noise of one colour."""
    return _coloured(rng.standard_normal(_samples()), rng.uniform(0.0, 0.98))


def _hum(rng: np.random.Generator) -> np.ndarray:
    """A motor: a low tone with harmonics, over noise."""
    time = np.arange(_samples()) / SAMPLE_RATE
    pitch = rng.uniform(45, 240) * (1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.1, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    tones = sum(rng.uniform(0, 1) / k * np.sin(k * phase + rng.uniform(0, 6.28)) for k in range(1, 20))
    return np.asarray(tones) + rng.uniform(0.1, 1.0) * _steady(rng)


def _rattle(rng: np.random.Generator) -> np.ndarray:
    """Dishes: short ringing strokes, over quiet noise."""
    out = rng.uniform(0.01, 0.1) * _steady(rng)
    for start in rng.integers(0, _samples() - 8000, rng.integers(20, 120)):
        time = np.arange(rng.integers(400, 8000)) / SAMPLE_RATE
        ringing = sum(np.sin(2 * np.pi * rng.uniform(300, 7000) * time) for _ in range(4))
        out[start : start + time.size] += rng.exponential(1.0) * ringing * np.exp(-time * rng.uniform(10, 120))
    return out


def _gusts(rng: np.random.Generator) -> np.ndarray:
    """Wind and traffic: noise that swells and fades."""
    swell = _coloured(rng.standard_normal(_samples()), 0.9997)
    return _steady(rng) * np.exp(1.5 * swell / (np.std(swell) + 1e-9))
