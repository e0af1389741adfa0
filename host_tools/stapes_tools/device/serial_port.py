"""A board at a serial port: starts stapes.service through MicroPython's raw REPL."""

import contextlib
import json
import time

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from ..errors import BoardError, UserError

MODEL_ON_BOARD = "/rom/model.tflite"
GRAMMAR_ON_BOARD = "/rom/grammar.stg"
_REPL_TIMEOUT_S = 10
_WRITE_TIMEOUT_S = 10
_POLL_S = 0.01


class SerialStream:
    """The link over a serial port.

    Args:
        port: what pyserial opens: /dev/ttyACM0, COM3, or a URL.
        model, grammar: paths on the board.
    Raises:
        UserError: the port cannot be opened.
        BoardError: no MicroPython answers at it.
    """

    slowness = 1.0

    def __init__(self, port: str, model: str = MODEL_ON_BOARD, grammar: str = GRAMMAR_ON_BOARD) -> None:
        self.name = port
        try:
            self._transport = SerialTransport(port, timeout=_REPL_TIMEOUT_S)
        except (TransportError, OSError, ValueError):
            advice = "name a serial port, or one of: unix, host, emulator"
            raise UserError("the port cannot be opened", port, advice) from None
        self._serial = self._transport.serial
        try:
            self._transport.enter_raw_repl(timeout_overall=_REPL_TIMEOUT_S)
            program = f"from stapes.service import main; main({json.dumps(model)}, {json.dumps(grammar)})"
            self._transport.exec_raw_no_follow(program)
        except (TransportError, OSError):
            self.close()
            advice = "flash the Stapes firmware, or reset the board and try again"
            raise BoardError("no MicroPython prompt answers", port, advice) from None
        self._serial.write_timeout = _WRITE_TIMEOUT_S

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._serial.write(data)
        except serial.SerialException:
            raise self._gone() from None

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, b"" if nothing came in time."""
        deadline = time.monotonic() + timeout_s
        try:
            while not (waiting := self._serial.in_waiting) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            return self._serial.read(waiting) if waiting else b""
        except OSError:  # SerialException is one
            raise self._gone() from None

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(OSError):  # it may be unplugged
            self._transport.close()

    def _gone(self) -> BoardError:
        return BoardError("the connection was lost", self.name, "check the cable, then run the command again")
