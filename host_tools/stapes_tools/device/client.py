"""The host's end of the link on a stream of bytes: messages in, messages out."""

import time
from collections.abc import Callable

import stapes_spec as spec
from stapes.errors import StapesError as PackageError
from stapes.link.host_end import HostLink
from stapes.link.link import CLOSED, OPEN

from ..errors import BoardError, StapesError, UserError
from .stream import ByteStream

_READ_BYTES = 65536

Message = tuple[int, bytes]


def now_ms() -> int:
    """Milliseconds of a clock that only goes forward."""
    return time.monotonic_ns() // 1_000_000


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


class Client:
    """One connection after the other to one board.

    Args:
        name: what errors call the board.
        key: the device key, or None.
        slowness: wall seconds that a second of the board takes; timeouts grow by it.
        log: told of refusals.
    """

    def __init__(
        self, name: str, key: bytes | None = None, slowness: float = 1.0, log: Callable[[str], None] | None = None
    ) -> None:
        self.name = name
        self.link = HostLink(key, slowness=slowness, log=log)
        self._stream: ByteStream | None = None
        self._heard = b""
        self._messages: list[Message] = []

    @property
    def is_open(self) -> bool:
        """Whether the board has said that it is ready."""
        return self.link.state == OPEN

    def attach(self, stream: ByteStream, heard: bytes = b"") -> None:
        """Begin on a new stream of bytes.

        Args:
            stream: the way to a board that serves the link.
            heard: bytes that came from it before now.
        """
        self._stream = stream
        self._heard = heard
        self.link.seals = not getattr(stream, "secure", False)
        self.link.connected(now_ms())

    def connect(self, timeout_s: float) -> dict:
        """Wait for the board to be ready; return what it says of itself.

        Raises:
            PackageError: what either side refuses the other for.
            BoardError: there was no answer in time, or the stream has ended.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_open:
            left = deadline - time.monotonic()
            if left < 0:
                raise board_fault(spec.ERROR_LINK_TIMEOUT, self.name)
            self._exchange(left)
        return self.link.about

    def pump(self, timeout_s: float) -> list[Message]:
        """Send what is due; return the messages that have come, waiting at most so long for bytes.

        Raises:
            PackageError: the link was closed for good, with the reason.
            BoardError: the stream has ended.
        """
        if not self._messages:
            self._exchange(timeout_s)
        messages, self._messages = self._messages, []
        return messages

    def _exchange(self, timeout_s: float) -> None:
        """Send what is due and read what has come: acknowledged, so that it must reach the caller."""
        assert self._stream is not None, "attach() comes first"
        self.flush()
        wait_s = min(timeout_s, self.link.due_ms(now_ms()) / 1000)
        data, self._heard = self._heard or self._stream.read(_READ_BYTES, wait_s), b""
        self._take(data)
        if self.link.state == CLOSED and not self._messages:
            if self.link.error is not None:
                raise self.link.error
            raise BoardError(self.link.reason, self.name, "run the command again")
        if not self._messages:
            self.flush()

    def _take(self, data: bytes) -> None:
        link = self.link
        view = memoryview(data)
        while view:
            view = view[link.parser.put(view) :]
            while kind := link.receive(now_ms()):
                payload = b"" if kind == spec.FRAME_TYPE_GIVEN_UP else bytes(link.payload)
                self._messages.append((kind, payload or link.inbox.missed.to_bytes(4, "little")))
        link.tick(now_ms())

    def flush(self) -> None:
        """Send what is due."""
        assert self._stream is not None
        data = bytearray()
        while (out := self.link.output(now_ms())) is not None:
            data += out
            self.link.sent(len(out))
        if data:
            self._stream.write(bytes(data))

    def close(self) -> None:
        """Say goodbye and close the stream; safe to call twice."""
        if self._stream is None:
            return
        stream = self._stream
        try:
            self.link.close()
            self.flush()
        except (OSError, StapesError):
            pass  # the board has gone already
        finally:
            self._stream = None
            stream.close()


__all__ = ["Client", "Message", "PackageError", "board_fault", "now_ms"]
