"""Folders of recordings and what is said in them.

A folder holds refs.json, {name: {"slots": {slot: value}, "text": words, "intent": name}} (the intent
may be left out), or the transcripts of read speech: Kaldi's `text` (name, words) or `text.tsv` (name,
perhaps more columns, words). Recordings NAME.wav, .flac, .opus or .ogg lie in the folder itself, in
its folder audio/ or in an audio/ beside it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import stapes_spec

from ..audio import read_recording
from ..errors import UserError

SUFFIXES = (".wav", ".flac", ".opus", ".ogg")
_REFERENCES = "refs.json"
_TABLES = ("text", "text.tsv")
_SHAPE = 'write it as {"NAME": {"slots": {"SLOT": "VALUE"}, "text": "WORDS"}}'


@dataclass(frozen=True)
class Utterance:
    """One recording and its labels.

    Attributes:
        name: as the references call it.
        path: of the recording.
        text: what is said.
        slots: slot name to words; None for read speech.
        intent: None where it is not labelled.
    """

    name: str
    path: Path
    text: str
    slots: dict[str, str] | None = None
    intent: str | None = None


@dataclass(frozen=True)
class Folder:
    """The utterances of a folder, in the references' order.

    Attributes:
        references: the file that names them.
        left_out: utterances whose words are not known, because a number is written in digits.
    """

    references: Path
    utterances: list[Utterance]
    left_out: int = 0

    @property
    def has_commands(self) -> bool:
        """Whether slots are labelled."""
        return self.utterances[0].slots is not None


def read_folder(folder: Path, limit: int | None = None) -> Folder:
    """Read a folder's references and find its recordings.

    Args:
        folder: see above.
        limit: take only the first so many utterances.
    Raises:
        UserError: there are no references, they have another shape, or a recording is missing.
    """
    if not folder.is_dir():
        what = "this is not a folder" if folder.exists() else "there is no such folder"
        raise UserError(what, folder, f"name a folder with recordings and {_REFERENCES}")
    if (folder / _REFERENCES).exists():
        rows, left_out = list(_labelled(folder / _REFERENCES)), 0
        references = folder / _REFERENCES
    else:
        references = _table(folder)
        everything = list(_transcribed(references))
        rows = [row for row in everything if not any(letter.isdigit() for letter in row.text)]
        left_out = len(everything) - len(rows)
    if not rows:
        raise UserError("names no recordings", references, "add some")
    found = [_with_path(row, folder, references) for row in rows[:limit]]
    return Folder(references, found, left_out)


def durations_s(utterances: list[Utterance]) -> Iterator[float]:
    """Read each recording and yield its length in seconds.

    Raises:
        UserError: a recording is damaged, empty, too long, not mono or not at 16 kHz.
    """
    for utterance in utterances:
        yield len(read_recording(utterance.path)) / stapes_spec.AUDIO_SAMPLE_RATE_HZ


def _table(folder: Path) -> Path:
    for name in _TABLES:
        if (folder / name).is_file():
            return folder / name
    advice = f"write {_REFERENCES} there: {_SHAPE.removeprefix('write it as ')}; or a Kaldi text file"
    raise UserError(f"there is no {_REFERENCES}", folder, advice)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "check its permissions") from None
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text (byte {error.start})", path, "save it as UTF-8") from None


def _labelled(path: Path) -> Iterator[Utterance]:
    try:
        rows = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"is not JSON ({error})", path, _SHAPE) from None
    if not isinstance(rows, dict):
        raise UserError("is not an object", path, _SHAPE)
    for name, row in rows.items():
        yield Utterance(name, Path(), *_labels(name, row, path))


def _labels(name: str, row: object, path: Path) -> tuple[str, dict[str, str], str | None]:
    if not isinstance(row, dict):
        raise UserError(f"what it says of {name!r} is not an object", path, _SHAPE)
    text, slots, intent = row.get("text"), row.get("slots"), row.get("intent")
    if not isinstance(text, str):
        raise UserError(f"{name!r} has no text", path, _SHAPE)
    if not isinstance(slots, dict) or not all(isinstance(value, str) for value in slots.values()):
        raise UserError(f"{name!r} has no slots, each with a string", path, _SHAPE)
    if not isinstance(intent, str | None):
        raise UserError(f"the intent of {name!r} is not a string", path, "write its name, or leave it out")
    return text, slots, intent


def _transcribed(path: Path) -> Iterator[Utterance]:
    separator = "\t" if path.suffix == ".tsv" else None
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        columns = line.split(separator, -1 if separator else 1)
        if len(columns) < 2:
            raise UserError(f"line {number} is not a name and its words", path, "separate them by a tab")
        yield Utterance(columns[0].strip(), Path(), columns[-1])


def _with_path(row: Utterance, folder: Path, references: Path) -> Utterance:
    for place in (folder, folder / "audio", folder.resolve().parent / "audio"):
        for path in (place / row.name, *(place / f"{row.name}{suffix}" for suffix in SUFFIXES)):
            if path.suffix in SUFFIXES and os.path.isfile(path):
                return Utterance(row.name, path, row.text, row.slots, row.intent)
    advice = f"put {row.name}.wav, .flac or .opus there, or take its entry out"
    raise UserError(f"names the recording {row.name!r}, which is not in the folder", references, advice)
