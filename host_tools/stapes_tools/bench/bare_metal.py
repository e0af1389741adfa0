"""C and assembly functions alone on the emulated RP2040: no firmware, code and data in its RAM, cycles counted."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from ..device.emulator_core import use_core
from ..device.firmware import run_tool
from ..device.packages import ARM_PACKAGES, require
from ..kernels import build

RAM = 0x2000_0000
FLASH = 0x1000_0000
DATA = RAM + 0x1_8000
STACK = RAM + 0x4_0000
RETURN = RAM + 0x4_1000  # an address with an endless loop: where a called function returns to
_STACK_BYTES = 0x2000
_COMPILE = ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-std=c99", "-O2", "-fno-jump-tables"]
_LINK = ["-nostdlib", "-nostartfiles", f"-Wl,-Ttext={RAM:#x},--unresolved-symbols=ignore-all,-e,0", "-lc", "-lgcc"]
_FILL = 0xA5A5A5A5


def compiled(sources: Sequence[Path], output: Path) -> Path:
    """Link C files of the kernels, or others, to run at the start of RAM; returns the ELF file's path.

    Raises:
        DeviceError: no compiler.
        BuildError: it refused the files.
    """
    require(_COMPILE[:1], ARM_PACKAGES)
    includes = [f"-I{path}" for path in build.INCLUDES]
    run_tool([*_COMPILE, *includes, *map(str, sources), *_LINK, "-o", str(output)])
    return output


class BareMetal:
    """A core with one linked program in its RAM.

    Args:
        elf: from compiled.
        flash: what lies at the start of the flash.
    """

    def __init__(self, elf: Path, flash: bytes = b""):
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection

        use_core()
        from rp2040py.rp2040 import RP2040

        with elf.open("rb") as file:
            parsed = ELFFile(file)
            table = parsed.get_section_by_name(".symtab")
            assert isinstance(table, SymbolTableSection)
            self.symbols = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
            segments = [(s["p_vaddr"], s.data()) for s in parsed.iter_segments() if s["p_type"] == "PT_LOAD"]
        self.chip = RP2040()
        self.core = self.chip.core
        for address, data in segments:
            assert address >= RAM and address + len(data) <= DATA
            self.write(address, data)
        self.write(RETURN, struct.pack("<H", 0xE7FE))
        self.chip.flash[: len(flash)] = flash
        self.free = DATA
        self.stack_bytes = 0  # that the last call used

    def write(self, address: int, data: bytes) -> None:
        """Copy bytes into RAM."""
        self.chip.sram[address - RAM : address - RAM + len(data)] = data

    def read(self, address: int, count: int) -> bytes:
        """Return bytes of RAM."""
        return bytes(self.chip.sram[address - RAM : address - RAM + count])

    def place(self, data: bytes) -> int:
        """Copy bytes to free RAM, aligned to 16; returns their address."""
        address = self.free
        self.free += (len(data) + 15) & ~15
        assert self.free <= STACK - _STACK_BYTES, "the RAM is full"
        self.write(address, data)
        return address

    def call(self, name: str, *arguments: int, watch: Callable[[int, int], None] | None = None) -> tuple[int, int]:
        """Call a function with 32-bit arguments.

        Args:
            name: of the function.
            arguments: addresses and integers.
            watch: called after every instruction with where it was and the cycles that it took.
        Returns:
            (its result, cycles spent).
        """
        stacked = arguments[4:]
        sp = STACK - 8 * ((len(stacked) + 1) // 2)
        self.write(STACK - _STACK_BYTES, struct.pack("<I", _FILL) * (_STACK_BYTES // 4))
        for index, value in enumerate(stacked):
            self.write(sp + 4 * index, struct.pack("<I", value))
        core = self.core
        registers = core.registers
        for index, value in enumerate(arguments[:4]):
            registers[index] = value
        registers[13], registers[14] = sp, RETURN | 1
        registers[15] = self.symbols[name] & ~1
        kept = [registers[index] for index in range(4, 12)]
        before = core.cycles
        self._run(watch)
        assert [registers[index] for index in range(4, 12)] == kept, f"{name} has changed r4 to r11"
        assert registers[13] == sp
        self.stack_bytes = self._stack_used()
        return registers[0], core.cycles - before

    def _run(self, watch: Callable[[int, int], None] | None) -> None:
        core, registers = self.core, self.core.registers
        while registers[15] != RETURN:
            at = registers[15]
            assert at >= RAM, "what was not linked is called"
            before = core.cycles
            core.execute_instruction()
            if watch:
                watch(at, core.cycles - before)

    def _stack_used(self) -> int:
        """Bytes of the stack that are not as they were filled."""
        words = struct.unpack(f"<{_STACK_BYTES // 4}I", self.read(STACK - _STACK_BYTES, _STACK_BYTES))
        return 4 * next((len(words) - k for k, word in enumerate(words) if word != _FILL), 0)
