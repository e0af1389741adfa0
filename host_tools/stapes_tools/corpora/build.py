"""Make audio packs: synthetic speech by several engines, and recordings read from corpora.

Every utterance is an independent map, spread over processes or a cluster. Packs are cached by a
hash of all that went into them; one that was stopped half way goes on where it was.
"""

import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from stapes_tools import audio
from stapes_tools.corpora import store
from stapes_tools.corpora.check import LONGEST_S, faults_of_recordings, faults_of_words
from stapes_tools.corpora.executors import Executor, InProcess, choose, worker_pool
from stapes_tools.corpora.progress import tracked
from stapes_tools.corpora.readers import CorpusError, Line, Recording
from stapes_tools.corpora.store import AudioPack, PackWriter, cache_root
from stapes_tools.corpora.voices import list_voices, synthesise
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon

__all__ = ["content_hash", "corpus_pack", "read_recording", "recorded_pack", "synthetic_pack", "worker_pool"]

Row = tuple[str, str, str, np.ndarray]
T = TypeVar("T")

_log = logging.getLogger(__name__)


def content_hash(*parts: object) -> str:
    """Short hash of JSON-able values, for cache folder names."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def synthetic_pack(
    sentences: Sequence[str],
    engine: str,
    count: int,
    seed: int,
    *,
    processes: int = 1,
    voices: Sequence[str] | None = None,
    executor: Executor | None = None,
) -> AudioPack:
    """Speak count utterances with one engine: shuffled sentences (repeated if there are too few), voices at random.

    Args:
        sentences: what to say.
        engine: see stapes_tools.corpora.voices.
        count: utterances.
        seed: chooses sentences, voices and their settings.
        processes: how many work at once.
        voices: voices to use; the engine's training voices by default.
        executor: where the work is done, instead of processes here.
    Raises:
        EngineMissingError: the engine is not installed.
        UserError: another process is making the same pack.
    """
    chosen = list(list_voices(engine) if voices is None else voices)
    folder = _folder(engine, sentences, chosen, count, seed)
    return _pack(folder, speech_tasks(sentences, chosen, count, seed, engine), _speak, executor or choose(processes))


def speech_tasks(
    sentences: Sequence[T], voices: Sequence[str], count: int, seed: int, name: str
) -> list[tuple[T, str, int]]:
    """Who says what: (sentence, voice, seed) of count utterances; seed and name make the choices."""
    rng = random.Random(f"{seed} {name}")
    order = list(sentences)
    rng.shuffle(order)
    return [(order[i % len(order)], rng.choice(voices), seed + i) for i in range(count)]


def recorded_pack(name: str, recordings: Iterable[Recording], executor: Executor | None = None) -> AudioPack:
    """Decode recordings into a pack.

    Args:
        name: what the pack's folder is called, before the hash of recordings' names, texts and paths.
        recordings: see stapes_tools.corpora.readers.
        executor: where they are decoded; here by default.
    Raises:
        CorpusError: a file is missing, damaged or not 16 kHz mono.
    """
    rows = list(recordings)
    return _pack(_folder(name, rows), rows, _decode, executor or InProcess())


def corpus_pack(
    name: str, lines: Iterable[Line], lexicon: Lexicon, on_bad: str, executor: Executor | None = None
) -> AudioPack:
    """Decode a corpus into a pack, bad lines apart.

    Args:
        name: see recorded_pack.
        lines: see stapes_tools.corpora.readers.
        lexicon: pronunciations that there are.
        on_bad: "stop" at the first bad line; or "skip" them, one warning for each when the pack is
            made and one in all when it is found in the cache. An utterance with a word that the
            lexicon does not hold stays in the pack, where another lexicon may want it.
    Raises:
        CorpusError: a line is bad and on_bad is "stop".
    """
    given = list(lines)
    executor = executor or InProcess()
    rows = [line.recording for line in given if line.recording]
    is_new = not store.is_whole(_folder(name, rows))
    lost: list[CorpusError | None] = _lost(name, given, executor) if is_new else [None] * len(rows)
    errors = list(_faults(given, lost, lexicon, is_new))
    if errors and on_bad == "stop":
        raise errors[0]
    for error in errors if is_new else ():
        _log.warning("%s; skipped", error)
    if errors and not is_new:
        _log.warning("%s: %d faults in its lines, which are skipped; stapes corpus check lists them", name, len(errors))
    return recorded_pack(name, [row for row, fault in zip(rows, lost, strict=True) if not fault], executor)


def read_recording(path: Path) -> np.ndarray:
    """int16 samples of a 16 kHz mono recording.

    Raises:
        CorpusError: the file is missing, damaged, cut short, empty, not mono or at another rate.
    """
    try:
        return audio.read_recording(path, LONGEST_S)
    except UserError as error:
        raise CorpusError(error.what, error.path, error.advice) from None


def _faults(
    lines: list[Line], lost: list[CorpusError | None], lexicon: Lexicon, with_hints: bool
) -> Iterator[CorpusError]:
    """Every fault in the order of the lines; lost has one place per recording."""
    of_recordings = iter(lost)
    for line in lines:
        if line.error:
            yield line.error
        if line.recording:
            yield from faults_of_words(line, lexicon, with_hints)
            fault = next(of_recordings)
            if fault:
                yield fault


def _lost(name: str, lines: list[Line], executor: Executor) -> list[CorpusError | None]:
    """What is wrong with each recording; remembered until one of the files changes."""
    rows = [line.recording for line in lines if line.recording]
    state = [(path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None for *_, path in rows]
    memo = cache_root() / "checks" / f"{name}-{content_hash(rows, state)}.json"
    if not memo.exists():
        faults = tracked(faults_of_recordings(lines, executor), f"checking {name}", len(rows))
        found = [fault and [fault.what, fault.path, fault.advice] for fault in faults]
        memo.parent.mkdir(parents=True, exist_ok=True)
        partial = memo.with_suffix(".part")
        partial.write_text(json.dumps(found))
        partial.rename(memo)
    return [fault and CorpusError(*fault) for fault in json.loads(memo.read_text())]


def _pack(folder: Path, tasks: Sequence[T], work: Callable[[T], Row], executor: Executor) -> AudioPack:
    """The pack in folder, made or finished if need be."""
    if store.is_whole(folder):
        wrong = store.damage(folder)
        if wrong is None:
            return AudioPack(folder)
        _log.warning("%s: damaged, %s; it is made again", folder, wrong)
    with PackWriter(folder) as writer:
        rows = executor.map(work, tasks[writer.done :])
        for row in tracked(rows, folder.name.rpartition("-")[0], len(tasks), writer.done):
            writer.add(*row)
        return writer.finish()


def _folder(name: str, *parts: object) -> Path:
    return cache_root() / "audio" / f"{name}-{content_hash(*parts)}"


def _decode(recording: Recording) -> Row:
    name, text, speaker, path = recording
    return name, text, speaker, read_recording(path)


def _speak(task: tuple[str, str, int]) -> Row:
    text, voice, seed = task
    return f"{voice}-{seed}", text, voice, synthesise(text, voice, seed)
