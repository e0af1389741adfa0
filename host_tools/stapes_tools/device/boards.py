"""Boards as data: boards/<name>/board.toml."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cache import REPO
from .errors import DeviceError

_BOARDS = REPO / "boards"
_SECTOR = 4096  # of flash: what is erased at once


@dataclass(frozen=True)
class Board:
    """One board.toml. Addresses are those of memory-mapped flash and of RAM; sizes are bytes.

    Attributes:
        uf2_family: which boot ROM takes the image's UF2.
        budget_bytes: what the recogniser may take of the heap.
        python_bytes: what else is in the heap of a board that listens.
        tables: every table of board.toml by name.
    """

    name: str
    title: str
    port: str
    pico_board: str
    natmod_arch: str
    image: str
    flash_base: int
    flash_bytes: int
    uf2_family: int
    romfs_bytes: int
    storage_bytes: int
    ram_base: int
    ram_bytes: int
    budget_bytes: int
    python_bytes: int
    folder: Path
    tables: dict[str, dict[str, Any]] = field(default_factory=dict, compare=False)

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
        DeviceError: no such board, or its board.toml lacks a field, or the partitions cannot lie in its flash.
    """
    if name not in board_names():
        raise DeviceError(f"there is no board {name!r}; BOARD is one of: {', '.join(board_names())}")
    path = _BOARDS / name / "board.toml"
    try:
        data = tomllib.loads(path.read_text())
        flash, ram = data["flash"], data["ram"]
        board = Board(
            **{key: data[key] for key in ("name", "title", "port", "pico_board", "natmod_arch", "image")},
            flash_base=flash["base"],
            flash_bytes=flash["bytes"],
            uf2_family=flash["uf2_family"],
            romfs_bytes=flash["romfs_bytes"],
            storage_bytes=flash["storage_bytes"],
            ram_base=ram["base"],
            ram_bytes=ram["bytes"],
            budget_bytes=ram["budget_bytes"],
            python_bytes=ram["python_bytes"],
            folder=path.parent,
            tables={key: value for key, value in data.items() if isinstance(value, dict)},
        )
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise DeviceError(f"boards/{name}/board.toml: {error!r}; see docs/firmware.md for its fields") from None
    _check_partitions(board)
    return board


def _check_partitions(board: Board) -> None:
    """Refuse what could not be flashed, whatever the image's size."""
    where = f"boards/{board.name}/board.toml"
    for what, size in (("romfs_bytes", board.romfs_bytes), ("storage_bytes", board.storage_bytes)):
        if size % _SECTOR or size < 0:
            raise DeviceError(f"{where}: {what} is {size}; flash is erased in sectors, give a multiple of {_SECTOR}")
    if board.romfs_bytes + board.storage_bytes >= board.flash_bytes:
        raise DeviceError(
            f"{where}: ROMFS ({board.romfs_bytes} bytes) and file system ({board.storage_bytes}) leave nothing of "
            f"{board.flash_bytes} for the image; shrink one of them"
        )
