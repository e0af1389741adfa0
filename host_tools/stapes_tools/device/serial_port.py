"""A board at a serial port, as a stream of bytes."""

import contextlib
import time

import serial

from ..errors import BoardError, UserError

_WRITE_TIMEOUT_S = 10
_POLL_S = 0.01


class SerialStream:
    """The bytes of a serial port.

    Args:
        port: what pyserial opens: /dev/ttyACM0, COM3, or a URL.
    Raises:
        UserError: the port cannot be opened.
    """

    def __init__(self, port: str) -> None:
        self.name = port
        try:
            self._serial = serial.serial_for_url(port, baudrate=115200, timeout=0, write_timeout=_WRITE_TIMEOUT_S)
        except (OSError, ValueError):  # SerialException is an OSError
            advice = "name a serial port, or one of: unix, host, emulator"
            raise UserError("the port cannot be opened", port, advice) from None

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._serial.write(data)
        except OSError:
            raise self._gone() from None

    def read(self, count: int, timeout_s: float) -> bytes:
        """Return at most count bytes of what has arrived, b"" if nothing came in time."""
        deadline = time.monotonic() + timeout_s
        try:
            while not (data := self._serial.read(count)) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        except OSError:
            raise self._gone() from None
        return data

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(OSError):  # it may be unplugged
            self._serial.close()

    def _gone(self) -> BoardError:
        return BoardError("the connection was lost", self.name, "check the cable, then run the command again")
