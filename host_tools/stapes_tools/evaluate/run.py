"""The whole evaluation: every utterance in every condition, scored to one row per condition."""

import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..grammar.graph import parse_graph
from .bootstrap import Interval, interval
from .folder import Folder, Utterance, durations_s
from .loop import compiled_loop, vocabulary
from .noise import Condition, in_noise, read_noise
from .recognition import Decoder, Heard, hear_all
from .scoring import WordErrors, accepted, spoken_words, word_errors

# (things, how many, what is done to them) -> the same things, while somebody watches.
Track = Callable[[Iterable, int, str], Iterable]


@dataclass(frozen=True)
class Setup:
    """What is evaluated, and how.

    Attributes:
        model: .tflite.
        grammar: compiled (.stg); None: only a free lexicon loop is searched.
        grammar_name: what errors call it.
        conditions: one row each.
        processes: how many recordings are recognised at once.
    """

    model: Path
    grammar: Path | None
    grammar_name: str
    conditions: Sequence[Condition]
    processes: int = 1


@dataclass(frozen=True)
class Mistake:
    """A command that was not accepted, or a sentence with wrong words."""

    name: str
    said: str
    heard: str
    said_slots: dict[str, str] | None
    heard_slots: dict[str, str]


@dataclass(frozen=True)
class Row:
    """The figures of one condition; None where there was no grammar, or no slots are labelled.

    Attributes:
        command_acceptance: share of the commands that count as understood.
        wer: word error rate with the grammar.
        wer_free: word error rate of the free lexicon loop.
        out_of_vocabulary: share of the reference's words that are not among the loop's.
        real_time_factor: processor seconds per second of audio on this computer, one core, with the
            grammar if there is one.
        audio_s: seconds of audio.
        model_bytes: size of the model file.
    """

    condition: Condition
    utterances: int
    command_acceptance: Interval | None
    wer: Interval | None
    wer_free: Interval | None
    out_of_vocabulary: float
    real_time_factor: float
    audio_s: float
    model_bytes: int
    mistakes: list[Mistake]


@dataclass(frozen=True)
class Recording:
    """An utterance in a condition; read and mixed by the process that recognises it."""

    utterance: Utterance
    condition: Condition

    def samples(self) -> np.ndarray:
        """Return int16 [n]. Raises UserError."""
        from ..audio import read_recording

        return in_noise(read_recording(self.utterance.path), self.utterance.name, self.condition)


def evaluate(folder: Folder, setup: Setup, track: Track = lambda things, *_: things) -> Iterator[Row]:
    """Yield the rows of an evaluation, in the order of the conditions.

    Everything that can be checked is checked before the first recording is recognised.

    Raises:
        UserError, BoardError: a file is refused, labels and grammar do not fit, or a recording is bad.
    """
    if setup.grammar and folder.has_commands:
        check_labels(folder, setup.grammar, setup.grammar_name)
    for condition in setup.conditions:
        if condition.noise:
            read_noise(condition.noise)
    loop = compiled_loop()
    utterances = folder.utterances
    audio_s = sum(track(durations_s(utterances), len(utterances), "reading"))
    scorer = _Scorer(utterances, bool(setup.grammar), vocabulary(loop), audio_s, _size(setup.model))
    decoders = [Decoder(str(loop), free=True)]
    if setup.grammar:
        decoders.insert(0, Decoder(str(setup.grammar), name=setup.grammar_name))
    sounds = [Recording(utterance, condition) for condition in setup.conditions for utterance in utterances]
    heard = iter(track(hear_all(str(setup.model), decoders, sounds, setup.processes), len(sounds), "recognising"))
    for condition in setup.conditions:
        yield scorer.row(condition, list(itertools.islice(heard, len(utterances))))


def check_labels(folder: Folder, grammar: Path, name: str) -> None:
    """Refuse labels that the grammar can never give: they would count as errors of the recogniser.

    Args:
        grammar: .stg.
        name: what errors call it.
    Raises:
        UserError: a slot or an intent is unknown, or the grammar is damaged.
    """
    graph = parse_graph(grammar.read_bytes(), name)
    slots, intents = {word.slot for word in graph.words} - {""}, set(graph.intents)
    for utterance in folder.utterances:
        labels = [("slot", slot, slots) for slot in utterance.slots or {}]
        if utterance.intent is not None:
            labels.append(("intent", utterance.intent, intents))
        for kind, label, known in labels:
            if label not in known:
                near = difflib.get_close_matches(label, known, n=1)
                hint = f"did you mean {near[0]!r}? Otherwise " if near else ""
                what = f"{utterance.name!r} has the {kind} {label!r}, which {name} does not know"
                raise UserError(what, folder.references, f"{hint}give the grammar that the labels were made for")


def _size(model: Path) -> int:
    """Return a file's size; what is wrong with the file is said when it is opened."""
    return model.stat().st_size if model.is_file() else 0


@dataclass(frozen=True)
class _Scorer:
    """Makes rows of what was heard; heard[k] is (with the grammar, if any; free) of utterance k."""

    utterances: Sequence[Utterance]
    has_grammar: bool
    words: frozenset[str]
    audio_s: float
    model_bytes: int

    def row(self, condition: Condition, heard: Sequence[tuple[Heard, ...]]) -> Row:
        first, free = [results[0] for results in heard], [results[-1] for results in heard]
        errors = self._errors(first)
        good = self._accepted(first) if self.has_grammar else None
        wrong = [not right for right in good] if good else [bool(one.errors) for one in errors]
        return Row(
            condition,
            len(heard),
            interval(np.array(good, int), np.ones(len(good), int)) if good else None,
            _rate(errors) if self.has_grammar else None,
            _rate(self._errors(free) if self.has_grammar else errors),
            self._out_of_vocabulary(),
            sum(result.cpu_s for result in first) / self.audio_s,
            self.audio_s,
            self.model_bytes,
            [
                Mistake(utterance.name, utterance.text, result.text, utterance.slots, result.slots)
                for utterance, result in itertools.compress(zip(self.utterances, first, strict=True), wrong)
            ],
        )

    def _accepted(self, heard: Sequence[Heard]) -> list[bool] | None:
        good = []
        for utterance, result in zip(self.utterances, heard, strict=True):
            if utterance.slots is None:
                return None
            good.append(accepted(result, utterance.slots, utterance.intent))
        return good

    def _errors(self, heard: Sequence[Heard]) -> list[WordErrors]:
        pairs = zip(self.utterances, heard, strict=True)
        return [word_errors(spoken_words(utterance.text), spoken_words(result.text)) for utterance, result in pairs]

    def _out_of_vocabulary(self) -> float:
        said = [word for utterance in self.utterances for word in spoken_words(utterance.text).split()]
        return sum(word not in self.words for word in said) / max(1, len(said))


def _rate(errors: Sequence[WordErrors]) -> Interval | None:
    return interval(np.array([one.errors for one in errors]), np.array([one.words for one in errors]))
