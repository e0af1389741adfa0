"""A pack of utterances on disk: samples in one file, one line of JSON per utterance beside it.

Packs lie in the cache (`$STAPES_CACHE`, else `.cache` in the repository's root) and are never
committed. A pack without its index is unfinished and is written again.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Utterance:
    """One recording: where its samples lie in the pack, what is said, by whom."""

    name: str
    text: str
    speaker: str
    start: int
    length: int


def cache_root() -> Path:
    """Folder for everything that can be made again."""
    default = Path(__file__).resolve().parents[3] / ".cache"
    return Path(os.environ.get("STAPES_CACHE", default))


class AudioPack:
    """int16 samples at 16 kHz of many utterances, read through a memory map."""

    def __init__(self, folder: Path):
        self.folder = folder
        lines = (folder / "index.jsonl").read_text().splitlines()
        self.utterances = [Utterance(**json.loads(line)) for line in lines]
        self._samples = np.memmap(folder / "audio.i16", np.int16, "r") if self.utterances else np.zeros(0, np.int16)

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[tuple[Utterance, np.ndarray]]:
        for utterance in self.utterances:
            yield utterance, self.samples(utterance)

    def samples(self, utterance: Utterance) -> np.ndarray:
        """int16 [n] of one utterance."""
        return np.array(self._samples[utterance.start : utterance.start + utterance.length])

    @property
    def hours(self) -> float:
        """Hours of audio in the pack."""
        return sum(utterance.length for utterance in self.utterances) / 16000 / 3600


def write_pack(folder: Path, recordings: Iterable[tuple[str, str, str, np.ndarray]]) -> AudioPack:
    """Write (name, text, speaker, int16 samples) one after the other; empty recordings are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.jsonl").unlink(missing_ok=True)
    index, start = [], 0
    with open(folder / "audio.i16", "wb") as audio:
        for name, text, speaker, samples in recordings:
            if samples.size:
                audio.write(np.asarray(samples, "<i2").tobytes())
                index.append(json.dumps(asdict(Utterance(name, text, speaker, start, samples.size))))
                start += samples.size
    partial = folder / "index.part"
    partial.write_text("\n".join(index) + "\n" if index else "")
    partial.rename(folder / "index.jsonl")
    return AudioPack(folder)
