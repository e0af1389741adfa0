"""Where an emulated core spends its cycles: the program counter and the callers, sampled on the emulated clock.

Runs in the emulator's own process. Between two samples the core's cycles count for where the second one finds it.
What it finds goes to the host as columns: a place's number, the cycles spent, and the board's own microseconds, which
its `time.ticks_us()` shows, too.
"""

import bisect
import struct
from array import array
from pathlib import Path
from typing import Any

INTERVAL_NANOSECONDS = 16_024  # 2003 cycles at 125 MHz: a prime, so that no loop keeps step with it
_STACK_WORDS = 192
_RAM = 0x2000_0000
_RAM_BYTES = 264 * 1024
_SP, _PC, _LR = 13, 15, 14
_TIMER_RAW_LOW = 0x28


class Functions:
    """The functions of an ELF file, by address."""

    def __init__(self, elf: Path):
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection

        with elf.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            assert isinstance(table, SymbolTableSection)
            found = sorted(
                (symbol["st_value"] & ~1, symbol["st_size"], symbol.name)
                for symbol in table.iter_symbols()
                if symbol["st_info"]["type"] == "STT_FUNC"
            )
        self._starts = [start for start, _, _ in found]
        self._ends = [start + size for start, size, _ in found]
        # What the compiler made of a function goes by the function's name.
        self._names = [name.partition(".")[0] for _, _, name in found]
        self._known: dict[int, str] = {}

    def at(self, address: int) -> str:
        """The name of the function at an address, "" for none."""
        name = self._known.get(address)
        if name is None:
            k = bisect.bisect_right(self._starts, address) - 1
            inside = k >= 0 and address < max(self._ends[k], self._starts[k] + 2)
            name = self._known[address] = self._names[k] if inside else ""
        return name


class Sampler:
    """Samples a chip from now on.

    Args:
        chip: rp2040py's RP2040.
        elf: the firmware's.
        wanted: functions to look for among the callers; others are left out.
    """

    def __init__(self, chip: Any, elf: Path, wanted: set[str]):
        self._chip, self._core = chip, chip.core
        self._functions = Functions(elf)
        self._wanted = wanted
        self._cycles = self._began = self._core.cycles
        self._numbers: dict[tuple[str, ...], int] = {}
        self._found: tuple[array, array, array] = (array("I"), array("I"), array("I"))
        self._alarm = chip.clock.create_alarm(self._sample)
        self._alarm.schedule(INTERVAL_NANOSECONDS)

    def end(self) -> dict[str, Any]:
        """Sample no more.

        Returns:
            places: each a list of names, the function and then its wanted callers, innermost first;
            began: the core's cycles at the start;
            place, cycles, us: a value per sample: index of places, cycles since the sample before, the board's time.
        """
        self._alarm.cancel()
        place, cycles, us = (column.tolist() for column in self._found)
        return {"places": list(self._numbers), "began": self._began, "place": place, "cycles": cycles, "us": us}

    def _sample(self) -> None:
        self._alarm.schedule(INTERVAL_NANOSECONDS)
        cycles = self._core.cycles
        if cycles == self._cycles:
            return  # it waits
        number = self._numbers.setdefault(self._place(), len(self._numbers))
        now = self._chip.timer.read_uint32(_TIMER_RAW_LOW)
        for column, value in zip(self._found, (number, cycles - self._cycles, now), strict=True):
            column.append(value)
        self._cycles = cycles

    def _place(self) -> tuple[str, ...]:
        """The function, then the wanted ones among what may be return addresses on the stack, innermost first."""
        registers = self._core.registers
        place = [self._functions.at(registers[_PC])]
        sp = registers[_SP] - _RAM
        if 0 <= sp < _RAM_BYTES:
            words = min(_STACK_WORDS, (_RAM_BYTES - sp) // 4)
            for word in (registers[_LR], *struct.unpack_from(f"<{words}I", self._chip.sram, sp)):
                if word & 1 and word >> 28 in (1, 2):
                    name = self._functions.at(word - 2)
                    if name in self._wanted and name != place[-1]:
                        place.append(name)
        return tuple(place)
