"""Speak a list of sentences, or a grammar's, into a folder that is a corpus."""

import hashlib
import itertools
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stapes_tools.audio import read_recording
from stapes_tools.corpora.build import speech_tasks
from stapes_tools.corpora.executors import Executor
from stapes_tools.corpora.progress import tracked
from stapes_tools.corpora.readers import Line, text_lines
from stapes_tools.corpora.tables import add_to_tables, flac_bytes, make_folder, write_file
from stapes_tools.corpora.voices import synthesise
from stapes_tools.corpora.words import clean_words
from stapes_tools.errors import UserError
from stapes_tools.grammar.grammar import Grammar

# How far voices are varied beyond what their engines vary: unlike enough to be other people's.
_SEMITONES = 2.0
_FORMANTS = 0.1
_PEAK_DB = (-20.0, -1.0)  # dB full scale


@dataclass(frozen=True)
class Sentence:
    """What to say, and what it means if a grammar says so."""

    text: str
    intent: str | None = None
    slots: dict[str, str] | None = None


@dataclass(frozen=True)
class Task:
    """One utterance; equal tasks sound equal (but for piper's noise)."""

    sentence: Sentence
    voice: str
    seed: int
    is_varied: bool

    @property
    def name(self) -> str:
        """The recording's name: its voice, and a hash of all that it is made from."""
        made_from = f"1 {self.sentence.text}\n{self.voice} {self.seed} {self.is_varied}"
        voice = re.sub(r"[^a-z0-9]+", "-", self.voice.lower())
        return f"{voice}_{hashlib.sha256(made_from.encode()).hexdigest()[:10]}"


@dataclass(frozen=True)
class Spoken:
    """What came of it: recordings made now, found from an earlier run, and sentences an engine kept silent about."""

    made: int
    found: int
    silent: int
    in_all: int


def sentence_lines(path: Path) -> Iterator[Line]:
    """The sentences of a text file, one a line; blank lines are left out.

    Raises:
        CorpusError: there is no such file.
    """
    for number, text in text_lines(path):
        if text.strip():
            yield Line(f"{path}:{number}", (str(number), text.strip(), "", path))


def meant(texts: Iterable[str], grammar: Grammar | None) -> list[Sentence]:
    """Sentences with what they mean by a grammar, if there is one and it accepts them."""
    sentences = []
    for text in texts:
        found = grammar.accepts(clean_words(text)) if grammar else None
        sentences.append(Sentence(text, *found) if found else Sentence(text))
    return sentences


def sample_sentences(grammar: Grammar, count: int, seed: int) -> list[Sentence]:
    """Distinct sentences of a grammar, fewer than count if it is small."""
    found: dict[str, Sentence] = {}
    for text, intent, slots in grammar.sentences(20 * count, seed):
        found.setdefault(text, Sentence(text, intent, slots))
        if len(found) == count:
            break
    return list(found.values())


def plan(
    sentences: Sequence[Sentence], voices: Mapping[str, Sequence[str]], count: int, seed: int, vary: bool
) -> list[Task]:
    """Who says what: count utterances shared among engines, engine -> its voices."""
    shares = [len(range(place, count, len(voices))) for place in range(len(voices))]
    tasks = [
        [Task(*chosen, vary) for chosen in speech_tasks(sentences, voices[engine], share, seed, engine)]
        for engine, share in zip(voices, shares, strict=True)
    ]
    turns = itertools.zip_longest(*tasks)
    return [task for turn in turns for task in turn if task]


def speak(tasks: Sequence[Task], folder: Path, executor: Executor) -> Spoken:
    """Speak tasks into folder/NAME.flac and enter them in its tables; recordings that are there already stay.

    The tables are written even if it is stopped half way.

    Raises:
        UserError: an engine is missing or fails, or the folder cannot be written.
    """
    make_folder(folder)
    done = {task.name: task for task in tracked(tasks, "looking for earlier ones") if _is_there(folder, task.name)}
    to_do = [task for task in tasks if task.name not in done]
    found, silent = len(done), 0
    try:
        spoken = executor.map(spoken_flac, to_do)
        for task, data in zip(to_do, tracked(spoken, "speaking", len(tasks), found), strict=True):
            if data:
                write_file(folder / f"{task.name}.flac", data)
                done[task.name] = task
            else:
                silent += 1
    finally:
        in_all = add_to_tables(folder, {name: _entry(task) for name, task in done.items()})
    return Spoken(len(done) - found, found, silent, in_all)


def spoken_flac(task: Task) -> bytes:
    """One utterance as a FLAC file; empty if the engine said nothing."""
    samples = synthesise(task.sentence.text, task.voice, task.seed)
    if task.is_varied and samples.size:
        samples = _varied(samples, random.Random(task.name))
    return flac_bytes(samples) if samples.size else b""


def _varied(samples: np.ndarray, rng: random.Random) -> np.ndarray:
    """Pitch, formants and level drawn anew; the rate is the engine's."""
    from stapes_tools.corpora.effects import from_int16, to_int16
    from stapes_tools.corpora.voice_change import change_voice

    semitones = rng.uniform(-_SEMITONES, _SEMITONES)
    x = change_voice(from_int16(samples), semitones, rng.uniform(1 - _FORMANTS, 1 + _FORMANTS))
    return to_int16(x * (10 ** (rng.uniform(*_PEAK_DB) / 20) / max(float(np.abs(x).max()), 1e-5)))


def _is_there(folder: Path, name: str) -> bool:
    """Whether a recording was made before and is undamaged."""
    try:
        return read_recording(folder / f"{name}.flac").size > 0
    except UserError:
        return False


def _entry(task: Task) -> dict:
    entry: dict = {"text": " ".join(clean_words(task.sentence.text)), "speaker": task.voice}
    if task.sentence.slots is not None:
        entry |= {"intent": task.sentence.intent, "slots": task.sentence.slots}
    return entry
