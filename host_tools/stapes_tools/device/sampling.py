"""Where an emulated core spends its cycles: the program counter and the callers, sampled on the emulated clock.

Runs in the emulator's own process. Between two samples the core's cycles count for where the second one finds it.
"""

import bisect
import struct
from pathlib import Path
from typing import Any

INTERVAL_NANOSECONDS = 16_024  # 2003 cycles at 125 MHz: a prime, so that no loop keeps step with it
_STACK_WORDS = 128
_RAM = 0x2000_0000
_RAM_BYTES = 264 * 1024
_SP, _PC, _LR = 13, 15, 14


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
        self._cycles = self._core.cycles
        self.spent: dict[tuple[str, ...], int] = {}
        self._alarm = chip.clock.create_alarm(self._sample)
        self._alarm.schedule(INTERVAL_NANOSECONDS)

    def end(self) -> dict[tuple[str, ...], int]:
        """Sample no more; cycles by place."""
        self._alarm.cancel()
        return self.spent

    def _sample(self) -> None:
        self._alarm.schedule(INTERVAL_NANOSECONDS)
        cycles = self._core.cycles
        if cycles == self._cycles:
            return  # it waits
        place = self._place()
        self.spent[place] = self.spent.get(place, 0) + cycles - self._cycles
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
