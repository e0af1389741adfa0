"""What the RP2040's flash cache would have to fetch: an emulated core followed instruction by instruction.

The emulator reads flash in no time. On the chip each word that the cache lacks is fetched by itself, 20 clocks of the
serial flash (8 for address and mode, 4 of waiting, 8 for the word), each two of the core. The cache is RP2040's: 16 KB,
two-way, lines of 8 bytes whose two words are valid each by itself (RP2040 datasheet, 2.6.3.1, and the designers'
word in raspberrypi/pico-feedback issue 307). That the least recently used way is replaced is an assumption.

Runs in the emulator's own process.
"""

from pathlib import Path
from typing import Any

from .sampling import Functions

WORD_CYCLES = 40
_SETS = 1024
_FLASH_SEGMENT = 0x10
_PC = 15
_MOST_SLEEP = 20  # a core that sleeps for longer, in units of the time it is to be followed, is not waited for
_NANOSECONDS_PER_CYCLE = 8.0
_BEHIND = 4  # the program counter reads as the address after the next instruction


class FlashCache:
    """Sixteen kilobytes of flash, two ways, a bit per word."""

    def __init__(self) -> None:
        self._newer = [-1] * _SETS  # line numbers
        self._older = [-1] * _SETS
        self._newer_words = [0] * _SETS
        self._older_words = [0] * _SETS

    def fetches(self, address: int) -> bool:
        """Whether the word at an address has to be fetched; from then on it is there."""
        line, bit = address >> 3, 1 + (address >> 2 & 1)
        k = line & (_SETS - 1)
        if self._newer[k] != line:
            newer, words = self._newer[k], self._newer_words[k]
            if self._older[k] == line:
                self._newer[k], self._newer_words[k] = line, self._older_words[k]
            else:
                self._newer[k], self._newer_words[k] = line, 0
            self._older[k], self._older_words[k] = newer, words
        if self._newer_words[k] & bit:
            return False
        self._newer_words[k] |= bit
        return True


def _loads() -> dict[int, tuple[int, ...]]:
    """What instructions that load through registers other than the stack pointer read.

    Returns:
        dict: opcode -> (register, register or -1, offset, words); (-1, -1, offset, 1): behind the program counter.
    """
    found: dict[int, tuple[int, ...]] = {}
    for opcode in range(0x4800, 0x5000):
        found[opcode] = (-1, -1, 4 * (opcode & 0xFF), 1)
    for opcode in range(0x5600, 0x6000):
        found[opcode] = (opcode >> 3 & 7, opcode >> 6 & 7, 0, 1)
    for first, size in ((0x6800, 4), (0x7800, 1), (0x8800, 2)):
        for opcode in range(first, first + 0x800):
            found[opcode] = (opcode >> 3 & 7, -1, size * (opcode >> 6 & 31), 1)
    for opcode in range(0xC800, 0xD000):
        found[opcode] = (opcode >> 8 & 7, -1, 0, (opcode & 0xFF).bit_count())
    return found


class Tracer:
    """Follows the core for a while from time to time.

    Args:
        chip: rp2040py's RP2040.
        elf: the firmware's.
        every_ns: emulated time between the beginnings.
        warm_cycles: followed first, so that the cache is filled; not counted.
        cycles: counted, each time.
    """

    def __init__(self, chip: Any, elf: Path, every_ns: int, warm_cycles: int, cycles: int):
        self._chip, self._functions = chip, Functions(elf)
        self._every_ns, self._warm_cycles, self._wanted_cycles = every_ns, warm_cycles, cycles
        self._loads = _loads()
        self._code: dict[int, int] = {}
        self._data: dict[int, int] = {}
        self._cycles = self._forbidden = 0
        self.due = False
        self._alarm = chip.clock.create_alarm(self._begin)
        self._alarm.schedule(every_ns)

    def _begin(self) -> None:
        self.due = True

    def end(self) -> dict[str, Any]:
        """Follow no more.

        Returns:
            cycles: followed; code, data: words fetched, by the function that ran; forbidden: reads of flash while the
            serial interface was reading for the DMA, which a chip would not survive.
        """
        self._alarm.cancel()
        code, data = self._by_function(self._code), self._by_function(self._data)
        return {"cycles": self._cycles, "code": code, "data": data, "forbidden": self._forbidden}

    def _by_function(self, counts: dict[int, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for pc, words in counts.items():
            name = self._functions.at(pc)
            found[name] = found.get(name, 0) + words
        return found

    def follow(self) -> None:
        """Run the core as far as it is to be followed this time; what it sleeps in between takes no time."""
        self.due = False
        self._alarm.schedule(self._every_ns)
        cache = FlashCache()
        self._run(cache, self._warm_cycles, {}, {})
        self._cycles += self._run(cache, self._wanted_cycles, self._code, self._data)

    def _run(self, cache: FlashCache, cycles: int, code: dict[int, int], data: dict[int, int]) -> int:
        core, clock = self._chip.core, self._chip.clock
        latest = clock.nanos + _MOST_SLEEP * cycles * _NANOSECONDS_PER_CYCLE
        spent = 0
        while spent < cycles and clock.nanos < latest:
            if not core.waiting:
                spent += self._run_awake(cache, cycles - spent, code, data)
            elif clock.has_scheduled_alarm:
                clock.tick(clock.nanos_to_next_alarm)
            else:
                break
        return spent

    def _run_awake(self, cache: FlashCache, cycles: int, code: dict[int, int], data: dict[int, int]) -> int:
        core, clock, flash = self._chip.core, self._chip.clock, self._chip.flash
        ssi = self._chip.ssi
        registers, loads, execute, fetches = core.registers, self._loads, core.execute_instruction, cache.fetches
        spent, fetched = 0, -1
        while spent < cycles and not core.waiting:
            pc = registers[_PC] & ~1
            if pc >> 24 == _FLASH_SEGMENT:
                if pc >> 2 != fetched:
                    self._forbidden += ssi.is_bursting
                    fetched = pc >> 2
                    if fetches(pc):
                        code[pc] = code.get(pc, 0) + 1
                at = pc & 0xFFFFFF
                opcode = flash[at] | flash[at + 1] << 8
            else:
                fetched = -1
                opcode = self._chip.read_uint16(pc)
            load = loads.get(opcode)
            if load:
                base, index, offset, words = load
                if base < 0:
                    address = (pc & ~3) + _BEHIND + offset
                else:
                    address = registers[base] + offset + (registers[index] if index >= 0 else 0)
                if address >> 24 & 0xFF == _FLASH_SEGMENT:
                    self._forbidden += ssi.is_bursting
                    for k in range(words):
                        if fetches(address + 4 * k):
                            data[pc] = data.get(pc, 0) + 1
            took = execute()
            clock.tick(took * _NANOSECONDS_PER_CYCLE)
            spent += took
        return spent
