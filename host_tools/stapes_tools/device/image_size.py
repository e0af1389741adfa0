"""What a UF2 file takes of its board: the image, what lies in its ROMFS, and the RAM that they need."""

from pathlib import Path, PurePosixPath

from stapes.errors import StapesError as PackageError
from stapes.recognizer import Recognizer

from .. import kernels
from .boards import Board, board_names, load_board
from .cache import REPO
from .errors import DeviceError
from .firmware import Image, build_firmware
from .memory_map import MemoryMap, check, memory_map
from .program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from .romfs import ALIGNMENT, RomFile, parse_romfs
from .uf2 import read_uf2

_MODEL, _GRAMMAR = (PurePosixPath(path).name for path in (MODEL_ON_BOARD, GRAMMAR_ON_BOARD))


def size_of(what: str) -> MemoryMap:
    """Measure what `stapes size` is given.

    Args:
        what: a UF2 file, or a board: what was made for it last, else its firmware alone.
    Raises:
        DeviceError: there is no such file or board, or the file is damaged.
        BuildError: it does not fit.
    """
    if what in board_names():
        made = REPO / "build" / what / "stapes.uf2"
        return measure(made) if made.is_file() else measure_image(build_firmware(what))
    path = Path(what)
    if path.suffix != ".uf2":
        raise DeviceError(f"{what}: neither a UF2 file nor a board; boards are: {', '.join(board_names())}")
    return measure(path)


def measure_image(image: Image) -> MemoryMap:
    """Measure an image without a ROMFS, and check it."""
    memory = memory_map(image.board, image.elf, image.map)
    check(memory)
    return memory


def measure(uf2: Path, image: Image | None = None) -> MemoryMap:
    """Measure a UF2 file, and check it.

    Args:
        uf2: firmware alone, or with its ROMFS.
        image: the build that it was made of; by default looked for beside it and among the builds.
    Raises:
        DeviceError: no UF2 file of ours, or one whose build is not here.
        BuildError: something in it does not fit or is not where it must be.
    """
    parts = read_uf2(uf2)
    board = image.board if image else _board_of(uf2, parts)
    image = image or _build_of(uf2, parts, board)
    rom = parts.get(board.romfs_address)
    if rom is None:
        return measure_image(image)
    files = _files(uf2, rom)
    sizes = {file.name: len(file.data) for file in files}
    sizes[""] = len(rom) - sum(sizes.values())
    memory = memory_map(board, image.elf, image.map, sizes, _recogniser_bytes(files))
    check(memory)
    return memory


def _board_of(uf2: Path, parts: dict[int, bytes]) -> Board:
    """The board whose name is frozen into the image."""
    for name in board_names():
        board = load_board(name)
        if name.encode() in parts.get(board.flash_base, b""):
            return board
    raise DeviceError(f"{uf2}: no firmware of ours is in it; boards are: {', '.join(board_names())}")


def _build_of(uf2: Path, parts: dict[int, bytes], board: Board) -> Image:
    """The folder that holds the image's ELF and map: the UF2's own, or the last build's."""
    wanted = parts[board.flash_base]
    beside = Image(board, uf2.parent)
    for image in (beside, None):
        found = image or build_firmware(board.name)
        if found.uf2.is_file() and found.elf.is_file() and read_uf2(found.uf2)[board.flash_base] == wanted:
            return found
    raise DeviceError(
        f"{uf2}: it was made of another firmware than today's, and firmware.elf is not beside it; "
        f"run: make firmware BOARD={board.name}"
    )


def _files(uf2: Path, rom: bytes) -> list[RomFile]:
    files = parse_romfs(rom)
    for file in files:
        if file.offset % ALIGNMENT:
            raise DeviceError(
                f"{uf2}: {file.name} in its ROMFS is not at a multiple of {ALIGNMENT} bytes; build it again"
            )
    return files


def _recogniser_bytes(files: list[RomFile]) -> int | None:
    """RAM that the recogniser takes; None where the board will refuse model or grammar, and say why."""
    contents = {file.name: file.data for file in files}
    try:
        return Recognizer(contents[_MODEL], contents[_GRAMMAR], kernels=kernels.install()).memory_bytes
    except (KeyError, PackageError):
        return None
