"""The board package in this very process, under CPython, with the host build of the kernels."""

import time
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.errors import StapesError as PackageError
from stapes.event import Event
from stapes.listener import Listener
from stapes.trace import TracedRecognizer

from .. import kernels
from .client import board_fault
from .session import PLAIN, Order, Progress


class HostSession:
    """Like Session, without a link.

    Args:
        model, grammar: files.
        speed: None goes as fast as it can, 1.0 as fast as it was spoken.
        names: path of a file to the name that errors call it.
    """

    name = "host"

    def __init__(
        self, model: Path, grammar: Path, speed: float | None = None, names: Mapping[str, str] | None = None
    ) -> None:
        self._names = dict(names or {})
        self._paths = (str(model), str(grammar))
        self._speed = speed
        self._recognizer: TracedRecognizer | None = None
        self._utterance = 0
        self.about: dict = {}

    def __enter__(self) -> "HostSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget model and grammar."""
        self._recognizer = None

    def connect(self) -> dict:
        """Load model and grammar; return what a board would say of itself.

        Raises:
            UserError: one of them is refused.
        """
        try:
            self._recognizer = TracedRecognizer(self._paths[0], self._paths[1], kernels=kernels.install())
        except PackageError as error:
            where = self._names.get(error.where, error.where)
            raise board_fault(error.code, where or self.name, error.detail) from None
        self.about = {
            "board": "host",
            "firmware": spec.PROJECT_VERSION,
            "protocol": spec.VERSION_PROTOCOL,
            "kernels": "stapes_kernels",
            "bytes": self._recognizer.memory_bytes,
            "branches": self._recognizer.model.branches,
            "clock_hz": None,
        }
        return self.about

    def recognise(
        self, samples: np.ndarray, progress: Progress = lambda _: None, order: Order = PLAIN
    ) -> Iterator[Event]:
        """Yield the events of a recording's first utterance, statistics last.

        Args:
            samples: int16 [n], 16 kHz, mono.
            progress: called with the samples recognised so far.
            order: how to hear it.
        Raises:
            UserError, BoardError: what the recogniser reports, or the model has no branches for an effort.
        """
        assert self._recognizer is not None, "connect() comes first"
        order.check(self.about["branches"], self._names.get(self._paths[0], self._paths[0]))
        self._recognizer.tracing = order.trace
        if order.effort is not None:
            self._recognizer.effort = order.effort / 100
        if order.lattice_bytes is not None:
            self._recognizer.lattice_bytes = order.lattice_bytes
        if order.context is not None:
            self._set_context(order)
        self._recognizer.reset(self._utterance)
        self._utterance += 1
        listener = Listener(self._recognizer, single=True)
        began = time.monotonic()
        for begin in range(0, len(samples), spec.FRAME_AUDIO_SAMPLES):
            chunk = array("h", samples[begin : begin + spec.FRAME_AUDIO_SAMPLES].astype("=i2").tobytes())
            listener.accept(chunk, len(chunk))
            progress(begin + len(chunk))
            yield from self._taken(listener)
            if listener.over:
                return
            if self._speed:
                due = began + (begin + len(chunk)) / spec.AUDIO_SAMPLE_RATE_HZ / self._speed
                time.sleep(max(0.0, due - time.monotonic()))
        listener.finish()
        yield from self._taken(listener)

    def _set_context(self, order: Order) -> None:
        assert self._recognizer is not None
        try:
            self._recognizer.set_context(list(order.context or ()), order.boost)
        except PackageError as error:
            raise board_fault(error.code, error.where, error.detail) from None

    def _taken(self, listener: Listener) -> Iterator[Event]:
        assert self._recognizer is not None
        yield from self._recognizer.take_records()
        while listener.waiting:
            event = listener.take()
            if event.kind == kinds.ERROR:
                raise board_fault(event.error.code, event.error.where or self.name, event.error.detail)
            yield event
