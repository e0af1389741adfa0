"""Make one recording sound as if taken elsewhere: voice, speed, room, spectrum, silence, level and noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import fftconvolve, lfilter

from stapes_tools.corpora.effects import (
    SAMPLE_RATE,
    add_room,
    at_unit_rms,
    change_speed,
    from_int16,
    loudness,
    stretch_of,
    to_int16,
)
from stapes_tools.corpora.noisiness import SILENCE_S, USUAL, Noisiness
from stapes_tools.corpora.voice_change import change_voice

# Counts changes of what augment() does: part of the name of everything made with it.
AUGMENTATION = 3
_LONG_SILENCE_SHARE = 0.3
_QUIETEST_BESIDE_DB = -15.0  # of several noises at once, under the first one
_NOISE_SPEED = (0.8, 1.25)


@dataclass(frozen=True)
class Surroundings:
    """What recordings are mixed with: float32 noises and room impulse responses, 16 kHz.

    Args:
        noises: all of them.
        rooms: all of them.
        kinds: how many of the noises, in their order, are of each kind; empty if all are of one.
    """

    noises: Sequence[np.ndarray]
    rooms: Sequence[np.ndarray]
    kinds: Sequence[int] = ()

    def draw_noise(self, rng: np.random.Generator) -> np.ndarray:
        """A noise of a kind that is drawn first: 400 clips of animals shall not crowd out the one of dishes."""
        first, count = 0, len(self.noises)
        if len(self.kinds) > 1:
            kind = int(rng.integers(len(self.kinds)))
            first, count = sum(self.kinds[:kind]), self.kinds[kind]
        return self.noises[first + int(rng.integers(count))]

    @classmethod
    def read(cls, noise_files: Sequence[Path], room_files: Sequence[Path]) -> "Surroundings":
        """Load both; impulse responses are cut before their peak, so that rooms add no delay, and given unit energy."""
        noises = [soundfile.read(path, dtype="float32")[0] for path in noise_files]
        return cls(noises, [read_room(path) for path in room_files])


def read_room(path: Path) -> np.ndarray:
    """An impulse response from its peak on, float32 [n], unit energy."""
    room = soundfile.read(path, dtype="float32")[0]
    room = room[int(np.abs(room).argmax()) :]
    return room / np.sqrt(np.sum(room**2))


@dataclass(frozen=True)
class VoiceSpread:
    """How far voices are changed, beyond what speed does to them; zeros leave them as they are.

    Args:
        semitones: standard deviation of the pitch.
        formants: standard deviation of the formants' factor from one (0.08 is usual).
    """

    semitones: float = 0.0
    formants: float = 0.0

    def __bool__(self) -> bool:
        return self.semitones > 0 or self.formants > 0

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """(semitones, factor of the formants), never further than two standard deviations."""
        pitch, formants = np.clip(rng.standard_normal(2), -2, 2)
        return float(self.semitones * pitch), float(1 + self.formants * formants)


AS_SPOKEN = VoiceSpread()


def augment(
    samples: np.ndarray,
    surroundings: Surroundings,
    rng: np.random.Generator,
    voices: VoiceSpread = AS_SPOKEN,
    noisiness: Noisiness = USUAL,
) -> np.ndarray:
    """Vary one recording.

    Pitch and formants as voices says, speed (with pitch and formants) 0.85 to 1.15, a room as noisiness
    says, a spectral tilt and sometimes a band limit, silence before and after as noisiness says, a
    level of -34 to -14 dB full scale (RMS of the loud parts), noise as noisiness says, a noise floor
    down to digital silence always, and clipped peaks now and then.

    Args:
        samples: int16 [n], 16 kHz; n > 0.
        surroundings: noises and rooms to choose from.
        rng: source of all choices.
        voices: how far to change the voice. The default draws nothing from rng.
        noisiness: how much noise is added, and how often a room.
    Returns:
        int16 [m].
    """
    return augment_beside(samples, surroundings, rng, voices, noisiness)[0]


def augment_beside(
    samples: np.ndarray,
    surroundings: Surroundings,
    rng: np.random.Generator,
    voices: VoiceSpread = AS_SPOKEN,
    noisiness: Noisiness = USUAL,
    *,
    versions: int = 1,
) -> list[np.ndarray]:
    """What `augment` gives, int16 [m], and last the same as it would be without the noise and the clipping.

    Args:
        samples, surroundings, rng, voices, noisiness: see augment.
        versions: so many times the same voice in the same room, each in a noise of its own, or in none.
    Returns:
        versions + 1 of equal length.
    """
    x = from_int16(samples)
    if voices:
        x = change_voice(x, *voices.draw(rng))
    x = change_speed(x, Fraction(int(rng.integers(17, 24)), 20))
    if surroundings.rooms and rng.random() < noisiness.room_share:
        x = add_room(x, surroundings.rooms[int(rng.integers(len(surroundings.rooms)))])
    x = _colour(x, rng)
    before, after = (_silences(noisiness.longest_silence_s, rng) * SAMPLE_RATE).astype(int)
    loud = loudness(x)
    x = np.concatenate([np.zeros(before, np.float32), x, np.zeros(after, np.float32)])
    x = x * (10 ** (rng.uniform(-34, -14) / 20) / loud)
    level = loudness(x)
    noisy = [_with_noise(x, level, surroundings, rng, noisiness) for _ in range(versions)]
    floor = level * 10 ** (-rng.uniform(30, 85) / 20)
    hiss = _colour(rng.standard_normal(x.size).astype(np.float32), rng) * floor
    return [to_int16(_clipped(version + hiss, rng)) for version in noisy] + [to_int16(x + hiss)]


def _with_noise(
    x: np.ndarray, level: float, around: Surroundings, rng: np.random.Generator, noisiness: Noisiness
) -> np.ndarray:
    """Speech of a loudness in noise, or as it is."""
    if not around.noises or rng.random() >= noisiness.share:
        return x
    noise = _noise(x.size, around, noisiness.at_once, rng)
    return x + noise * (level * 10 ** (-rng.uniform(noisiness.lowest_snr_db, noisiness.highest_snr_db) / 20))


def _clipped(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Now and then so loud that peaks are cut."""
    return x * (10 ** (rng.uniform(0, 12) / 20) / max(float(np.abs(x).max()), 1e-5)) if rng.random() < 0.05 else x


