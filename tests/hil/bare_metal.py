"""C and assembly functions alone on the emulated RP2040: no firmware, code and data in its RAM, cycles counted."""

import struct
import subprocess
from pathlib import Path

from elftools.elf.elffile import ELFFile
from rp2040py.rp2040 import RP2040
from stapes_tools.kernels import build

RAM = 0x2000_0000
DATA = RAM + 0x1_0000
STACK = RAM + 0x4_0000
RETURN = RAM + 0x4_1000  # an address with an endless loop: where a called function returns to
COMPILE = ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-std=c99", "-O2"]
LINK = ["-nostdlib", "-nostartfiles", f"-Wl,-Ttext={RAM:#x},--unresolved-symbols=ignore-all,-e,0", "-lc", "-lgcc"]


def compiled(sources, output):
    """Link C files of the kernels, or others, to run at the start of RAM; returns the ELF file's path."""
    includes = [f"-I{path}" for path in build.INCLUDES]
    command = [*COMPILE, *includes, *map(str, sources), *LINK, "-o", str(output)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(output)


class BareMetal:
    """A core with one linked program in its RAM."""

    def __init__(self, elf):
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            self.symbols = {s.name: s["st_value"] for s in parsed.get_section_by_name(".symtab").iter_symbols()}
            self.segments = [(s["p_vaddr"], s.data()) for s in parsed.iter_segments() if s["p_type"] == "PT_LOAD"]
        self.chip = RP2040()
        self.core = self.chip.core
        for address, data in self.segments:
            assert address >= RAM and address + len(data) <= DATA
            self.write(address, data)
        self.write(RETURN, struct.pack("<H", 0xE7FE))
        self.free = DATA

    def write(self, address, data):
        """Copy bytes into RAM."""
        self.chip.sram[address - RAM : address - RAM + len(data)] = data

    def read(self, address, count):
        """Return bytes of RAM."""
        return bytes(self.chip.sram[address - RAM : address - RAM + count])

    def place(self, data):
        """Copy bytes to free RAM, aligned to 16; returns their address."""
        address = self.free
        self.free += (len(data) + 15) & ~15
        assert self.free <= STACK - 0x2000
        self.write(address, data)
        return address

    def call(self, name, *arguments):
        """Call a function with 32-bit arguments; returns (its result, cycles spent)."""
        stacked = arguments[4:]
        sp = STACK - 8 * ((len(stacked) + 1) // 2)
        for index, value in enumerate(stacked):
            self.write(sp + 4 * index, struct.pack("<I", value))
        core = self.core
        for index, value in enumerate(arguments[:4]):
            core.registers[index] = value
        core.registers[13], core.registers[14] = sp, RETURN | 1
        core.registers[15] = self.symbols[name] & ~1
        kept = [core.registers[index] for index in range(4, 12)]
        before = core.cycles
        while core.registers[15] != RETURN:
            assert core.registers[15] >= RAM, f"{name} calls what was not linked"
            core.execute_instruction()
        assert [core.registers[index] for index in range(4, 12)] == kept, "the function has changed r4 to r11"
        assert core.registers[13] == sp
        return core.registers[0], core.cycles - before
