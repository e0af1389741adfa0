"""What the board itself knows of its board.toml: the frozen module board_toml, see firmware/stapes/board.py."""

from pathlib import Path

from .boards import Board
from .cache import REPO
from .frozen_package import write_package

NAME = "board_toml.py"
# How memory is divided and how it is flashed is the host's business.
_NOT_FOR_THE_BOARD = ("flash", "ram", "flashing")

_MANIFEST = """\
include({image!r})
module({name!r}, base_path={folder!r}, opt=3)
package("stapes", base_path={folder!r}, opt=3)
"""
_FIRMWARE = REPO / "firmware"


def module_source(board: Board) -> str:
    """Return the module's source: a dict for each table of board.toml, under its name in capitals."""
    lines = ['"""Made from board.toml when the image was built."""', "", f"NAME = {board.name!r}"]
    for name, table in board.tables.items():
        if name not in _NOT_FOR_THE_BOARD:
            lines.append(f"{name.upper()} = {table!r}")
    return "\n".join(lines) + "\n"


def write_manifest(board: Board, image_manifest: Path, folder: Path) -> Path:
    """Write the module, the package, and a manifest that freezes them beside what the image's own manifest names.

    Args:
        board: its tables go into the module.
        image_manifest: firmware/images/IMAGE/manifest.py.
        folder: where all files go.
    Returns:
        Path: the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_package(_FIRMWARE / "stapes", _FIRMWARE / "spec" / "generated" / "stapes_spec.py", folder)
    manifest = folder / "manifest.py"
    text = _MANIFEST.format(image=str(image_manifest), name=NAME, folder=str(folder))
    for path, contents in ((folder / NAME, module_source(board)), (manifest, text)):
        if not path.exists() or path.read_text() != contents:
            path.write_text(contents)
    return manifest
