"""Recordings through the board package on the host's kernels, integers only, in parallel processes."""

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import stapes_spec as spec
from stapes.errors import StapesError as PackageError
from stapes.recognizer import Recognizer

from .. import kernels
from ..device.client import board_fault
from .cost import Steps
from .float_recognizer import SUFFIX as FLOAT_SUFFIX
from .float_recognizer import FloatRecognizer
from .silence import first_silent_step
from .workers import hear_in_workers

_FREE_LATTICE_BYTES = 1 << 18


@dataclass(frozen=True)
class Heard:
    """What the recogniser made of one recording.

    Attributes:
        text: words of the best path.
        slots: slot name to words.
        complete: whether text is a whole sentence of the graph.
        intent: None when the sentence is not complete.
        cpu_s: processor time that it took.
        steps: what its steps ran; None in float arithmetic.
        doubt: nats per word, see stapes.lattice.Lattice.
    """

    text: str
    slots: dict[str, str]
    complete: bool
    intent: str | None = None
    cpu_s: float = 0.0
    steps: Steps | None = None
    doubt: float = 0.0


@dataclass(frozen=True)
class Decoder:
    """A graph and the tables to search it with.

    Attributes:
        graph: path of a compiled grammar, or its bytes.
        free: a free lexicon loop: with tables that no board has, and the graph's weights as they are.
        name: what errors call the graph; by default its path.
    """

    graph: str | bytes
    free: bool = False
    name: str = ""


class Sound(Protocol):
    """What can be heard; crosses to another process."""

    @property
    def effort(self) -> int | None:
        """Per cent, 0 to 100, of a model with branches; None leaves the board's own."""

    @property
    def context(self) -> tuple[str, ...]:
        """Phrases that are likely, where a grammar is searched."""

    @property
    def boost(self) -> float | None:
        """Nats for each word of such a phrase; None: as a board has it."""

    def samples(self) -> np.ndarray:
        """Return int16 [n], 16 kHz. Raises UserError."""


@dataclass(frozen=True)
class Samples:
    """A sound that is in memory."""

    values: np.ndarray
    effort: int | None = None
    context: tuple[str, ...] = ()
    boost: float | None = None

    def samples(self) -> np.ndarray:
        return self.values


class FreeRecognizer(Recognizer):
    """The board's recogniser with tables as large as the kernels take, for a loop of many words."""

    def _search_config(self):
        config = super()._search_config()
        config[spec.CONFIG_INDEX_MAX_TOKENS] = spec.LIMITS_SEARCH_TOKENS
        config[spec.CONFIG_INDEX_MAX_NODES] = spec.LIMITS_SEARCH_NODES
        config[spec.CONFIG_INDEX_MAX_EDGES] = spec.LIMITS_SEARCH_EDGES
        # Only the best path is wanted.
        config[spec.CONFIG_INDEX_MAX_ALTERNATIVES] = 1
        # A model's scale was chosen for the uniform weights of grammars; these are log-probabilities.
        config[spec.CONFIG_INDEX_LANGUAGE_SCALE] = 1 << spec.Q_LOG_PROB_FRACTION_BITS
        # Every word of the loop begins and ends in its start state.
        config[spec.CONFIG_INDEX_START_DISCOUNT] = 0
        return config

    def _allocate(self):
        super()._allocate()
        self._lattice = bytearray(_FREE_LATTICE_BYTES)


