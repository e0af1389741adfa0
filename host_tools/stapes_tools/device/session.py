"""A session with a board over the link: sends a recording, yields the board's events."""

import json
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.event import Event
from stapes.lattice import Lattice, LatticeError

from ..errors import BoardError, StapesError, UserError
from .errors import DeviceError
from .link import Frame, FrameError, FrameParser, encode_frame
from .stream import ByteStream

READY_TIMEOUT_S = 10.0  # the board loads model and grammar
ANSWER_TIMEOUT_S = 5.0  # the board recognises what its window holds
_POLL_S = 0.02
_READ_BYTES = 65536
_CHUNK = spec.FRAME_AUDIO_SAMPLES

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Order:
    """How an utterance is to be heard.

    Attributes:
        effort: per cent, 0 to 100, of a model with branches; None leaves the board's own.
        trace: whether each step is told in a TRACE event, ahead of what it led to.
    """

    effort: int | None = None
    trace: bool = False

    def check(self, branches: bool, where: str) -> None:
        """Refuse an effort for a model without branches. Raises UserError."""
        if self.effort is not None and not branches:
            what = "the model there has no light branch, so there is no effort to set"
            raise UserError(what, where, "use a model with branches, or leave the effort out")

    def as_json(self) -> dict:
        """What goes into START."""
        wanted: dict = {} if self.effort is None else {"effort": self.effort / 100}
        return wanted | ({"trace": True} if self.trace else {})


PLAIN = Order()


def board_fault(code: int, where: str, detail: str = "") -> StapesError:
    """Return the error to raise for an error code of the specification.

    Args:
        code: of spec.ERRORS.
        where: the file or device concerned.
        detail: evidence to show in parentheses.
    """
    if code not in spec.ERRORS:
        code, detail = spec.ERROR_INTERNAL, f"error code {code}"
    _, fault, text, advice = spec.ERRORS[code]
    kind = UserError if fault == "user" else BoardError
    return kind(f"{text} ({detail})" if detail else text, where, advice)