def _colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tilt the spectrum by a one-pole or one-zero filter; in a fifth of cases also cut the highs."""
    tilt = rng.uniform(-0.5, 0.5)
    x = lfilter([1.0, -tilt], [1.0], x) if rng.random() < 0.5 else lfilter([1.0 - abs(tilt)], [1.0, -tilt], x)
    if rng.random() < 0.2:
        taps = np.sinc(np.arange(-16, 17) * rng.uniform(0.42, 0.9)) * np.hanning(33)
        x = fftconvolve(x, taps / taps.sum(), mode="same")
    return np.asarray(x, np.float32)


def _silences(longest_s: float, rng: np.random.Generator) -> np.ndarray:
    """Seconds before and after, float64 [2]."""
    usual = rng.uniform(*SILENCE_S, 2)
    if longest_s <= SILENCE_S[1]:
        return usual
    return np.where(rng.random(2) < _LONG_SILENCE_SHARE, rng.uniform(SILENCE_S[1], longest_s, 2), usual)


def _noise(length: int, around: Surroundings, at_once: int, rng: np.random.Generator) -> np.ndarray:
    """A stretch of one noise, or of up to at_once together, at unit RMS."""
    mixed = _stretch(length, around, rng)
    if at_once <= 1:
        return mixed
    for _ in range(int(rng.integers(at_once))):
        mixed = mixed + _stretch(length, around, rng) * 10 ** (rng.uniform(_QUIETEST_BESIDE_DB, 0.0) / 20)
    return at_unit_rms(mixed)


def _stretch(length: int, around: Surroundings, rng: np.random.Generator) -> np.ndarray:
    """A stretch of a noise, faster or slower and in another colour than it was recorded, at unit RMS."""
    noise, speed = around.draw_noise(rng), rng.uniform(*_NOISE_SPEED)
    stretch = stretch_of(noise, int(rng.integers(noise.size)), int(length * speed) + 2)
    played = np.interp(np.arange(length) * speed, np.arange(stretch.size), stretch).astype(np.float32)
    return at_unit_rms(_colour(played, rng))
