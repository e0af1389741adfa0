"""What lies where in a board's flash and RAM, and whether it fits: from the linker's symbols and board.toml."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from .boards import Board
from .errors import BuildError, DeviceError

FLASH, RAM = "flash", "RAM"
_HOT = ".time_critical.stapes"


@dataclass(frozen=True)
class Region:
    """A piece of memory.

    Attributes:
        memory: FLASH or RAM.
        name: what it is.
        address: of its first byte.
        size: bytes.
        used: bytes of it that are taken; None: not known, or all of it by its nature.
        note: more about it, for people.
    """

    memory: str
    name: str
    address: int
    size: int
    used: int | None = None
    note: str = ""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.size


@dataclass(frozen=True)
class MemoryMap:
    """All regions of a board that runs an image.

    Attributes:
        board: Board.
        regions: by memory and address.
        hot_bytes: of the kernels that are copied to RAM.
    """

    board: Board
    regions: tuple[Region, ...]
    hot_bytes: int

    def region(self, memory: str, name: str) -> Region:
        """The region of a name."""
        return next(region for region in self.regions if (region.memory, region.name) == (memory, name))

    def as_json(self) -> dict[str, Any]:
        """What `stapes size --json` prints."""
        rows = [
            {
                "memory": region.memory,
                "name": region.name,
                "address": region.address,
                "bytes": region.size,
                "used_bytes": region.used,
            }
            for region in self.regions
        ]
        board = self.board
        return {
            "board": board.name,
            "flash_bytes": board.flash_bytes,
            "ram_bytes": board.ram_bytes,
            "hot_bytes": self.hot_bytes,
            "regions": rows,
        }


def symbols(elf: Path) -> dict[str, int]:
    """The linker's symbols of an image, and their values."""
    try:
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection
    except ImportError:
        raise DeviceError("pyelftools is missing; run: pip install 'stapes-tools[emulator]'") from None
    with open(elf, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise BuildError(f"{elf} has no symbol table; build it again")
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}


def section_bytes(linker_map: Path, section: str) -> int:
    """Bytes that the linker placed from input sections of one name."""
    pattern = re.compile(rf"^ {re.escape(section)}\s+0x[0-9a-f]+\s+(0x[0-9a-f]+) ", re.MULTILINE)
    return sum(int(size, 16) for size in pattern.findall(linker_map.read_text()))


def our_data_bytes(linker_map: Path) -> int:
    """Bytes of RAM that the variables of our own C files take, code that lies in RAM not counted."""
    pattern = r"^ \.(?:bss|data)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) \S*/firmware/(?:kernels|bindings)/\S+\.o$"
    return sum(int(size, 16) for size in re.findall(pattern, linker_map.read_text(), re.MULTILINE))


def memory_map(
    board: Board,
    elf: Path,
    linker_map: Path,
    romfs: Mapping[str, int] | None = None,
    recogniser_bytes: int | None = None,
) -> MemoryMap:
    """Where everything lies.

    Args:
        board: Board.
        elf, linker_map: of its image.
        romfs: bytes of each file in the ROMFS, and of what is between them under ""; None: not known.
        recogniser_bytes: RAM that the recogniser takes with its model and grammar; None: not known.
    """
    found = symbols(elf)
    hot = section_bytes(linker_map, _HOT)
    return MemoryMap(board, (*_flash(board, found, romfs), *_ram(board, found, hot, recogniser_bytes)), hot)


def _flash(board: Board, found: Mapping[str, int], romfs: Mapping[str, int] | None) -> list[Region]:
    room = board.romfs_address - board.flash_base
    image = found["__flash_binary_end"] - board.flash_base
    files = "models and grammars"
    if romfs is not None:
        files = ", ".join(f"{name} {size}" for name, size in romfs.items() if name) or "empty"
    used = None if romfs is None else sum(romfs.values())
    return [
        Region(FLASH, "image", board.flash_base, room, image, f"{room - image} free below ROMFS"),
        Region(FLASH, "ROMFS", board.romfs_address, board.romfs_bytes, used, files),
        Region(FLASH, "file system", board.storage_address, board.storage_bytes, None, "main.py and settings"),
    ]


