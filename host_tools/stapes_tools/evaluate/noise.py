"""Speech in noise, mixed as the coffee benchmark mixes it.

Samples are numbers from -1 to 1. E(x) is the energy (sum of squares) of the loudest of the whole
frames of 2048 samples of x. At an SNR of d dB

    y = speech + noise * sqrt(E(speech) / (E(noise) * 10^(d / 10)))
    mixed = y / (2 * max |y|)

so the level of the noise follows the loudest eighth of a second, not the mean, and the peak of the
mix is 0.5, half of full scale. E(noise) is that of the stretch that is mixed in.

Reference: github.com/Picovoice/speech-to-intent-benchmark, benchmark/mixer.py. There the stretch is
drawn anew at each run and SNR; here the utterance's name decides it, so that figures repeat and all
SNRs hear the same stretch.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec

from ..audio import read_recording
from ..errors import UserError

FRAME = 2048
LONGEST_NOISE_S = 3600
_FULL_SCALE = 32768.0


@dataclass(frozen=True)
class Condition:
    """How recordings are heard: as they are (no noise), or in noise.

    Attributes:
        noise: a recording of noise, or None.
        snr_db: speech over noise, by the loudest frames; None without noise.
    """

    noise: Path | None = None
    snr_db: float | None = None

    def __str__(self) -> str:
        return "clean" if self.noise is None else f"{self.noise.stem}, {self.snr_db:g} dB"


CLEAN = Condition()


def loudest_frame_energy(samples: np.ndarray) -> float:
    """Return the sum of squares of the loudest frame.

    Args:
        samples: float64 [n]; the rest behind the last whole frame does not count, but fewer samples
            than one frame are a frame.
    """
    count = len(samples) // FRAME
    frames = samples[: count * FRAME].reshape(count, FRAME) if count else samples[None]
    return float(np.square(frames).sum(axis=1).max())


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Mix speech with noise, which may begin before it.

    Args:
        speech: int16 [n], n >= 1.
        noise: int16 [lead + n]; the first lead samples are heard alone, and as loud as they are beside the rest.
        snr_db: by the loudest frames, from where the speech begins.
    Returns:
        int16 [lead + n], of peak 0.5 from there; silence where the speech is silent.
    Raises:
        ValueError: the noise beside the speech is silent and the speech is not.
    """
    lead = len(noise) - len(speech)
    clean, added = speech / _FULL_SCALE, noise / _FULL_SCALE
    energy = loudest_frame_energy(clean)
    if energy == 0.0:
        return np.zeros_like(noise)
    noise_energy = loudest_frame_energy(added[lead:])
    if noise_energy == 0.0:
        raise ValueError("the noise is silent")
    mixed = added * np.sqrt(energy / (noise_energy * 10.0 ** (snr_db / 10.0)))
    mixed[lead:] += clean
    mixed /= 2.0 * np.abs(mixed[lead:]).max()
    return _pcm16(np.clip(mixed, -1.0, 1.0))


def _pcm16(samples: np.ndarray) -> np.ndarray:
    """Return int16 [n], as libsndfile writes numbers from -1 to 1: the upper half of 32 rounded bits."""
    return (np.rint(samples * 0x7FFFFFFF).astype(np.int64) >> 16).astype(np.int16)


def stretch_start(name: str, noise_length: int, length: int) -> int:
    """Return where in the noise the stretch for an utterance begins: the same each time, spread evenly.

    Args:
        name: of the utterance.
        noise_length, length: samples of the noise and of the utterance.
    """
    places = noise_length - length if noise_length > length else noise_length
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % places


def noise_stretch(noise: np.ndarray, name: str, length: int, lead: int = 0) -> np.ndarray:
    """Return the stretch of noise for an utterance of some length, and what stands before it: int16 [lead + length].

    Noise that is too short is repeated.
    """
    start = stretch_start(name, len(noise), length)
    return np.take(noise, np.arange(start - lead, start + length), mode="wrap")


@functools.lru_cache(maxsize=1)
def read_noise(path: Path) -> np.ndarray:
    """Return a noise recording, int16 [n], at most an hour; the last one is kept. Raises as read_recording."""
    return read_recording(path, LONGEST_NOISE_S)


def in_noise(speech: np.ndarray, name: str, condition: Condition, lead: int = 0) -> np.ndarray:
    """Return an utterance, int16 [n], as it is heard in a condition, int16 [lead + n].

    For so many samples before it the noise is heard alone, or nothing where there is none.

    Raises:
        UserError: the noise cannot be read, or is silent where it is needed.
    """
    if condition.noise is None or condition.snr_db is None:
        return np.concatenate([np.zeros(lead, np.int16), speech]) if lead else speech
    noise = read_noise(condition.noise)
    try:
        return mix(speech, noise_stretch(noise, name, len(speech), lead), condition.snr_db)
    except ValueError:
        start_s = stretch_start(name, len(noise), len(speech)) / stapes_spec.AUDIO_SAMPLE_RATE_HZ
        what = f"the noise is silent from {start_s:.1f} s on, where it is mixed with {name}"
        raise UserError(what, condition.noise, "cut the silence out of it") from None
