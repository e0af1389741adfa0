"""When end-pointers decide on recordings: latency, early cuts, revisions, for the model's own and for the baselines."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec as spec
from stapes.errors import StapesError as PackageError
from stapes.recognizer import Recognizer

from .. import kernels
from ..audio import read_recording
from ..convert.metadata import EndpointSettings, decode_metadata
from ..convert.read import read_model
from ..device.client import board_fault
from ..endpoint.decisions import Decision, Figures, figures
from ..endpoint.trace import STEP, Pointer, step_ms
from ..endpoint.truth import speech_ms
from ..errors import UserError
from .bootstrap import Interval, interval
from .folder import Folder, Utterance
from .noise import Condition, in_noise, read_noise
from .recognition import Heard
from .run import Setup, Track, check_labels
from .scoring import accepted
from .workers import hear_in_workers

NAMES = {spec.ENDPOINT_RULE_NET: "net", spec.ENDPOINT_RULE_TRAILING: "trailing", spec.ENDPOINT_RULE_ENERGY: "energy"}
_RATE = spec.AUDIO_SAMPLE_RATE_HZ
_TAIL_MS = 2500  # a recording goes on for so long after the true end
_REPEATED_MS = 200


@dataclass(frozen=True)
class Rule:
    """An end-pointer to try."""

    rule: int
    settings: EndpointSettings

    @property
    def name(self) -> str:
        """net, trailing or energy."""
        return NAMES[self.rule]


@dataclass(frozen=True)
class Outcome:
    """What one end-pointer did on one utterance; heard: the result at its final decision."""

    decision: Decision
    heard: Heard


@dataclass(frozen=True)
class EndpointRow:
    """One end-pointer in one condition.

    Attributes:
        accepted: command acceptance when each utterance ends where it was decided; None without labels.
        decisions: one per utterance.
    """

    rule: str
    condition: Condition
    figures: Figures
    accepted: Interval | None
    decisions: list[Decision]


def rules_of(model: bytes) -> list[Rule]:
    """The model's own end-pointer first, then the baselines: Kaldi's trailing silence as it was before, and energy."""
    tuned = decode_metadata(model).endpoint
    settings = tuned or EndpointSettings()
    has_net = any(part.name == spec.ENDPOINT_SUBGRAPH for part in read_model(model).subgraphs)
    own = [Rule(spec.ENDPOINT_RULE_NET, settings)] if tuned and has_net else []
    return [*own, Rule(spec.ENDPOINT_RULE_TRAILING, EndpointSettings()), Rule(spec.ENDPOINT_RULE_ENERGY, settings)]


@dataclass(frozen=True)
class Listened:
    """An utterance in a condition, and its true end."""

    utterance: Utterance
    condition: Condition

    def samples(self) -> tuple[np.ndarray, int]:
        """(int16 [n] that goes on for 2.5 s after the true end, the true end in ms).

        The end is that of the clean recording. What a recording lacks after it is its last 200 ms repeated, or digital
        silence where less than that follows the end.

        Raises:
            UserError: the recording is bad, or there is no speech in it.
        """
        clean = read_recording(self.utterance.path)
        span = speech_ms(clean)
        if span is None:
            raise UserError("no speech was found in it", self.utterance.path, "take it out of the folder")
        wanted = (span[1] + _TAIL_MS) * _RATE // 1000
        repeated = _REPEATED_MS * _RATE // 1000
        missing = wanted - len(clean)
        if missing > 0:
            has_tail = len(clean) - span[1] * _RATE // 1000 >= repeated
            tail = np.resize(clean[-repeated:], missing) if has_tail else np.zeros(missing, np.int16)
            clean = np.concatenate([clean, tail])
        return in_noise(clean, self.utterance.name, self.condition), span[1]


class Watcher:
    """A recogniser with several end-pointers beside it.

    Args:
        model: a .tflite file's bytes.
        graph: a compiled grammar's.
        rules: what to try.
    Raises:
        UserError, BoardError: a file is refused.
    """

    def __init__(self, model: bytes, graph: bytes, rules: Sequence[Rule]):
        try:
            self._recognizer = Recognizer(model, graph, kernels=kernels.install())
            self._watches = [_Watch(self._recognizer, rule) for rule in rules]
        except PackageError as error:
            raise board_fault(error.code, error.where or "model", error.detail) from None

    def watch(self, sound: Listened) -> list[Outcome]:
        """What each end-pointer does. Raises UserError, BoardError."""
        samples, end_ms = sound.samples()
        heard = array("h", samples.astype("=i2").tobytes())
        try:
            return self._watch(heard, end_ms)
        except PackageError as error:
            raise board_fault(error.code, error.where or "recognition", error.detail) from None

    def _watch(self, samples: array, end_ms: int) -> list[Outcome]:
        self._recognizer.reset()
        for one in self._watches:
            one.restart()
        steps = 0
        for begin in range(0, len(samples), STEP):
            if self._recognizer.accept_chunk(samples[begin : begin + STEP]):
                for one in self._watches:
                    one.step(int(step_ms(np.array(steps))))
                steps += 1
        if any(one.heard is None for one in self._watches):
            self._recognizer.input_finished()
        return [one.outcome(end_ms) for one in self._watches]


class _Watch:
    """One end-pointer during one utterance."""

    def __init__(self, recognizer: Recognizer, rule: Rule):
        self._recognizer = recognizer
        self._pointer = Pointer(recognizer, rule.rule, rule.settings)
        self.restart()

    def restart(self) -> None:
        self._pointer.restart()
        self._started: tuple[int, str] | None = None
        self._final_ms: int | None = None
        self._is_revised = False
        self.heard: Heard | None = None

    def step(self, now_ms: int) -> None:
        verdict = self._pointer.step()
        if verdict == spec.VERDICT_SPECULATE:
            self._started = now_ms, self._recognizer.partial_result()
        elif verdict == spec.VERDICT_RETRACT:
            self._started, self._is_revised = None, True
        elif verdict == spec.VERDICT_FINAL:
            self._final_ms = now_ms
            if self._started and self._started[1] != self._recognizer.partial_result():
                self._is_revised = True
            self.heard = self._result()

    def outcome(self, end_ms: int) -> Outcome:
        started = self._started[0] if self._started else None
        return Outcome(Decision(end_ms, started, self._final_ms, self._is_revised), self.heard or self._result())

    def _result(self) -> Heard:
        lattice = self._recognizer.lattice()
        return Heard(lattice.text, dict(lattice.slots), bool(lattice.is_complete), lattice.intent)


def evaluate_endpoints(folder: Folder, setup: Setup, track: Track = lambda things, *_: things) -> Iterator[EndpointRow]:
    """Yield a row for each condition and end-pointer, the model's own first.

    Args:
        folder: recordings.
        setup: what is evaluated; with a grammar. The true end is that of the clean recording in every condition.
    Raises:
        UserError, BoardError: a file is refused, labels and grammar do not fit, or a recording is bad.
    """
    assert setup.grammar is not None, "end-pointers need a grammar"
    conditions = setup.conditions
    if folder.has_commands:
        check_labels(folder, setup.grammar, setup.grammar_name)
    for condition in conditions:
        if condition.noise:
            read_noise(condition.noise)
    data, graph = _contents(setup.model), setup.grammar.read_bytes()
    rules = rules_of(data)
    sounds = [Listened(utterance, condition) for condition in conditions for utterance in folder.utterances]
    watched = hear_in_workers(setup.processes, Watcher, (data, graph, rules), Watcher.watch, sounds)
    found = list(track(watched, len(sounds), "listening"))
    for number, condition in enumerate(conditions):
        first = number * len(folder.utterances)
        part = found[first : first + len(folder.utterances)]
        for place, rule in enumerate(rules):
            yield _row(rule, condition, folder.utterances, [outcomes[place] for outcomes in part])


def _contents(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", model, "check the path") from None


def _row(rule: Rule, condition: Condition, utterances: Sequence[Utterance], outcomes: Sequence[Outcome]) -> EndpointRow:
    decisions = [one.decision for one in outcomes]
    good = [
        accepted(one.heard, utterance.slots, utterance.intent)
        for one, utterance in zip(outcomes, utterances, strict=True)
        if utterance.slots is not None
    ]
    share = interval(np.array(good, int), np.ones(len(good), int)) if len(good) == len(outcomes) else None
    return EndpointRow(rule.name, condition, figures(decisions), share, decisions)
