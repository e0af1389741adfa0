"""Make audio packs: synthetic speech by several engines, and recordings read from corpora.

Every utterance is an independent map, spread over processes. Packs are cached by a hash of all
that went into them.
"""

import hashlib
import json
import multiprocessing
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from stapes_tools.corpora.readers import CorpusError, Recording
from stapes_tools.corpora.store import AudioPack, cache_root, write_pack
from stapes_tools.corpora.voices import SAMPLE_RATE, list_voices, synthesise

Row = tuple[str, str, str, np.ndarray]


def content_hash(*parts: object) -> str:
    """Short hash of JSON-able values, for cache folder names."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def synthetic_pack(
    sentences: Sequence[str], engine: str, count: int, seed: int, *, processes: int, voices: Sequence[str] | None = None
) -> AudioPack:
    """Speak count utterances with one engine: shuffled sentences (repeated if there are too few), voices at random.

    Args:
        sentences: what to say.
        engine: see stapes_tools.corpora.voices.
        count: utterances.
        seed: chooses sentences, voices and their settings.
        processes: how many work at once.
        voices: voices to use; the engine's training voices by default.
    """
    chosen = list(list_voices(engine) if voices is None else voices)
    folder = cache_root() / "audio" / f"{engine}-{content_hash(sentences, chosen, count, seed)}"
    if (folder / "index.jsonl").exists():
        return AudioPack(folder)
    rng = random.Random(f"{seed} {engine}")
    order = list(sentences)
    rng.shuffle(order)
    tasks = [(order[i % len(order)], rng.choice(chosen), seed + i) for i in range(count)]
    return write_pack(folder, _in_processes(_speak, tasks, processes))


def recorded_pack(name: str, recordings: Iterable[Recording]) -> AudioPack:
    """Decode recordings into a pack.

    Raises:
        CorpusError: a file is missing or not 16 kHz mono.
    """
    rows = list(recordings)
    folder = cache_root() / "audio" / f"{name}-{content_hash(rows)}"
    if (folder / "index.jsonl").exists():
        return AudioPack(folder)
    return write_pack(folder, (_decode(*row) for row in rows))


def read_recording(path: Path) -> np.ndarray:
    """int16 samples of a 16 kHz mono recording.

    Raises:
        CorpusError: the file is missing, damaged, not mono or at another rate.
    """
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (OSError, soundfile.LibsndfileError):
        raise CorpusError(f"{path}: missing or damaged; fetch the corpus again") from None
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise CorpusError(f"{path}: not 16 kHz mono; resample it with: sox IN -r 16000 -c 1 OUT.wav")
    return samples


def worker_pool(processes: int, **options) -> ProcessPoolExecutor:
    """Fresh processes: a forked one may inherit a lock that a thread of numpy or TensorFlow holds."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), **options)


def _decode(name: str, text: str, speaker: str, path: Path) -> Row:
    return name, text, speaker, read_recording(path)


def _speak(task: tuple[str, str, int]) -> Row:
    text, voice, seed = task
    return f"{voice}-{seed}", text, voice, synthesise(text, voice, seed)


def _in_processes(work, tasks: list, processes: int) -> Iterator[Row]:
    if processes <= 1:
        yield from map(work, tasks)
        return
    with worker_pool(processes) as pool:
        yield from pool.map(work, tasks, chunksize=8)
