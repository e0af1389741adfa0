"""Where speech is heard while training: the noises and rooms that a recipe names.

An entry is a pattern of files below the recipe's root, `synthetic:N` for N made ones or, among the noises,
mixtures of people who talk: `babble:N:VOICES` of several at once, `chatter:N:VOICES` of one to four who make
pauses. VOICES is a pattern of recordings, `spoken:NAME` for the recipe's synthetic speech of that name, or what
stands for that here, `packs:FOLDER|FOLDER...` (see stapes_tools.train.data.places_of).
"""

import functools
import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stapes_tools.corpora.augment import Surroundings
from stapes_tools.corpora.babble import CROWD, FEW, Files, Packs, Voices, make_babble
from stapes_tools.corpora.synthetic_places import make_noises, make_rooms
from stapes_tools.errors import UserError
from stapes_tools.train.recipe import CHATTER, MADE, PEOPLE

PACKS = "packs:"
# root, noises, rooms
Places = tuple[str, tuple[str, ...], tuple[str, ...]]
_SEED = 1


@functools.cache
def surroundings(root: str, noises: tuple[str, ...], rooms: tuple[str, ...]) -> Surroundings:
    """Noises and rooms, see above. Every entry of the noises is a kind, heard as often as any other; one that stands
    there twice is heard twice as often.

    Raises:
        UserError: no pattern finds anything.
    """
    _check_found(root, noises)
    _check_found(root, rooms)
    kinds = [kind for kind in (_noises(root, entry) for entry in noises) if kind]
    room_files = [path for entry in rooms if not entry.startswith(MADE) for path in _find(root, entry)]
    return Surroundings(
        [noise for kind in kinds for noise in kind],
        [*Surroundings.read([], room_files).rooms, *make_rooms(_made(rooms), _SEED)],
        [len(kind) for kind in kinds],
    )


@functools.cache
def _noises(root: str, entry: str) -> Sequence[np.ndarray]:
    """The noises of one entry of a recipe."""
    if entry.startswith(MADE):
        return make_noises(_made([entry]), _SEED)
    if entry.startswith(PEOPLE):
        _, count, voices = entry.split(":", 2)
        return make_babble(_voices(root, voices), int(count), _SEED, FEW if entry.startswith(CHATTER) else CROWD)
    return Surroundings.read(_find(root, entry), []).noises


def _voices(root: str, voices: str) -> Voices:
    if voices.startswith(PACKS):
        return Packs([Path(folder) for folder in voices.removeprefix(PACKS).split("|")])
    return Files(_find(root, voices))


def _made(entries: Sequence[str]) -> int:
    return sum(int(entry.removeprefix(MADE)) for entry in entries if entry.startswith(MADE))


def _find(root: str, pattern: str) -> list[Path]:
    return [Path(path) for path in sorted(glob.glob(str(Path(root) / pattern)))]


def _check_found(root: str, entries: Sequence[str]) -> None:
    """Refuse a recipe whose patterns find nothing at all, most likely for its root."""
    searched = [entry for entry in entries if not (entry.startswith(MADE) or PACKS in entry)]
    patterns = [entry.split(":")[-1] for entry in searched]
    if patterns and not any(_find(root, pattern) for pattern in patterns):
        raise UserError(f"no recording matches {', '.join(patterns)}", root, "check the recipe's root")
