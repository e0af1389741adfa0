"""A session with a board over the link: sends a recording, yields the board's events."""

import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.errors import StapesError as PackageError
from stapes.event import Event
from stapes.link import event_codec

from ..errors import StapesError, UserError
from .client import Client, board_fault
from .stream import ByteStream

READY_TIMEOUT_S = 10.0  # the board loads model and grammar
ANSWER_TIMEOUT_S = 5.0  # the board recognises what its window holds
_POLL_S = 0.02
_CHUNK = spec.FRAME_AUDIO_SAMPLES
_AHEAD = spec.LINK_WINDOW_FRAMES

# What is wrong with a board's own microphone.
MICROPHONE_ERRORS = (
    spec.ERROR_MICROPHONE,
    spec.ERROR_MICROPHONE_SILENT,
    spec.ERROR_MICROPHONE_STUCK,
    spec.ERROR_MICROPHONE_CLIPPED,
    spec.ERROR_MICROPHONE_SETTINGS,
    spec.ERROR_MICROPHONE_BUSY,
)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Order:
    """How an utterance is to be heard.

    Attributes:
        effort: per cent, 0 to 100, of a model with branches; None leaves the board's own.
        trace: whether each step is told in a TRACE event, ahead of what it led to.
        lattice_bytes: what the lattice is to keep to; None leaves the board's own, 1024 at first.
        context: phrases that are likely now, words of the grammar; None leaves the board's own, none at first.
        boost: nats for each word of such a phrase; None: as the board has it, 1.
    """

    effort: int | None = None
    trace: bool = False
    lattice_bytes: int | None = None
    context: tuple[str, ...] | None = None
    boost: float | None = None

    def check(self, branches: bool, where: str) -> None:
        """Refuse an effort for a model without branches. Raises UserError."""
        if self.effort is not None and not branches:
            what = "the model there has no light branch, so there is no effort to set"
            raise UserError(what, where, "use a model with branches, or leave the effort out")

    def as_json(self) -> dict:
        """What goes into the command to start."""
        wanted: dict = {} if self.effort is None else {"effort": self.effort / 100}
        if self.lattice_bytes is not None:
            wanted["lattice"] = {"bytes": self.lattice_bytes}
        if self.context is not None:
            boost = {} if self.boost is None else {"boost": self.boost}
            wanted["context"] = {"phrases": list(self.context), **boost}
        return wanted | ({"trace": True} if self.trace else {})


PLAIN = Order()


class Session:
    """One host's session with one board.

    Args:
        stream: the way to a board that serves the link.
        name: what results and errors call the board.
        speed: None sends as fast as the board takes it, 1.0 as fast as it was spoken.
        slowness: wall seconds that a second of the board takes; timeouts grow by it.
        files: path on the board to the name its user knows; errors use the latter.
        heard: bytes that came from the board before now.
        key: the device key, where the board asks for one.
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
        key: bytes | None = None,
    ) -> None:
        self.name = name
        self.about: dict = {}
        self._stream = stream
        self._speed = speed
        self._slowness = slowness
        self._files = dict(files or {})
        self._client = Client(name, key, slowness)
        self._heard = heard
        self._utterance = 0
        self._answered = 0.0
        self._states: list[dict] = []

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
        self._client.close()
        self._stream.close()

    def connect(self) -> dict:
        """Wait until the board has loaded model and grammar; return what it says of itself.

        Raises:
            UserError: the board refuses the model, the grammar or us.
            BoardError: it does not answer, or answers nonsense.
        """
        self._client.attach(self._stream, self._heard)
        try:
            self.about = self._client.connect(READY_TIMEOUT_S * self._slowness)
        except PackageError as error:
            raise self._fault(error) from None
        return self.about

    def state(self) -> dict:
        """What the board says of itself now: counts since its power-up.

        Raises:
            BoardError, UserError: what the board or the link reports.
        """
        self._command(spec.COMMAND_STATE, {})
        self._answered = time.monotonic()
        self._states.clear()
        while not self._states:
            self._events()
        return self._states.pop()

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
        number, self._utterance = self._utterance, self._utterance + 1
        self._command(spec.COMMAND_START, {"utterance": number, "audio": True, "single": True, **order.as_json()})
        sent, finished = 0, False
        began = self._answered = time.monotonic()
        while True:
            sent = self._send_audio(samples, sent, began)
            progress(sent)
            if sent == len(samples) and not finished:
                self._command(spec.COMMAND_FINISH, {})
                finished = True
            for event in self._events():
                if event.kind == kinds.ERROR:
                    if event.error.code in MICROPHONE_ERRORS:
                        continue  # of the board's own, which is not asked
                    raise self._fault(event.error)
                if event.utterance != number:
                    continue  # of a recording that was broken off
                if event.kind == kinds.STOPPED:
                    return
                yield event

    def _command(self, code: int, order: dict) -> None:
        message = struct.pack(spec.COMMAND_STRUCT, code, 0, 0) + json.dumps(order).encode()
        self._client.link.send(spec.FRAME_TYPE_COMMAND, message)

    def _send_audio(self, samples: np.ndarray, sent: int, began: float) -> int:
        """Send what the board and the clock allow; return the samples sent in all."""
        allowed = len(samples)
        if self._speed is not None:
            clock = int((time.monotonic() - began) * spec.AUDIO_SAMPLE_RATE_HZ * self._speed) // _CHUNK * _CHUNK
            allowed = min(allowed, max(clock, _CHUNK))
        link = self._client.link
        while sent < allowed and link.outbox.pending < _AHEAD:
            chunk = samples[sent : sent + _CHUNK]
            link.send(spec.FRAME_TYPE_AUDIO, chunk.astype("<i2").tobytes())
            sent += len(chunk)
        return sent

    def _events(self) -> list[Event]:
        """Exchange bytes with the board for a moment; return the events that have come."""
        outbox = self._client.link.outbox
        before = outbox.acked
        try:
            messages = self._client.pump(_POLL_S)
            events = [event for kind, payload in messages if (event := self._event(kind, payload))]
        except PackageError as error:
            raise self._fault(error) from None
        if messages or outbox.acked != before:
            self._answered = time.monotonic()
        elif outbox.pending and time.monotonic() - self._answered > ANSWER_TIMEOUT_S * self._slowness:
            raise board_fault(spec.ERROR_LINK_TIMEOUT, self.name)
        return events

    def _event(self, kind: int, payload: bytes) -> Event | None:
        if kind == spec.FRAME_TYPE_GIVEN_UP:
            raise PackageError(spec.ERROR_LINK_GIVEN_UP)
        if kind == spec.FRAME_TYPE_REPLY:
            self._hear_reply(payload)
            return None
        return event_codec.decode(payload)

    def _hear_reply(self, payload: bytes) -> None:
        answer = json.loads(payload[spec.COMMAND_BYTES :])
        if payload[0] == spec.COMMAND_STATE:
            self._states.append(answer)
        if payload[1]:
            raise PackageError(answer["code"], answer["where"], answer["detail"])

    def _fault(self, error: PackageError) -> StapesError:
        """Word an error of the board so that its user knows the file or board concerned."""
        return board_fault(error.code, self._files.get(error.where, error.where) or self.name, error.detail)
