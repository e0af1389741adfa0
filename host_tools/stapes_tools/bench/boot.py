"""How long an emulated board takes from power-up until it listens."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ..device.emulator import EmulatedBoard
from ..device.errors import BoardError
from ..device.firmware import Image
from ..device.romfs import firmware_with_romfs

_TIMEOUT_S = 600.0
_POLL_S = 0.1


def boot_ms(image: Image, files: Mapping[str, Path | bytes]) -> float:
    """Start a board as it is flashed, and wait until its LED says that it listens.

    The LED lights for the first time when model and grammar are loaded and the first samples are asked for; a board
    that finds a fault shows that instead.

    Args:
        image: the firmware.
        files: of the ROMFS, as firmware_with_romfs takes them.
    Returns:
        float: emulated milliseconds since power-up. Reading code from flash is not charged: the emulator has no cache.
    Raises:
        BoardError: the LED stays dark.
    """
    with tempfile.TemporaryDirectory() as folder:
        flash = firmware_with_romfs(image.uf2, files, Path(folder) / "flash.uf2", image.board.name)
        with EmulatedBoard(flash) as board:
            deadline = time.monotonic() + _TIMEOUT_S
            while time.monotonic() < deadline:
                board.read(4096, _POLL_S)
                for nanoseconds, lit in board.led():
                    if lit:
                        return nanoseconds / 1e6
            raise BoardError(f"its LED stayed dark for {_TIMEOUT_S:g} s", board.name, "see docs/firmware.md")
