"""Readers of recordings with their words: line by line, with what is wrong with a line.

A corpus is a table of transcripts beside audio files. `…_lines` yield every line of it, good or
bad, with its place; `read_…` yield (name, text, speaker, path) with the text as it came, in lower
case, and stop at the first bad line. docs/corpora.md describes the layouts.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stapes_tools.errors import UserError

Recording = tuple[str, str, str, Path]
AUDIO_SUFFIXES = (".opus", ".flac", ".wav", ".ogg")


class CorpusError(UserError):
    """Something is wrong with a corpus; path is the file, or file:line, that is to be mended."""


@dataclass(frozen=True)
class Line:
    """One line of a corpus.

    Args:
        place: file:line, or the file where there is no table.
        recording: what the line names, or None.
        error: why there is no recording, or None.
        is_wordless: the corpus does not say the words (it has slots, or is no speech).
    """

    place: str
    recording: Recording | None = None
    error: CorpusError | None = None
    is_wordless: bool = False


def recordings(lines: Iterable[Line], skip_bad: bool = False) -> Iterator[Recording]:
    """The recordings of lines.

    Raises:
        CorpusError: a line is bad, and bad ones are not to be skipped.
    """
    for line in lines:
        if line.error and not skip_bad:
            raise line.error
        if line.recording:
            yield line.recording


def read_speechocean(folder: Path, split: str) -> Iterator[Recording]:
    """speechocean762; see speechocean_lines."""
    return recordings(speechocean_lines(folder, split))


def read_vctk(folder: Path) -> Iterator[Recording]:
    """One VCTK speaker; see table_lines."""
    return recordings(table_lines(folder))


def read_librispeech(folder: Path, least_confidence: float) -> Iterator[Recording]:
    """LibriSpeech with recognised text; see recognised_lines."""
    return recordings(recognised_lines(folder, least_confidence))


def read_wake_phrases(folder: Path, each: int) -> Iterator[Recording]:
    """Single words; see word_lines."""
    return recordings(word_lines(folder, each))


def speechocean_lines(folder: Path, split: str) -> Iterator[Line]:
    """Kaldi files `text` and `utt2spk` in the split's folder; audio by `wav.scp` if there is one, else by name."""
    speakers: dict[str, str] = {}
    for place, fields in _fields(folder / split / "utt2spk", None, 2, "a name and a speaker"):
        if isinstance(fields, CorpusError):
            yield Line(place, error=fields)
        elif not fields[1]:
            yield Line(place, error=CorpusError(f"{fields[0]} has no speaker", place, "write one after the name"))
        else:
            speakers[fields[0]] = fields[1]
    find = _kaldi_finder(folder, split)
    for place, fields in _fields(folder / split / "text", None, 2, "a name and what is said"):
        if isinstance(fields, CorpusError):
            yield Line(place, error=fields)
        elif fields[0] not in speakers:
            advice = f"add a line with its speaker to {folder / split / 'utt2spk'}"
            yield Line(place, error=CorpusError(f"{fields[0]} has no speaker", place, advice))
        else:
            name, text = fields
            yield Line(place, (name, text.lower(), speakers[name], find(name)))


def table_lines(folder: Path) -> Iterator[Line]:
    """`text.tsv` with name and sentence; the speaker is the name up to the first underscore."""
    find = _finder(folder)
    for place, fields in _fields(folder / "text.tsv", "\t", 2, "a name, a tab and what is said"):
        if isinstance(fields, CorpusError):
            yield Line(place, error=fields)
        else:
            name, text = fields
            yield Line(place, (name, text.lower(), name.split("_")[0], find(name)))


def recognised_lines(folder: Path, least_confidence: float = 0.0, digits: bool = False) -> Iterator[Line]:
    """`text.tsv` with name, mean confidence and recognised words.

    Only rows of at least least_confidence come back, and none with digits unless they are asked
    for: how they were spoken is not known.
    """
    find = _finder(folder)
    for place, fields in _fields(folder / "text.tsv", "\t", 3, "a name, a confidence and what is said"):
        if isinstance(fields, CorpusError):
            yield Line(place, error=fields)
            continue
        name, confidence, text = fields
        try:
            sure = float(confidence) >= least_confidence
        except ValueError:
            advice = "write a number from 0 to 1 between the tabs"
            yield Line(place, error=CorpusError(f"the confidence {confidence!r} is not a number", place, advice))
            continue
        if sure and (digits or not any(letter.isdigit() for letter in text)):
            yield Line(place, (name, text.lower(), name.split("-")[0], find(name)))


def librispeech_lines(folder: Path) -> Iterator[Line]:
    """LibriSpeech as published: `SPEAKER-CHAPTER.trans.txt` beside the recordings of a chapter."""
    for table in sorted(folder.rglob("*.trans.txt")):
        for place, fields in _fields(table, None, 2, "a name and what is said"):
            if isinstance(fields, CorpusError):
                yield Line(place, error=fields)
            else:
                name, text = fields
                yield Line(place, (name, text.lower(), name.split("-")[0], table.parent / f"{name}.flac"))


