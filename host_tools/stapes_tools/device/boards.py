"""Boards as data: boards/<name>/board.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .cache import REPO
from .errors import DeviceError

_BOARDS = REPO / "boards"


@dataclass(frozen=True)
class Board:
    """One board.toml. Addresses are those of memory-mapped flash; sizes are bytes."""

    name: str
    title: str
    port: str
    pico_board: str
    natmod_arch: str
    image: str
    flash_base: int
    flash_bytes: int
    romfs_bytes: int
    storage_bytes: int
    ram_bytes: int
    folder: Path

    @property
    def storage_address(self) -> int:
        """First byte of the file system, which ends with the flash."""
        return self.flash_base + self.flash_bytes - self.storage_bytes

    @property
    def romfs_address(self) -> int:
        """First byte of the ROMFS partition, just below the file system."""
        return self.storage_address - self.romfs_bytes


def board_names() -> list[str]:
    """Every board that has a board.toml."""
    return sorted(path.parent.name for path in _BOARDS.glob("*/board.toml"))


def load_board(name: str) -> Board:
    """Read boards/NAME/board.toml.

    Raises:
        DeviceError: no such board, or its board.toml lacks a field.
    """
    if name not in board_names():
        raise DeviceError(f"there is no board {name!r}; BOARD is one of: {', '.join(board_names())}")
    path = _BOARDS / name / "board.toml"
    try:
        data = tomllib.loads(path.read_text())
        flash = data["flash"]
        return Board(
            **{key: data[key] for key in ("name", "title", "port", "pico_board", "natmod_arch", "image")},
            flash_base=flash["base"],
            flash_bytes=flash["bytes"],
            romfs_bytes=flash["romfs_bytes"],
            storage_bytes=flash["storage_bytes"],
            ram_bytes=data["ram"]["bytes"],
            folder=path.parent,
        )
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise DeviceError(f"boards/{name}/board.toml: {error!r}; see docs/firmware.md for its fields") from None
