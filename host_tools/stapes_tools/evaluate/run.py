"""The whole evaluation: every utterance in every condition, scored to one row per condition."""

import contextlib
import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec as spec

from ..convert.work import Work, require_branches, work_of
from ..errors import UserError
from ..grammar.graph import parse_graph
from .bootstrap import Interval, interval
from .cost import Cost, cost_of
from .float_recognizer import SUFFIX as FLOAT_SUFFIX
from .folder import Folder, Utterance, durations_s
from .likely import NOTHING_LIKELY, Likely
from .loop import compiled_loop, vocabulary
from .noise import Condition, in_noise, read_noise
from .recognition import Decoder, Heard, hear_all
from .scoring import WordErrors, accepted, spoken_words, word_errors

# What a further hearing begins later by, within a step, and how many hearings are then all different.
_DELAY_SAMPLES = 185
MOST_HEARINGS = 96

# (things, how many, what is done to them) -> the same things, while somebody watches.
Track = Callable[[Iterable, int, str], Iterable]


@dataclass(frozen=True)
class Setup:
    """What is evaluated, and how.

    Attributes:
        model: .tflite.
        grammar: compiled (.stg); None: only a free lexicon loop is searched.
        grammar_name: what errors call it.
        conditions: one row each, at each effort.
        processes: how many recordings are recognised at once.
        efforts: per cent, 0 to 100, of a model with branches; None leaves the board's own.
        free: search the free lexicon loop beside the grammar.
        likely: the context in which the grammar is searched.
        hearings: of every recording, see Recording.
        lead_s: the same.
    """

    model: Path
    grammar: Path | None
    grammar_name: str
    conditions: Sequence[Condition]
    processes: int = 1
    efforts: Sequence[int | None] = (None,)
    free: bool = True
    likely: Likely = NOTHING_LIKELY
    hearings: int = 1
    lead_s: float = 0.0


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
    """The figures of one condition at one effort; None where it was not searched, or no slots are labelled.

    Attributes:
        command_acceptance: share of the commands that count as understood.
        wer: word error rate with the grammar.
        wer_free: word error rate of the free lexicon loop.
        out_of_vocabulary: share of the reference's words that are not among the loop's.
        real_time_factor: processor seconds per second of audio on this computer, one core, with the
            grammar if there is one.
        audio_s: seconds of audio that were heard.
        model_bytes: size of the model file.
        effort: per cent; None: as the board sets it, or the model has no branches.
        cost: in multiplications; None in float arithmetic, or where no recording makes up a step.
        hearings: how often every utterance was heard.
        lead_s: seconds of noise before it.
    """

    condition: Condition
    utterances: int
    command_acceptance: Interval | None
    wer: Interval | None
    wer_free: Interval | None
    out_of_vocabulary: float | None
    real_time_factor: float
    audio_s: float
    model_bytes: int
    mistakes: list[Mistake]
    effort: int | None = None
    cost: Cost | None = None
    hearings: int = 1
    lead_s: float = 0.0


@dataclass(frozen=True)
class Recording:
    """An utterance in a condition, heard with an effort; read and mixed by the process that recognises it.

    Another hearing begins some milliseconds later, so that steps fall elsewhere, and in another stretch of the noise:
    what a recogniser understands of one recording is partly chance. Before its first sample the noise, or nothing, is
    heard alone for lead_s seconds.
    """

    utterance: Utterance
    condition: Condition
    effort: int | None = None
    context: tuple[str, ...] = ()
    boost: float | None = None
    hearing: int = 0
    lead_s: float = 0.0

    def samples(self) -> np.ndarray:
        """Return int16 [n]. Raises UserError."""
        from ..audio import read_recording

        speech, name = read_recording(self.utterance.path), self.utterance.name
        if self.hearing:
            delay = np.zeros(self.hearing * _DELAY_SAMPLES % spec.FRONTEND_STEP_SAMPLES, np.int16)
            speech, name = np.concatenate([delay, speech]), f"{name} {self.hearing}"
        return in_noise(speech, name, self.condition, round(self.lead_s * spec.AUDIO_SAMPLE_RATE_HZ))


