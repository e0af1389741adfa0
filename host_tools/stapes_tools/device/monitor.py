"""Follows a board that listens by itself: its events, over as many connections as that takes."""

import time
from collections.abc import Callable, Iterator

import stapes_spec as spec
from stapes import event as kinds
from stapes.errors import StapesError as PackageError
from stapes.event import Event
from stapes.link import event_codec

from ..errors import BoardError, StapesError
from .client import Client, board_fault
from .stream import ByteStream

CONNECT_TIMEOUT_S = 10.0
_POLL_S = 0.2
_WAIT_S = (0.2, 0.5, 1.0, 2.0)  # between attempts
# What trying again does not mend: key, certificate, protocol version; everything that is the user's.
_FINAL = (spec.ERROR_LINK_KEY, spec.ERROR_LINK_VERSION, spec.ERROR_LINK_PIN)


class Monitor:
    """Events of one board.

    Args:
        name: what errors call the board.
        connect: opens a new stream to it.
        key: the device key, or None.
        notice: told in a line of connections made and lost.
        retry_s: how long to try to come back after a loss; None for ever. The first connection is tried once.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], ByteStream],
        key: bytes | None = None,
        notice: Callable[[str], None] = lambda _: None,
        retry_s: float | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._client = Client(name, key)
        self._notice = notice
        self._retry_s = retry_s

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def events(self) -> Iterator[Event]:
        """Yield what the board says; what a cut delayed comes after it, what was given up is told.

        Raises:
            UserError, BoardError: the board refuses us, or does not come back in time.
        """
        self._open()
        while True:
            try:
                for kind, payload in self._client.pump(_POLL_S):
                    event = self._event(kind, payload)
                    if event is not None:
                        yield event
            except PackageError as error:
                raise board_fault(error.code, error.where or self._name, error.detail) from None
            except BoardError as error:
                self._notice(f"{error.what}; connecting again")
                self._come_back()

    def _event(self, kind: int, payload: bytes) -> Event | None:
        if kind == spec.FRAME_TYPE_GIVEN_UP:
            return Event(kinds.GIVEN_UP, 0, lost=int.from_bytes(payload, "little"))
        return event_codec.decode(payload) if kind in (spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_NEWS) else None

    def _open(self) -> None:
        self._client.close()
        self._client.attach(self._connect())
        try:
            about = self._client.connect(CONNECT_TIMEOUT_S)
        except PackageError as error:
            raise board_fault(error.code, error.where or self._name, error.detail) from None
        again = ", which has restarted" if self._client.link.restarted else ""
        self._notice(f"connected to {about.get('id')} ({about.get('board')}, Stapes {about.get('firmware')}){again}")

    def _come_back(self) -> None:
        began = time.monotonic()
        for attempt in range(10**9):
            time.sleep(_WAIT_S[min(attempt, len(_WAIT_S) - 1)])
            try:
                self._open()
                return
            except StapesError as error:
                final = any(spec.ERRORS[code][2] in error.what for code in _FINAL)
                if final or (self._retry_s is not None and time.monotonic() - began > self._retry_s):
                    raise