class Session:
    """One host's session with one board.

    Args:
        stream: the way to a board that runs stapes.service.
        name: what results and errors call the board.
        speed: None sends as fast as the board takes it, 1.0 as fast as it was spoken.
        slowness: wall seconds that a second of the board takes; timeouts grow by it.
        files: path on the board to the name its user knows; errors use the latter.
        heard: bytes that came from the board before now.
    """

    def __init__(
        self,
        stream: ByteStream,
        name: str,
        *,
        speed: float | None = None,
        slowness: float = 1.0,
        files: Mapping[str, str] | None = None,
        heard: bytes = b"",
    ) -> None:
        self.name = name
        self.about: dict = {}
        self._stream = stream
        self._speed = speed
        self._slowness = slowness
        self._files = dict(files or {})
        self._heard = heard
        self._parser = FrameParser()
        self._frames: deque[Frame] = deque()
        self._sequence = 0
        self._utterance = 0
        self._credit = 0

    @property
    def stream(self) -> ByteStream:
        """The bytes that the session reads and writes."""
        return self._stream

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and free the board; safe to call twice."""
        try:
            self._send(spec.FRAME_TYPE_BYE)
        except (OSError, StapesError, DeviceError):
            pass  # the board has gone already
        finally:
            self._stream.close()

    def connect(self) -> dict:
        """Wait until the board has loaded model and grammar; return what it says of itself.

        Raises:
            UserError: the board refuses the model or the grammar.
            BoardError: it does not answer, or answers nonsense.
        """
        self._await_first_byte()
        self._send(spec.FRAME_TYPE_HELLO)
        while not self.about:
            frame = self._receive(READY_TIMEOUT_S)
            if frame.kind == spec.FRAME_TYPE_READY:
                self.about = json.loads(frame.payload)
        return self.about

    def _await_first_byte(self) -> None:
        """Wait for the zero byte by which the board's program says that it listens."""
        deadline = time.monotonic() + READY_TIMEOUT_S * self._slowness
        while b"\0" not in self._heard:
            left = deadline - time.monotonic()
            if left < 0:
                raise board_fault(spec.ERROR_LINK_TIMEOUT, self.name)
            self._heard += self._stream.read(_READ_BYTES, left)
        self._heard = self._heard.partition(b"\0")[2]

    def recognise(
        self, samples: np.ndarray, progress: Progress = lambda _: None, order: Order = PLAIN
    ) -> Iterator[Event]:
        """Send a recording; yield the events of its first utterance, statistics last.

        Args:
            samples: int16 [n], 16 kHz, mono.
            progress: called with the samples sent so far.
            order: how to hear it; without an effort the board keeps that of the utterance before.
        Raises:
            BoardError, UserError: what the board or the link reports, or the model has no branches for an effort.
        """
        order.check(self.about.get("branches", False), self.name)
        self._credit = 0
        sent = 0
        finished = False
        began = time.monotonic()
        self._send(spec.FRAME_TYPE_START, json.dumps({"utterance": self._utterance, **order.as_json()}).encode())
        self._utterance += 1
        while True:
            sent = self._send_audio(samples, sent, began)
            progress(sent)
            if sent == len(samples) and not finished:
                self._send(spec.FRAME_TYPE_FINISH)
                finished = True
            for event in self._take_events(waits=finished or self._credit < min(len(samples), sent + _CHUNK)):
                yield event
                if event.kind == kinds.STATISTICS:
                    return

    def _send_audio(self, samples: np.ndarray, sent: int, began: float) -> int:
        """Send what the board and the clock allow; return the samples sent in all."""
        allowed = min(len(samples), self._credit)
        if self._speed is not None:
            clock = int((time.monotonic() - began) * spec.AUDIO_SAMPLE_RATE_HZ * self._speed) // _CHUNK * _CHUNK
            allowed = min(allowed, max(clock, _CHUNK))
        while sent < allowed and (allowed - sent >= _CHUNK or allowed == len(samples)):
            chunk = samples[sent : sent + _CHUNK]
            self._send(spec.FRAME_TYPE_AUDIO, chunk.astype("<i2").tobytes())
            sent += len(chunk)
        return sent

    def _take_events(self, waits: bool) -> Iterator[Event]:
        """Yield the events among the frames that have arrived; wait for the first if waits."""
        first = self._receive(ANSWER_TIMEOUT_S) if waits else self._poll(_POLL_S)
        while first is not None:
            if first.kind == spec.FRAME_TYPE_CREDIT:
                (self._credit,) = struct.unpack_from("<I", first.payload)
            elif first.kind == spec.FRAME_TYPE_EVENT:
                yield self._event(first.payload)
            first = self._pop() if self._frames else None

    def _event(self, payload: bytes) -> Event:
        kind, _, _, time_ms = struct.unpack_from(spec.EVENT_STRUCT, payload)
        details = json.loads(payload[spec.EVENT_BYTES :])
        if kind == kinds.LATTICE:
            return Event(kind, time_ms, lattice=self._lattice(details["bytes"]))
        if kind == kinds.STATISTICS:
            return Event(kind, time_ms, statistics=details)
        return Event(kind, time_ms, **details)

    def _lattice(self, size: int) -> Lattice:
        """Collect the lattice's frames, which follow its event at once."""
        data = b""
        while len(data) < size:
            frame = self._receive(ANSWER_TIMEOUT_S)
            if frame.kind != spec.FRAME_TYPE_LATTICE:
                raise board_fault(spec.ERROR_LINK_FRAME, self.name, f"type {frame.kind} inside a lattice")
            data += frame.payload
        try:
            return Lattice(data)
        except LatticeError as error:
            raise board_fault(spec.ERROR_LINK_FRAME, self.name, str(error)) from None

    def _send(self, kind: int, payload: bytes = b"") -> None:
        self._stream.write(encode_frame(kind, self._sequence, payload))
        self._sequence += 1

    def _receive(self, timeout_s: float) -> Frame:
        """Return the next frame; raise what an ERROR frame says."""
        frame = self._poll(timeout_s * self._slowness)
        if frame is None:
            # A lost byte leaves the board waiting for the rest of a block: complete it, so that it
            # reports the damage itself.
            self._stream.write(bytes(spec.FRAME_BLOCK_BYTES))
            frame = self._poll(self._slowness)
        if frame is None:
            raise board_fault(spec.ERROR_LINK_TIMEOUT, self.name)
        return frame

    def _poll(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if there is none in time."""
        deadline = time.monotonic() + timeout_s
        while not self._frames:
            left = deadline - time.monotonic()
            if left < 0:
                return None
            try:
                data, self._heard = self._heard or self._stream.read(_READ_BYTES, left), b""
                self._frames.extend(self._parser.feed(data))
            except FrameError as error:
                raise board_fault(error.code, self.name, error.detail) from None
        return self._pop()

    def _pop(self) -> Frame:
        frame = self._frames.popleft()
        if frame.kind == spec.FRAME_TYPE_ERROR:
            raise self._reported(frame.payload)
        return frame

    def _reported(self, payload: bytes) -> StapesError:
        code, _ = struct.unpack_from("<hH", payload)
        where, _, detail = payload[4:].decode("utf-8", "replace").partition("|")
        return board_fault(code, self._files.get(where, where) or self.name, detail)