def evaluate(folder: Folder, setup: Setup, track: Track = lambda things, *_: things) -> Iterator[Row]:
    """Yield the rows of an evaluation, in the order of the efforts, at each in that of the conditions.

    Everything that can be checked is checked before the first recording is recognised.

    Raises:
        UserError, BoardError: a file is refused, labels and grammar do not fit, a recording is bad, or the model
            has no branches for an effort.
    """
    if setup.grammar and folder.has_commands:
        check_labels(folder, setup.grammar, setup.grammar_name)
    for condition in setup.conditions:
        if condition.noise:
            read_noise(condition.noise)
    work = _work(setup)
    free = setup.free or not setup.grammar
    loop = compiled_loop() if free else None
    utterances = folder.utterances
    audio_s = sum(track(durations_s(utterances), len(utterances), "reading"))
    words = vocabulary(loop) if loop else None
    audio_s += setup.lead_s * len(utterances)
    size = _size(setup.model)
    scorer = _Scorer(utterances, bool(setup.grammar), words, audio_s, size, work, setup.hearings, setup.lead_s)
    decoders = [Decoder(str(loop), free=True)] if loop else []
    if setup.grammar:
        decoders.insert(0, Decoder(str(setup.grammar), name=setup.grammar_name))
    rows = list(itertools.product(setup.efforts, setup.conditions))
    contexts = setup.likely.contexts(utterances)
    sounds = [
        Recording(utterance, condition, effort, context, setup.likely.boost, hearing, setup.lead_s)
        for effort, condition in rows
        for hearing in range(setup.hearings)
        for utterance, context in zip(utterances, contexts, strict=True)
    ]
    heard = iter(track(hear_all(str(setup.model), decoders, sounds, setup.processes), len(sounds), "recognising"))
    for effort, condition in rows:
        yield scorer.row(condition, effort, list(itertools.islice(heard, setup.hearings * len(utterances))))


def _work(setup: Setup) -> Work | None:
    """What the model multiplies; None for a checkpoint, and for a file that its opening will refuse.

    Raises:
        UserError: an effort is asked for, and the model has no branches.
    """
    work = None
    if setup.model.is_file() and setup.model.suffix != FLOAT_SUFFIX:
        with contextlib.suppress(UserError):
            work = work_of(setup.model.read_bytes())
    if setup.likely and setup.model.suffix == FLOAT_SUFFIX:
        raise UserError("a checkpoint is heard without a context", setup.model, "give its .tflite, or no context")
    if any(effort is not None for effort in setup.efforts):
        if setup.model.suffix == FLOAT_SUFFIX:
            raise UserError("a checkpoint is heard without branches", setup.model, "give its .tflite, or no effort")
        require_branches(work, setup.model)
    return work


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
    """Makes rows of what was heard: (with the grammar, if any; free, if words) of all utterances, as often as heard."""

    utterances: Sequence[Utterance]
    has_grammar: bool
    words: frozenset[str] | None
    audio_s: float
    model_bytes: int
    work: Work | None = None
    hearings: int = 1
    lead_s: float = 0.0

    def row(self, condition: Condition, effort: int | None, heard: Sequence[tuple[Heard, ...]]) -> Row:
        first, free = [results[0] for results in heard], [results[-1] for results in heard]
        errors = self._errors(first)
        free_errors = None if self.words is None else self._errors(free) if self.has_grammar else errors
        good = self._accepted(first) if self.has_grammar else None
        wrong = [not right for right in good] if good else [bool(one.errors) for one in errors]
        return Row(
            condition,
            len(self.utterances),
            self._rate(good, [1] * len(good)) if good else None,
            self._word_errors(errors) if self.has_grammar else None,
            self._word_errors(free_errors) if free_errors else None,
            self._out_of_vocabulary(),
            sum(result.cpu_s for result in first) / (self.audio_s * self.hearings),
            self.audio_s * self.hearings,
            self.model_bytes,
            [
                Mistake(utterance.name, utterance.text, result.text, utterance.slots, result.slots)
                for utterance, result in itertools.compress(self._with_utterances(first), wrong)
            ],
            effort,
            self._cost(first),
            self.hearings,
            self.lead_s,
        )

    def _with_utterances(self, heard: Sequence[Heard]) -> Iterator[tuple[Utterance, Heard]]:
        return zip(itertools.chain.from_iterable([self.utterances] * self.hearings), heard, strict=True)

    def _rate(self, numerators: Sequence[int], denominators: Sequence[int]) -> Interval | None:
        """Of what was counted at every hearing; the hearings of one utterance are no independent draws."""
        shape = (self.hearings, len(self.utterances))
        return interval(
            *(np.reshape(np.array(counts, int), shape).sum(axis=0) for counts in (numerators, denominators))
        )

    def _word_errors(self, errors: Sequence[WordErrors]) -> Interval | None:
        return self._rate([one.errors for one in errors], [one.words for one in errors])

    def _cost(self, heard: Sequence[Heard]) -> Cost | None:
        steps = [result.steps for result in heard if result.steps]
        return cost_of(self.work, steps) if self.work and steps else None

    def _accepted(self, heard: Sequence[Heard]) -> list[bool] | None:
        good = []
        for utterance, result in self._with_utterances(heard):
            if utterance.slots is None:
                return None
            good.append(accepted(result, utterance.slots, utterance.intent))
        return good

    def _errors(self, heard: Sequence[Heard]) -> list[WordErrors]:
        pairs = self._with_utterances(heard)
        return [word_errors(spoken_words(utterance.text), spoken_words(result.text)) for utterance, result in pairs]

    def _out_of_vocabulary(self) -> float | None:
        if self.words is None:
            return None
        said = [word for utterance in self.utterances for word in spoken_words(utterance.text).split()]
        return sum(word not in self.words for word in said) / max(1, len(said))
