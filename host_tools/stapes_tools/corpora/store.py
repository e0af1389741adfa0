"""A pack of utterances on disk: samples in one file, one line of JSON per utterance beside it.

Packs lie in the cache (`$STAPES_CACHE`, else `.cache` in the repository's root) and are never
committed. `audio.i16` holds the samples, little-endian; `index.jsonl` is there when a pack is
whole; `pack.json` has the checksums (packs made before it existed lack it). Until then
`journal.jsonl` says, for every recording taken, what it was and the checksum of all samples up to
its end: making a pack goes on from the last line that agrees with the samples.
"""

import contextlib
import fcntl
import functools
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import stapes_spec

from stapes_tools.errors import UserError

_AUDIO, _INDEX, _SUMS, _JOURNAL, _LOCK = "audio.i16", "index.jsonl", "pack.json", "journal.jsonl", "lock"
_BLOCK_BYTES = 1 << 22


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
        lines = (folder / _INDEX).read_text().splitlines()
        self.utterances = [Utterance(**json.loads(line)) for line in lines]
        self._samples = np.memmap(folder / _AUDIO, np.int16, "r") if self.utterances else np.zeros(0, np.int16)

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
        return sum(utterance.length for utterance in self.utterances) / stapes_spec.AUDIO_SAMPLE_RATE_HZ / 3600


def is_whole(folder: Path) -> bool:
    """Whether a pack was finished, damaged or not."""
    return (folder / _INDEX).exists()


def damage(folder: Path) -> str | None:
    """What is wrong with a finished pack, or None; each state of its files is checked once per process."""
    files = [path for name in (_AUDIO, _INDEX, _SUMS) if (path := folder / name).exists()]
    return _damage(folder, tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@functools.cache
def _damage(folder: Path, state: tuple) -> str | None:
    try:
        utterances = [Utterance(**json.loads(line)) for line in (folder / _INDEX).read_text().splitlines()]
        size = (folder / _AUDIO).stat().st_size
    except (OSError, ValueError, TypeError) as error:
        return f"its index or its samples cannot be read ({error})"
    wanted = 2 * sum(utterance.length for utterance in utterances)
    if size != wanted:
        return f"it has {size} bytes of samples instead of {wanted}"
    if (folder / _SUMS).exists() and _read_sums(folder) != _sums(folder):
        return "its checksums do not agree"
    return None


def _read_sums(folder: Path) -> dict | None:
    try:
        return json.loads((folder / _SUMS).read_text())
    except (OSError, ValueError):
        return None


def _sums(folder: Path) -> dict:
    return {"version": 1, "audio_crc32": _file_crc(folder / _AUDIO), "index_crc32": _file_crc(folder / _INDEX)}


def _file_crc(path: Path) -> int:
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc


class PackWriter:
    """Adds utterances to a pack that may be half there already.

    Entered, `done` tells how many recordings it has taken, silent ones included; add the rest in
    the same order. The files are those of an uninterrupted run, to the last byte.

    Raises:
        UserError: on entering, if another process is making the same pack.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self.done = 0

    def __enter__(self) -> "PackWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_lock(self._folder))
            for name in (_INDEX, _SUMS):
                (self._folder / name).unlink(missing_ok=True)
            self._entries, self._start, self._crc = _sound_part(self._folder)
            self.done = len(self._entries)
            self._audio = stack.enter_context(open(self._folder / _AUDIO, "ab"))
            self._audio.truncate(2 * self._start)
            partial = self._folder / "journal.part"
            partial.write_text("".join(line + "\n" for line in self._entries))
            partial.rename(self._folder / _JOURNAL)
            self._journal = stack.enter_context(open(self._folder / _JOURNAL, "a"))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, name: str, text: str, speaker: str, samples: np.ndarray) -> None:
        """Append one utterance, int16 [n]; with n = 0 only that it was taken."""
        data = np.asarray(samples, "<i2").tobytes()
        self._crc = zlib.crc32(data, self._crc)
        self._audio.write(data)
        self._audio.flush()
        entry = asdict(Utterance(name, text, speaker, self._start, samples.size)) | {"crc32": self._crc}
        self._entries.append(json.dumps(entry))
        self._journal.write(self._entries[-1] + "\n")
        self._journal.flush()
        self._start += samples.size

    def finish(self) -> AudioPack:
        """Write index and checksums; the pack is whole from then on."""
        index = []
        for line in self._entries:
            entry = json.loads(line)
            del entry["crc32"]
            if entry["length"]:
                index.append(json.dumps(entry))
        partial = self._folder / "index.part"
        partial.write_text("\n".join(index) + "\n" if index else "")
        sums = {"version": 1, "audio_crc32": self._crc, "index_crc32": _file_crc(partial)}
        (self._folder / _SUMS).write_text(json.dumps(sums))
        partial.rename(self._folder / _INDEX)
        (self._folder / _JOURNAL).unlink()
        return AudioPack(self._folder)


def _sound_part(folder: Path) -> tuple[list[str], int, int]:
    """(journal lines, samples, their checksum) up to where journal and samples agree."""
    entries: list[str] = []
    start = crc = 0
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(folder / _AUDIO, "rb") as audio:
        for line in (folder / _JOURNAL).read_text().splitlines():
            entry = json.loads(line)
            now = zlib.crc32(audio.read(2 * entry["length"]), crc)
            if (entry["start"], entry["crc32"]) != (start, now):
                break
            entries.append(line)
            start, crc = start + entry["length"], now
    return entries, start, crc


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep a second process from writing the same pack."""
    with open(folder / _LOCK, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError("another process is making this pack", folder, "wait for it, or stop it") from None
        yield


def write_pack(folder: Path, recordings: Iterable[tuple[str, str, str, np.ndarray]]) -> AudioPack:
    """Write (name, text, speaker, int16 samples) from the start; empty recordings are left out."""
    (folder / _JOURNAL).unlink(missing_ok=True)
    with PackWriter(folder) as writer:
        for recording in recordings:
            writer.add(*recording)
        return writer.finish()