class Ear:
    """Recognisers of one model, opened once.

    Args:
        model: path of a .tflite file, or its bytes; or path of a checkpoint (.npz), for float arithmetic.
        decoders: what to search.
    Raises:
        UserError, BoardError: a file is missing or refused.
    """

    def __init__(self, model: str | bytes, decoders: Sequence[Decoder]):
        self._recognizers = [_open(model, decoder) for decoder in decoders]
        self._efforts = [recognizer.effort for recognizer in self._recognizers]  # the board's own

    def hear(self, sound: Sound) -> tuple[Heard, ...]:
        """Return what each decoder makes of a sound. Raises UserError, BoardError."""
        samples = sound.samples()
        try:
            return tuple(_recognise(recognizer, samples) for recognizer in self._set_for(sound))
        except PackageError as error:
            raise board_fault(error.code, error.where or "recognition", error.detail) from None

    def _set_for(self, sound: Sound) -> Iterator[Recognizer]:
        """The recognisers, each at the sound's effort or the board's own, those of a grammar with its context."""
        for recognizer, own in zip(self._recognizers, self._efforts, strict=True):
            recognizer.effort = own if sound.effort is None else sound.effort / 100
            if not isinstance(recognizer, FreeRecognizer | FloatRecognizer):
                recognizer.set_context(list(sound.context), sound.boost)
            yield recognizer


def recognise(model: str | bytes, graph: str | bytes, recordings: Iterable[np.ndarray], processes: int) -> list[Heard]:
    """Recognise recordings, int16 [n] at 16 kHz each, with one graph. Raises as Ear does."""
    heard = hear_all(model, [Decoder(graph)], map(Samples, recordings), processes)
    return [result for (result,) in heard]


def hear_all(
    model: str | bytes, decoders: Sequence[Decoder], sounds: Iterable[Sound], processes: int
) -> Iterator[tuple[Heard, ...]]:
    """Yield, in order, what each decoder makes of each sound.

    Args:
        model, decoders: see Ear.
        sounds: int16 [n] at 16 kHz each.
        processes: how many hear at once; 1 hears in this one.
    Raises:
        UserError, BoardError: a file is missing or refused, or a recording cannot be recognised.
    """
    return hear_in_workers(processes, Ear, (model, decoders), Ear.hear, sounds)


class FreeFloatRecognizer(FloatRecognizer, FreeRecognizer):
    """The same with float parameters."""


# By what is searched (a free loop or not) and by the arithmetic (float or not).
_KINDS: dict[tuple[bool, bool], type[Recognizer]] = {
    (False, False): Recognizer,
    (True, False): FreeRecognizer,
    (False, True): FloatRecognizer,
    (True, True): FreeFloatRecognizer,
}


def _open(model: str | bytes, decoder: Decoder) -> Recognizer:
    kind = _KINDS[decoder.free, isinstance(model, str) and model.endswith(FLOAT_SUFFIX)]
    try:
        return kind(model, decoder.graph, kernels=kernels.install(), max_context=spec.LIMITS_SEARCH_CONTEXT)
    except PackageError as error:
        named = decoder.name if error.where == decoder.graph else ""
        raise board_fault(error.code, named or error.where or "model", error.detail) from None


def _recognise(recognizer: Recognizer, samples: np.ndarray) -> Heard:
    began = time.process_time()
    recognizer.reset()
    steps = _hear_steps(recognizer, array("h", samples.astype("=i2").tobytes()), first_silent_step(samples))
    recognizer.input_finished()
    lattice = recognizer.lattice()
    spent = time.process_time() - began
    complete = bool(lattice.is_complete)
    return Heard(lattice.text, dict(lattice.slots), complete, lattice.intent, spent, steps, lattice.doubt)


def _hear_steps(recognizer: Recognizer, samples: array, silent: int) -> Steps | None:
    """Hear all samples, and count what their steps ran; the step silent is the first after the last speech."""
    if isinstance(recognizer, FloatRecognizer):
        recognizer.accept_waveform(samples)
        return None
    status, branches = recognizer.status, bytearray()
    view = memoryview(samples)
    for begin in range(0, len(samples), spec.FRONTEND_STEP_SAMPLES):
        if recognizer.accept_chunk(view[begin : begin + spec.FRONTEND_STEP_SAMPLES]):
            branches.append(status[spec.STATUS_INDEX_BRANCH])
    return Steps(
        len(branches),
        branches.count(spec.BRANCH_LIGHT),
        len(branches[silent:]),
        branches[silent:].count(spec.BRANCH_LIGHT),
        status[spec.STATUS_INDEX_JOINT_EVALUATIONS],
    )
