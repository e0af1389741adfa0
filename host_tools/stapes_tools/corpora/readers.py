"""Readers of real recordings: each yields (name, text, speaker, path) with the text as it came.

Layouts are those of speechocean762, VCTK, LibriSpeech and Picovoice's wake-word benchmark as
described in docs/training.md: audio as Opus or FLAC beside a table of transcripts.
"""

from collections.abc import Iterator
from pathlib import Path

Recording = tuple[str, str, str, Path]


class CorpusError(RuntimeError):
    """A corpus is not where the recipe says, or lacks a file; one line names it."""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; check the corpus folder in the recipe") from None


def read_speechocean(folder: Path, split: str) -> Iterator[Recording]:
    """speechocean762, Kaldi files `text` and `utt2spk` in the split's folder."""
    speakers = dict(line.split(maxsplit=1) for line in _lines(folder / split / "utt2spk"))
    for line in _lines(folder / split / "text"):
        name, text = line.split(maxsplit=1)
        yield name, text.lower(), speakers[name], folder / "audio" / f"{name}.opus"


def read_vctk(folder: Path) -> Iterator[Recording]:
    """One VCTK speaker: `text.tsv` with name and sentence."""
    for line in _lines(folder / "text.tsv"):
        name, text = line.split("\t")
        yield name, text.lower(), name.split("_")[0], folder / "audio" / f"{name}.opus"


def read_librispeech(folder: Path, least_confidence: float) -> Iterator[Recording]:
    """LibriSpeech with recognised text: `text.tsv` with name, mean confidence and words.

    Only rows of at least least_confidence come back, and none with digits: how they were
    spoken is not known.
    """
    for line in _lines(folder / "text.tsv"):
        name, confidence, text = line.split("\t")
        if float(confidence) >= least_confidence and not any(letter.isdigit() for letter in text):
            yield name, text.lower(), name.split("-")[0], folder / "audio" / f"{name}.opus"


def read_wake_phrases(folder: Path, each: int) -> Iterator[Recording]:
    """Single words: the sub-folder's name is what is said; the first `each` clips of every word."""
    for word in sorted(path for path in folder.iterdir() if path.is_dir()):
        for clip in sorted(word.iterdir())[:each]:
            yield f"{word.name}-{clip.stem}", word.name, clip.stem, clip
