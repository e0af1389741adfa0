"""Several people talking at once, each somewhere else in a room: the noise of company."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from stapes_tools.corpora.effects import SAMPLE_RATE, add_room, set_level
from stapes_tools.corpora.synthetic_places import make_rooms

_LENGTH_S = 10.0
_TALKERS = (3, 8)
_LEVELS_DB = (-36.0, -28.0)
_PAUSE_S = (0.0, 2.0)


def make_babble(recordings: Sequence[Path], count: int, seed: int) -> list[np.ndarray]:
    """Mixtures of three to eight people, float32 [160000] each.

    Args:
        recordings: of one voice each, 16 kHz mono; chosen from at random.
        count: mixtures wanted.
        seed: equal seeds and recordings give equal mixtures.
    """
    return [_crowd(recordings, np.random.default_rng([seed, index])) for index in range(count)]


def _crowd(recordings: Sequence[Path], rng: np.random.Generator) -> np.ndarray:
    talkers = int(rng.integers(_TALKERS[0], _TALKERS[1] + 1))
    return np.stack([_talker(recordings, rng) for _ in range(talkers)]).sum(axis=0)


def _talker(recordings: Sequence[Path], rng: np.random.Generator) -> np.ndarray:
    """Sentence after sentence from one place; each may be another person's."""
    length = int(_LENGTH_S * SAMPLE_RATE)
    said: list[np.ndarray] = []
    while sum(part.size for part in said) < length:
        speech = soundfile.read(recordings[int(rng.integers(len(recordings)))], dtype="float32")[0]
        said += [set_level(speech, rng.uniform(*_LEVELS_DB)), np.zeros(int(rng.uniform(*_PAUSE_S) * SAMPLE_RATE))]
    room = make_rooms(1, int(rng.integers(1 << 31)))[0]
    return add_room(np.concatenate(said)[:length], room)[:length].astype(np.float32)
