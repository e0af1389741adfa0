"""A board's serial stream, whatever carries it, and MicroPython's raw prompt on top of it."""

import time
from typing import Protocol

from .errors import BoardError

TAIL_BYTES = 600
_INTERRUPT = b"\r\x03\x03\r\x01"  # Ctrl-C for a program, Ctrl-A for the prompt
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_AGAIN_S = 5.0
_MARK = b"\x06started\n"
_STARTED = """import micropython, sys
micropython.kbd_intr(-1)
sys.stdout.buffer.write(b"\\x06started\\n")
{}
"""


class ByteStream(Protocol):
    """What every board offers: bytes both ways, nothing translated, nothing lost."""

    name: str

    def read(self, count: int, timeout_s: float) -> bytes:
        """Up to count bytes; b"" if none came in time."""

    def write(self, data: bytes) -> None:
        """Send all of data, or raise BoardError."""

    def close(self) -> None:
        """Let the board go. May be called twice."""


def tail(data: bytes) -> str:
    """The last of what a board said, fit for an error message."""
    text = data[-TAIL_BYTES:].decode("utf-8", "replace")
    lines = [line for line in text.replace("\r", "").replace("\x04", "\n").split("\n") if line.strip()]
    return f"; it last said: {' / '.join(lines)}" if lines else "; it said nothing"


class RawPrompt:
    """MicroPython's raw REPL: run a program on the board, or start one that keeps the stream.

    Args:
        stream: ByteStream.
        enter_timeout_s: for the prompt to come.
        fresh: restart the interpreter, so that nothing is left of the program that ran before: of ours, a board runs
            one from power-up on.

    Reference: MicroPython docs, reference/repl, "Raw mode".
    """

    def __init__(self, stream: ByteStream, enter_timeout_s: float = 30.0, fresh: bool = True):
        self.stream = stream
        self._heard = bytearray()
        self._enter(enter_timeout_s)
        if fresh:
            self.stream.write(b"\x04")
            self._expect(b"soft reboot\r\n", enter_timeout_s, "did not restart its interpreter")
            self._expect(_BANNER, enter_timeout_s, "did not come back to its prompt")

    def _enter(self, timeout_s: float) -> None:
        """Interrupt what runs. A program that serves the link may take all that comes with the Ctrl-C: ask again."""
        deadline = time.monotonic() + timeout_s
        found = None
        while found is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._silence("did not come to its prompt", timeout_s)
            self.stream.write(_INTERRUPT)
            found = self._find(_BANNER, min(left, _AGAIN_S))

    def _expect(self, ending: bytes, timeout_s: float, failure: str) -> bytes:
        """Everything up to and with ending."""
        found = self._find(ending, timeout_s)
        if found is None:
            raise self._silence(failure, timeout_s)
        return found

    def _find(self, ending: bytes, timeout_s: float) -> bytes | None:
        """Everything up to and with ending, if it comes in time."""
        deadline = time.monotonic() + timeout_s
        while (found := self._heard.find(ending)) < 0:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._heard += self.stream.read(4096, left)
        end = found + len(ending)
        answer = bytes(self._heard[:end])
        del self._heard[:end]
        return answer

    def _silence(self, failure: str, timeout_s: float) -> BoardError:
        return BoardError(f"{self.stream.name} {failure} in {timeout_s:g} s{tail(bytes(self._heard))}")

    def _send(self, program: str, timeout_s: float) -> None:
        self.stream.write(program.encode() + b"\x04")
        self._expect(b"OK", timeout_s, "did not take the program")

    def start(self, program: str, timeout_s: float = 30.0) -> None:
        """Start a program and return: from now on the stream is the program's, every byte of it.

        Ctrl-C is a byte like any other before this returns: a frame that begins with 3 would else
        interrupt the program's own imports.
        """
        self._send(_STARTED.format(program), timeout_s)
        self._expect(_MARK, timeout_s, "did not start the program")

    def run(self, program: str, timeout_s: float) -> str:
        """Run a program to its end and return what it printed.

        Raises:
            BoardError: it raised an exception (its last line is in the text), or did not end in time.
        """
        self._send(program, timeout_s)
        printed = self._expect(b"\x04", timeout_s, "did not finish the program")[:-1]
        error = self._expect(b"\x04>", timeout_s, "did not finish the program")[:-2]
        if error:
            lines = error.decode("utf-8", "replace").strip().splitlines()
            raise BoardError(f"{self.stream.name}: the program failed: {lines[-1]}{tail(printed + error)}")
        return printed.decode("utf-8", "replace").replace("\r\n", "\n")

    def leftover(self) -> bytes:
        """Bytes that came after what start() waited for; the program's first words."""
        rest, self._heard = bytes(self._heard), bytearray()
        return rest
