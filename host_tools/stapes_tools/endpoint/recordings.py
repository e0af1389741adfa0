"""Recordings with known ends: commands and read speech, joined with pauses, then silence or noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import stapes_spec as spec

from ..corpora.augment import Surroundings
from ..corpora.effects import add_noise, add_room, change_speed, from_int16, loudness, to_int16
from .truth import levels_db, speech_ms

RATE = spec.AUDIO_SAMPLE_RATE_HZ
PAUSE_MS = (200, 1200)
_BEFORE_MS = (150, 900)
_AFTER_MS = 2200
_FADE = 80  # samples
_DIP_DB = 18.0  # a place to pause is so far below the loudest frame


@dataclass(frozen=True)
class Known:
    """A recording and when its speaker finished.

    Attributes:
        samples: int16 [n], 16 kHz.
        end_ms: true end of speech.
        pauses: how many were put into it.
        text: the command that is said; "" for something read.
    """

    samples: np.ndarray
    end_ms: int
    pauses: int
    text: str


def make(speech: np.ndarray, surroundings: Surroundings, seed: Sequence[int], text: str, pauses: int) -> Known | None:
    """Put speech into a recording, everything drawn by seed.

    Speed 0.9 to 1.15; pauses of 200 to 1200 ms at dips of the sentence; silence of 150 to 900 ms before it and
    2.2 s after it; a room in a third of cases; a level of -34 to -14 dB full scale; noise 5 to 35 dB below the speech
    in four cases of ten; always a floor of noise 35 to 80 dB below it. The true end is that of the dry speech.

    Args:
        speech: int16 [n], clean.
        text: see Known.
        pauses: how many, if there are dips for them.
    Returns:
        Known, or None where no speech is found.
    """
    rng = np.random.default_rng(seed)
    x = change_speed(from_int16(speech), Fraction(int(rng.integers(18, 24)), 20))
    span = speech_ms(to_int16(x))
    if span is None:
        return None
    x = x[span[0] * RATE // 1000 : span[1] * RATE // 1000]
    x, done = _with_pauses(x, pauses, rng)
    before = int(rng.integers(*_BEFORE_MS))
    end_ms = before + len(x) * 1000 // RATE
    x = _placed(x, before, surroundings, rng)
    return Known(to_int16(x), end_ms, done, text)


def _placed(x: np.ndarray, before_ms: int, surroundings: Surroundings, rng: np.random.Generator) -> np.ndarray:
    """Room, silence around, level, noise."""
    loud = loudness(x)
    silence = [np.zeros(ms * RATE // 1000, np.float32) for ms in (before_ms, _AFTER_MS)]
    x = np.concatenate([silence[0], x, silence[1]])
    if surroundings.rooms and rng.random() < 1 / 3:
        x = add_room(x, surroundings.rooms[int(rng.integers(len(surroundings.rooms)))])
    level = 10 ** (rng.uniform(-34, -14) / 20)
    x = x * (level / loud)
    if surroundings.noises and rng.random() < 0.4:
        noise = surroundings.draw_noise(rng)
        x = add_noise(x, noise, rng.uniform(5, 35), int(rng.integers(noise.size)))
    floor = level * 10 ** (-rng.uniform(35, 80) / 20)
    return x + rng.standard_normal(x.size).astype(np.float32) * floor


def _with_pauses(x: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Cut speech at dips and put silence there; returns it and how many there are."""
    places = _dips(x)
    count = min(count, len(places))
    chosen = sorted(rng.choice(places, count, replace=False)) if count else []
    parts, at = [], 0
    for place in chosen:
        parts += [_faded(x[at:place]), np.zeros(int(rng.integers(*PAUSE_MS)) * RATE // 1000, np.float32)]
        at = place
    return np.concatenate([*parts, _faded(x[at:]) if chosen else x]), count


def _faded(x: np.ndarray) -> np.ndarray:
    """Its two ends, where it was cut, without clicks."""
    x = x.copy()
    ramp = np.linspace(0, 1, min(_FADE, len(x) // 2), dtype=np.float32)
    x[: len(ramp)] *= ramp
    x[len(x) - len(ramp) :] *= ramp[::-1]
    return x


def _dips(x: np.ndarray) -> list[int]:
    """Samples at which the level is lowest within 150 ms either way, well below the loudest, off the ends."""
    levels = levels_db(to_int16(x))
    reach = 15
    return [
        (k * 10 + 5) * RATE // 1000
        for k in range(reach, len(levels) - reach)
        if levels[k] == levels[k - reach : k + reach + 1].min() and levels[k] < levels.max() - _DIP_DB
    ]
