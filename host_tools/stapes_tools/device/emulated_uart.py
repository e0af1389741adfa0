"""An emulated board's UART: bytes both ways between its pins and a socket, at the baud rate that the board has set."""

import contextlib
import socket
from typing import Any

_BITS = 10  # start, eight, stop
_LEAST_BAUD = 300
_IDLE_NANOSECONDS = 1_000_000
_MOST_INCOMING = 65_536


class UartWire:
    """What a USB-to-serial adapter does.

    A byte for the board comes when the one before it has had its bits' time; one that finds the board's FIFO full is
    lost, as on a wire. What the board sends is there at once: the emulator's UART has no FIFO to send from.

    Args:
        chip: rp2040py's RP2040.
        number: of the UART, 0 or 1.
        stream: socket with the host at its other end.
    """

    def __init__(self, chip: Any, number: int, stream: socket.socket) -> None:
        self._uart = chip.uart[number]
        self._stream = stream
        self._stream.setblocking(False)
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self.lost = 0
        self._uart.on_byte = self._outgoing.append
        self._uart.check_interrupts = self._check_interrupts
        self._alarm = chip.clock.create_alarm(self._tick)
        self._alarm.schedule(_IDLE_NANOSECONDS)

    def _tick(self) -> None:
        """Called by the emulated clock: the next byte for the board, and what has come from it."""
        if not self._incoming:
            self._exchange()
        if self._incoming and self._uart.enabled:
            self._alarm.schedule(self._byte_nanoseconds())
            byte = self._incoming.pop(0)
            if self._uart.rx_fifo.full:
                self.lost += 1
            else:
                self._uart.feed_byte(byte)
        else:
            self._alarm.schedule(_IDLE_NANOSECONDS)

    def _check_interrupts(self) -> None:
        """In place of the emulator's own, which asks for more to send as soon as it was told that there is no more.

        A sender need not be told of room: its FIFO is never full, and bytes leave it at once.
        """
        uart = self._uart
        uart.rp2040.set_interrupt(uart.irq, bool(uart._interrupt_status & uart._interrupt_mask))

    def _byte_nanoseconds(self) -> int:
        divider = self._uart.baud_divider
        baud = max(self._uart.baud_rate if divider else 0, _LEAST_BAUD)
        return _BITS * 1_000_000_000 // baud

    def _exchange(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._incoming += self._stream.recv(_MOST_INCOMING)
        if self._outgoing:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sent = self._stream.send(self._outgoing)
                del self._outgoing[:sent]
