"""Which corpora there are, and how each is read: by what lies in its folder."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stapes_tools.corpora import readers
from stapes_tools.corpora.readers import AUDIO_SUFFIXES, CorpusError, Line
from stapes_tools.corpora.store import cache_root

SCORING_ONLY = ("barista_dev", "speech-to-intent-benchmark")
_SPLITS = ("train", "test", "dev")


@dataclass(frozen=True)
class Corpus:
    """A folder of recordings.

    Args:
        folder: where it lies.
        layout: its kind, in a word or two.
        lines: reads it; see stapes_tools.corpora.readers.
        has_speakers: whether its lines tell the speakers apart.
    """

    folder: Path
    layout: str
    lines: Callable[[], Iterable[Line]]
    has_speakers: bool = True

    @property
    def name(self) -> str:
        return self.folder.name


def default_roots() -> list[Path]:
    """Where corpora are looked for: $STAPES_DATA, else shared/data beside the repository; and what was fetched."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return [Path(os.environ.get("STAPES_DATA", beside)), fetched_root()]


def fetched_root() -> Path:
    """Where fetched originals are unpacked."""
    return cache_root() / "corpora"


def find_corpus(name: str, roots: Sequence[Path]) -> Corpus:
    """The corpus of a name below one of the roots, or in a folder.

    Raises:
        CorpusError: there is none, or its layout is not known.
    """
    folder = Path(name)
    if not folder.is_dir():
        below = [root / name for root in roots if (root / name).is_dir()]
        if not below:
            known = ", ".join(corpus.name for corpus in find_corpora(roots)) or "none"
            where = " and ".join(map(str, roots))
            raise CorpusError("there is no such corpus or folder", name, f"in {where} there are: {known}")
        folder = below[0]
    found = recognise(folder)
    if found is None:
        advice = "it needs text.tsv, refs.json, train/text with train/utt2spk, or a folder per word (docs/corpora.md)"
        raise CorpusError("the folder has no layout of a corpus", folder, advice)
    return found


def trainable(name: str, root: Path) -> Corpus:
    """The corpus of a name below root, or a fetched one, for training.

    Raises:
        CorpusError: there is none, or it is for scoring only.
    """
    if name in SCORING_ONLY:
        raise CorpusError("this corpus is for scoring only", name, "leave it out of the recipe's `recorded`")
    return find_corpus(name, [root, fetched_root()])


def find_corpora(roots: Iterable[Path]) -> list[Corpus]:
    """Every corpus right below the roots."""
    folders = [path for root in roots if root.is_dir() for path in sorted(root.iterdir()) if path.is_dir()]
    return [corpus for folder in folders if (corpus := recognise(folder))]


def recognise(folder: Path) -> Corpus | None:
    """The corpus in a folder, or None."""
    splits = [split for split in _SPLITS if (folder / split / "text").is_file()]
    if splits:
        return Corpus(folder, "Kaldi tables", lambda: _splits(folder, splits))
    if (folder / "refs.json").is_file():
        return Corpus(folder, "sentences with slots", lambda: readers.refs_lines(folder))
    if (folder / "text.tsv").is_file():
        return _table(folder)
    return _without_table(folder)


def _without_table(folder: Path) -> Corpus | None:
    if next(folder.rglob("*.trans.txt"), None):
        return Corpus(folder, "LibriSpeech", lambda: readers.librispeech_lines(folder))
    if any(path.suffix in AUDIO_SUFFIXES for path in folder.iterdir()):
        return Corpus(folder, "sounds", lambda: readers.sound_lines(folder), has_speakers=False)
    if any(path.suffix in AUDIO_SUFFIXES for path in folder.glob("*/*")):
        return Corpus(folder, "single words", lambda: readers.word_lines(folder), has_speakers=False)
    return None


def _table(folder: Path) -> Corpus:
    """text.tsv with two columns, or with three where the middle one is a confidence."""
    with open(folder / "text.tsv", encoding="utf-8", errors="replace") as file:
        head = [line for line, _ in zip(file, range(50), strict=False)]
    if sum(line.count("\t") >= 2 for line in head) > len(head) // 2:
        return Corpus(folder, "recognised sentences", lambda: readers.recognised_lines(folder, digits=True))
    return Corpus(folder, "sentences", lambda: readers.table_lines(folder))


def _splits(folder: Path, splits: Sequence[str]) -> Iterator[Line]:
    for split in splits:
        yield from readers.speechocean_lines(folder, split)
