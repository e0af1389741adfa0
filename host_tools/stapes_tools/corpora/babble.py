"""People who talk, each somewhere else in a room: the noise of company."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from stapes_tools.corpora.effects import SAMPLE_RATE, add_room, from_int16, set_level
from stapes_tools.corpora.store import AudioPack
from stapes_tools.corpora.synthetic_places import make_rooms

_LEVELS_DB = (-36.0, -28.0)


@dataclass(frozen=True)
class Company:
    """How people talk.

    Args:
        talkers: at once, at least and at most.
        pause_s: between one's sentences, shortest and longest.
        length_s: of a mixture.
    """

    talkers: tuple[int, int]
    pause_s: tuple[float, float]
    length_s: float


CROWD = Company((3, 8), (0.0, 2.0), 10.0)
# Those at the next table: words can be told, and there are gaps in which nobody speaks.
FEW = Company((1, 4), (0.1, 4.0), 40.0)


class Voices(Protocol):
    """What people say: recordings of one voice each, float32 [n], 16 kHz."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> np.ndarray: ...


class Files:
    """Voices in sound files, 16 kHz mono."""

    def __init__(self, paths: Sequence[Path]):
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> np.ndarray:
        return soundfile.read(self._paths[number], dtype="float32")[0]


class Packs:
    """Voices in audio packs, one after the other."""

    def __init__(self, folders: Sequence[Path]):
        packs = [AudioPack(folder) for folder in folders]
        self._utterances = [(pack, utterance) for pack in packs for utterance in pack.utterances]

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, number: int) -> np.ndarray:
        pack, utterance = self._utterances[number]
        return from_int16(pack.samples(utterance))


def make_babble(recordings: Voices, count: int, seed: int, company: Company = CROWD) -> list[np.ndarray]:
    """Mixtures of people, float32 [length_s x 16000] each.

    Args:
        recordings: chosen from at random.
        count: mixtures wanted.
        seed: equal seeds and recordings give equal mixtures.
        company: how many talk, and how.
    """
    return [_mixture(recordings, company, np.random.default_rng([seed, index])) for index in range(count)]


def _mixture(recordings: Voices, company: Company, rng: np.random.Generator) -> np.ndarray:
    talkers = int(rng.integers(company.talkers[0], company.talkers[1] + 1))
    return np.stack([_talker(recordings, company, rng) for _ in range(talkers)]).sum(axis=0)


def _talker(recordings: Voices, company: Company, rng: np.random.Generator) -> np.ndarray:
    """Sentence after sentence from one place; each may be another person's."""
    length = int(company.length_s * SAMPLE_RATE)
    said: list[np.ndarray] = []
    while sum(part.size for part in said) < length:
        speech = recordings[int(rng.integers(len(recordings)))]
        pause = np.zeros(int(rng.uniform(*company.pause_s) * SAMPLE_RATE))
        said += [set_level(speech, rng.uniform(*_LEVELS_DB)), pause]
    room = make_rooms(1, int(rng.integers(1 << 31)))[0]
    return add_room(np.concatenate(said)[:length], room)[:length].astype(np.float32)