def _ram(board: Board, found: Mapping[str, int], hot: int, recogniser_bytes: int | None) -> list[Region]:
    static = found["__bss_end__"] - board.ram_base
    begin, end = found["__GcHeapStart"], found["__GcHeapEnd"]
    needs = board.python_bytes + (board.budget_bytes if recogniser_bytes is None else recogniser_bytes)
    what = "budget" if recogniser_bytes is None else "needs"
    recogniser = board.budget_bytes if recogniser_bytes is None else recogniser_bytes
    note = f"recogniser's {what} {recogniser}, Python {board.python_bytes}"
    regions = [Region(RAM, "static", board.ram_base, static, static, f"{hot} of them hot kernels")]
    if begin > found["__bss_end__"]:
        regions.append(Region(RAM, "C heap", found["__bss_end__"], begin - found["__bss_end__"]))
    stack = found["__StackTop"] - found["__StackBottom"]
    return [
        *regions,
        Region(RAM, "Python heap", begin, end - begin, needs, note),
        Region(RAM, "stack", found["__StackBottom"], stack, None, "both scratch banks"),
    ]


def check(memory: MemoryMap) -> None:
    """Stop what does not fit.

    Raises:
        BuildError: regions overlap, leave the memory, or hold less than must go into them; with the numbers.
    """
    board = memory.board
    bounds = {
        FLASH: (board.flash_base, board.flash_base + board.flash_bytes),
        RAM: (board.ram_base, board.ram_base + board.ram_bytes),
    }
    for kind, (begin, end) in bounds.items():
        regions = [region for region in memory.regions if region.memory == kind]
        _check_places(board, kind, sorted(regions, key=lambda region: region.address), begin, end)
    for region in memory.regions:
        if region.used is not None and region.used > region.size:
            raise BuildError(_too_much(board, memory, region))


def _check_places(board: Board, kind: str, regions: Sequence[Region], begin: int, end: int) -> None:
    for before, after in pairwise(regions):
        if before.end > after.address:
            raise BuildError(
                f"{board.name}: {kind} overlaps: {before.name} ends at {before.end:#x}, {after.name} begins at "
                f"{after.address:#x}; see boards/{board.name}/board.toml"
            )
    for region in regions:
        if region.address < begin or region.end > end:
            raise BuildError(
                f"{board.name}: {region.name} ({region.address:#x} to {region.end:#x}) leaves the {kind} "
                f"({begin:#x} to {end:#x}); see boards/{board.name}/board.toml"
            )


def _too_much(board: Board, memory: MemoryMap, region: Region) -> str:
    if (region.memory, region.name) == (FLASH, "image"):
        return (
            f"{board.name}: flash overlaps: the image takes {region.used} bytes, but ROMFS ({board.romfs_bytes} bytes) "
            f"and file system ({board.storage_bytes} bytes) leave {region.size} of {board.flash_bytes}; "
            f"shrink one of them in boards/{board.name}/board.toml"
        )
    if region.memory == RAM:
        static = memory.region(RAM, "static").size
        return (
            f"{board.name}: RAM overflows: {region.name} has {region.size} bytes ({static} of {board.ram_bytes} are "
            f"static), but {region.used} are needed: {region.note}; use a smaller model, or see "
            f"boards/{board.name}/board.toml"
        )
    return (
        f"{board.name}: {region.name} has {region.size} bytes, but {region.used} are needed: {region.note}; "
        f"enlarge it in boards/{board.name}/board.toml, or use less"
    )


def table(memory: MemoryMap) -> str:
    """The map as text."""
    lines = [memory.board.title]
    for region in memory.regions:
        used = region.size if region.used is None or region.memory == RAM else region.used
        of = "" if used == region.size else f" of {region.size}"
        row = f"  {region.memory:6}{region.name:12} 0x{region.address:08x} {used:9} bytes{of:11}  {region.note}"
        lines.append(row.rstrip())
    return "\n".join(lines)
