"""The outside of an emulated board: its LED, its buttons, its power, its flash.

Runs in the emulator's own process. Each order is a JSON list whose first word is one of Panel.orders. Times are
nanoseconds since power-up, resets included.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rp2040py.device.load_flash import load_uf2
from rp2040py.gpio_pin import GPIOPinState

_UF2_MAGIC = b"UF2\n"
_MOST_EDGES = 100_000
_FLASH_SELECT = 1  # of the QSPI pads; BOOTSEL pulls it to ground
_ADDRESS_END = 4
_PAGE_BYTES = 256
_PROGRAM = 0x02
_ERASED_BYTES = {0x20: 4096, 0xD8: 65536}  # by command


def load_flash(path: Path, chip: Any) -> None:
    """Fill the emulated flash from a UF2 file, or from the whole flash as Panel's order "flash" writes it."""
    with open(path, "rb") as file:
        is_uf2 = file.read(len(_UF2_MAGIC)) == _UF2_MAGIC
    if is_uf2:
        load_uf2(path, chip)
    else:
        data = path.read_bytes()
        chip.flash[: len(data)] = data


class Panel:
    """What one sees and presses.

    Args:
        chip: rp2040py's RP2040.
        led: number of the LED's pin.
        on_reset: called when the reset button goes down.

    Attributes:
        dark: bool, there is no power: nothing must be executed.
    """

    def __init__(self, chip: Any, led: int, on_reset: Callable[[], None]):
        self._chip = chip
        self._on_reset = on_reset
        self._edges: list[tuple[int, int]] = []
        self._writes = 0
        self._cut_at = 0
        self._kept = b""
        self.dark = False
        chip.gpio[led].add_listener(self._led_changed)
        self._apply_command: Callable[[], None] = chip.ssi._apply_command
        chip.ssi._apply_command = self._flash_command
        self.orders: dict[str, Callable[..., dict[str, Any]]] = {
            "led": self._led,
            "reset": self._reset,
            "bootsel": self._bootsel,
            "pin": self._pin,
            "cut": self._cut,
            "power": self._power,
            "flash": self._flash,
        }

    def obeys(self, order: Any) -> bool:
        """Return whether an order is for the panel."""
        return isinstance(order, list) and order[0] in self.orders

    def do(self, order: list[Any]) -> dict[str, Any]:
        """Obey and answer."""
        return self.orders[order[0]](*order[1:])

    def _led_changed(self, value: GPIOPinState, _: GPIOPinState) -> None:
        if value in (GPIOPinState.HIGH, GPIOPinState.LOW) and len(self._edges) < _MOST_EDGES:
            self._edges.append((int(self._chip.clock.nanos), int(value == GPIOPinState.HIGH)))

    def _led(self) -> dict[str, Any]:
        """The LED's changes since this was last asked."""
        edges, self._edges = self._edges, []
        return {"edges": edges}

    def _reset(self) -> dict[str, Any]:
        """Press the button at RUN and let it go."""
        self._on_reset()
        self._chip.set_run_pin(low=True)
        self._chip.watchdog.reset()  # why the chip was last reset is forgotten, and so are the scratch registers
        self._chip.set_run_pin(low=False)
        return {}

    def _bootsel(self, pressed: bool) -> dict[str, Any]:
        return self._drive(self._chip.qspi[_FLASH_SELECT], 0 if pressed else None)

    def _pin(self, number: int, level: int | None) -> dict[str, Any]:
        """Hold a pin at 0 or 1 from outside, or let it go."""
        return self._drive(self._chip.gpio[number], level)

    def _drive(self, pin: Any, level: int | None) -> dict[str, Any]:
        if level is None:
            pin.release_input()
        else:
            pin.set_input_value(bool(level))
        return {}

    def _cut(self, writes: int) -> dict[str, Any]:
        """Take the power away in the middle of a write to the flash: 1 is the next, 0 takes it away at once."""
        self._cut_at = self._writes + writes
        if not writes:
            self._lose_power()
        return {}

    def _power(self) -> dict[str, Any]:
        """Whether there is power, and how often the flash was written."""
        return {"on": not self.dark, "writes": self._writes}

    def _flash(self, path: str) -> dict[str, Any]:
        """Write the flash to a file, without what is erased at its end."""
        Path(path).write_bytes((self._kept or bytes(self._chip.flash)).rstrip(b"\xff"))
        return {}

    def _flash_command(self) -> None:
        """The flash chip was deselected: what it was told takes effect."""
        command = bytes(self._chip.ssi._tx_buffer)
        start, size = _written(command)
        if not size or self.dark:
            self._apply_command()
            return
        before = bytes(self._chip.flash[start : start + size])
        self._apply_command()
        self._writes += 1
        if self._writes == self._cut_at:
            self._half_done(start, before, command[0] != _PROGRAM)
            self._lose_power()

    def _half_done(self, start: int, before: bytes, erased: bool) -> None:
        """Undo the second half of a write; what was to be erased there is neither old nor erased."""
        half = len(before) // 2
        rest = before[half:]
        if erased:
            rest = bytes(byte | (37 * k & 0xFF) for k, byte in enumerate(rest))
        self._chip.flash[start + half : start + len(before)] = rest

    def _lose_power(self) -> None:
        """What the core still does in this batch of instructions has no effect."""
        self._kept = bytes(self._chip.flash)
        self.dark = True


def _written(command: bytes) -> tuple[int, int]:
    """Where a command writes, and how many bytes; 0 if it writes nothing."""
    if len(command) < _ADDRESS_END:
        return 0, 0
    start = int.from_bytes(command[1:_ADDRESS_END], "big")
    if command[0] == _PROGRAM:
        return start, min(len(command) - _ADDRESS_END, _PAGE_BYTES)
    size = _ERASED_BYTES.get(command[0], 0)
    return (start & -size, size) if size else (0, 0)
