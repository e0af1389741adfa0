"""Make one recording sound as if taken elsewhere: speed, room, spectrum, silence, level and noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import fftconvolve, lfilter, resample_poly

SAMPLE_RATE = 16000


@dataclass(frozen=True)
class Surroundings:
    """What recordings are mixed with: float32 noises and room impulse responses, 16 kHz."""

    noises: Sequence[np.ndarray]
    rooms: Sequence[np.ndarray]

    @classmethod
    def read(cls, noise_files: Sequence[Path], room_files: Sequence[Path]) -> "Surroundings":
        """Load both; impulse responses are cut before their peak, so that rooms add no delay, and given unit energy."""
        noises = [soundfile.read(path, dtype="float32")[0] for path in noise_files]
        rooms = []
        for path in room_files:
            room = soundfile.read(path, dtype="float32")[0]
            room = room[int(np.abs(room).argmax()) :]
            rooms.append(room / np.sqrt(np.sum(room**2)))
        return cls(noises, rooms)


def augment(samples: np.ndarray, surroundings: Surroundings, rng: np.random.Generator) -> np.ndarray:
    """Vary one recording.

    Speed (with pitch and formants) 0.85 to 1.15, a room in 40 % of cases, a spectral tilt and
    sometimes a band limit, silence of 0.1 to 1 s before and after, a level of -34 to -14 dB full
    scale (RMS of the loud parts), noise at 0 to 30 dB in two thirds of the cases, a quiet noise floor always,
    and clipped peaks now and then.

    Args:
        samples: int16 [n], 16 kHz; n > 0.
        surroundings: noises and rooms to choose from.
        rng: source of all choices.
    Returns:
        int16 [m].
    """
    x = samples.astype(np.float32) / 32768.0
    speed = Fraction(int(rng.integers(17, 24)), 20)
    x = resample_poly(x, speed.denominator, speed.numerator).astype(np.float32)
    if surroundings.rooms and rng.random() < 0.4:
        x = fftconvolve(x, surroundings.rooms[int(rng.integers(len(surroundings.rooms)))])[: x.size + 4000]
    x = _colour(x, rng)
    before, after = (rng.uniform(0.1, 1.0, 2) * SAMPLE_RATE).astype(int)
    loud = _loudness(x)
    x = np.concatenate([np.zeros(before, np.float32), x, np.zeros(after, np.float32)])
    x = x * (10 ** (rng.uniform(-34, -14) / 20) / loud)
    level = _loudness(x)
    if surroundings.noises and rng.random() < 0.65:
        x = x + _noise(x.size, surroundings.noises, rng) * (level * 10 ** (-rng.uniform(0, 30) / 20))
    floor = level * 10 ** (-rng.uniform(30, 60) / 20)
    x = x + _colour(rng.standard_normal(x.size).astype(np.float32), rng) * floor
    if rng.random() < 0.05:
        x = x * (10 ** (rng.uniform(0, 12) / 20) / max(float(np.abs(x).max()), 1e-5))
    return np.clip(np.round(x * 32768.0), -32768, 32767).astype(np.int16)


def _loudness(x: np.ndarray) -> float:
    """RMS of the loudest third of 30 ms frames."""
    energy = np.sort(np.mean(x[: x.size // 480 * 480].reshape(-1, 480) ** 2, axis=1))
    return float(np.sqrt(np.mean(energy[-(energy.size // 3 + 1) :])) if energy.size else 0.0) + 1e-5


def _colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tilt the spectrum by a one-pole or one-zero filter; in a fifth of cases also cut the highs."""
    tilt = rng.uniform(-0.5, 0.5)
    x = lfilter([1.0, -tilt], [1.0], x) if rng.random() < 0.5 else lfilter([1.0 - abs(tilt)], [1.0, -tilt], x)
    if rng.random() < 0.2:
        taps = np.sinc(np.arange(-16, 17) * rng.uniform(0.42, 0.9)) * np.hanning(33)
        x = fftconvolve(x, taps / taps.sum(), mode="same")
    return np.asarray(x, np.float32)


def _noise(length: int, noises: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A stretch of one noise at unit RMS, repeated if too short."""
    noise = noises[int(rng.integers(len(noises)))]
    start = int(rng.integers(noise.size))
    stretch = np.take(noise, np.arange(start, start + length), mode="wrap")
    return stretch / (np.sqrt(np.mean(stretch**2)) + 1e-6)