def word_lines(folder: Path, each: int | None = None) -> Iterator[Line]:
    """Single words: the sub-folder's name is what is said; the first `each` clips of every word, or all."""
    for word in sorted(path for path in _entries(folder) if path.is_dir()):
        for clip in sorted(word.iterdir())[:each]:
            yield Line(str(clip), (f"{word.name}-{clip.stem}", word.name, clip.stem, clip))


def sound_lines(folder: Path) -> Iterator[Line]:
    """Noises or rooms: every recording below folder, no words."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in AUDIO_SUFFIXES:
            yield Line(str(path), (path.stem, "", "", path), is_wordless=True)


def refs_lines(folder: Path) -> Iterator[Line]:
    """`refs.json`: name -> {"text": words, "slots": {name: value}}, one of them may be missing; perhaps "speaker"."""
    table = folder / "refs.json"
    text = "\n".join(line for _, line in text_lines(table))
    numbers: dict[str, int] = {}
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"\s*:', text):
        numbers.setdefault(found[1], text.count("\n", 0, found.start()) + 1)
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{table}:{error.lineno}"
        yield Line(place, error=CorpusError(f"this is not JSON ({error.msg})", place, "mend it, or make it again"))
        return
    if not isinstance(rows, dict):
        place = f"{table}:1"
        yield Line(place, error=CorpusError("this is no table of recordings", place, 'write {"NAME": {"text": "…"}}'))
        return
    find = _finder(folder)
    for name, row in rows.items():
        place = f"{table}:{numbers.get(json.dumps(name)[1:-1], 1)}"
        if not isinstance(row, dict) or not isinstance(row.get("text", row.get("slots")), str | dict):
            advice = 'write {"text": "what is said"}, with "slots" if they are known'
            yield Line(place, error=CorpusError(f"the entry of {name} has neither text nor slots", place, advice))
        else:
            recording = (name, str(row.get("text", "")).lower(), str(row.get("speaker", "")), find(name))
            yield Line(place, recording, is_wordless="text" not in row)


def meanings(folder: Path) -> dict[str, dict]:
    """name -> slots and intent of the recordings, as far as a folder's `refs.json` has them."""
    try:
        rows = json.loads((folder / "refs.json").read_text(encoding="utf-8"))
        return {name: {key: row[key] for key in ("slots", "intent") if key in row} for name, row in rows.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # refs_lines says what is wrong with it


def _fields(
    table: Path, separator: str | None, count: int, wanted: str
) -> Iterator[tuple[str, list[str] | CorpusError]]:
    """Every line of a table that is not blank, as (place, its fields or what is wrong with it)."""
    for number, line in text_lines(table):
        place = f"{table}:{number}"
        if "\N{REPLACEMENT CHARACTER}" in line:
            yield place, CorpusError("this is not UTF-8 text", place, "save the table as UTF-8")
            continue
        fields = [part.strip() for part in line.split(separator, count - 1 if separator is None else -1)]
        if separator is None and len(fields) == count - 1:
            fields.append("")
        if not any(fields):
            continue
        if len(fields) != count or not fields[0]:
            what = f"the line has {len(fields)} fields instead of {count}"
            yield place, CorpusError(what, place, f"write {wanted}, or delete the line")
        else:
            yield place, fields


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of a file, decoded leniently."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CorpusError("no such file", path, "check the path") from None
    except OSError as error:
        raise CorpusError(f"cannot be read ({error.strerror})", path, "check its permissions") from None
    text = data.decode("utf-8-sig", errors="replace")
    return iter(enumerate((line.rstrip("\r") for line in text.split("\n")), 1))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise CorpusError(f"cannot be read ({error.strerror})", folder, "check the corpus folder") from None


def _finder(folder: Path) -> Callable[[str], Path]:
    """A function from a recording's name to its path: in `audio/` if there is such a folder, else in folder itself.

    A recording that is not there is given the suffix of the others.
    """
    base = folder / "audio"
    if not base.is_dir() and any(path.suffix in AUDIO_SUFFIXES for path in _entries(folder)):
        base = folder
    found = {path.stem: path for path in _entries(base) if path.suffix in AUDIO_SUFFIXES} if base.is_dir() else {}
    suffixes = Counter(path.suffix for path in found.values()).most_common(1)
    suffix = suffixes[0][0] if suffixes else ".opus"
    return lambda name: found.get(name, base / f"{name}{suffix}")


def _kaldi_finder(folder: Path, split: str) -> Callable[[str], Path]:
    """By `wav.scp`, whose paths start at folder, or as _finder does."""
    table = folder / split / "wav.scp"
    if not table.exists():
        return _finder(folder)
    rows = (fields for _, fields in _fields(table, None, 2, "a name and a path") if not isinstance(fields, CorpusError))
    paths = {name: folder / path for name, path in rows}
    return lambda name: paths.get(name, folder / f"{name}.wav")
