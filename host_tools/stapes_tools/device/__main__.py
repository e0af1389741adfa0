"""What the Makefile calls: python -m stapes_tools.device natmod|firmware ..."""

import sys
from pathlib import Path, PurePosixPath

from ..errors import StapesError
from .board_model import model_for_board
from .errors import DeviceError
from .firmware import build_firmware
from .image_size import measure
from .memory_map import table
from .natmod import host_arch, install_natmod
from .program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from .romfs import firmware_with_romfs

_USAGE = "usage: python -m stapes_tools.device unix-module DIR | natmod ARCH DIR | firmware BOARD DIR MODEL GRAMMAR"


def _unix_module(folder: Path) -> int:
    """The kernels for this machine's unix port; without sources the port runs the reference instead."""
    arch = host_arch()
    try:
        if arch is None:
            raise DeviceError("native modules of the unix port exist for x86-64 only")
        print(install_natmod(arch, folder))
    except DeviceError as error:
        (folder / "stapes_kernels.mpy").unlink(missing_ok=True)
        print(f"stapes: {error}", file=sys.stderr)
        print("stapes: going on with the kernels in plain Python: same results, slower", file=sys.stderr)
    return 0


def _firmware(board: str, folder: Path, model: Path, grammar: Path) -> int:
    """firmware.uf2 alone, and stapes.uf2 with model and grammar behind it: what a board is flashed with."""
    from ..grammar.compiler import compile_grammar

    image = build_firmware(board, install=folder)
    compiled = grammar.read_bytes() if grammar.suffix == ".stg" else compile_grammar(grammar)
    packed = model_for_board(model)
    files: dict[str, Path | bytes] = {
        PurePosixPath(MODEL_ON_BOARD).name: packed,
        PurePosixPath(GRAMMAR_ON_BOARD).name: compiled,
    }
    whole = firmware_with_romfs(image.uf2, files, folder / "stapes.uf2", board)
    print(table(measure(whole, image)))
    how = " without its zeros" if len(packed) < model.stat().st_size else ""
    print(f"  /rom: {model.name} {len(packed)} bytes{how}, {grammar.name} {len(compiled)} bytes")
    print(f"{image.uf2}: the firmware alone\n{whole}: with model and grammar")
    return 0


def main(arguments: list[str]) -> int:
    """Run one verb; a StapesError ends in one line and its exit code."""
    verb, *words = arguments or [""]
    try:
        if verb == "unix-module" and len(words) == 1:
            return _unix_module(Path(words[0]))
        if verb == "natmod" and len(words) == 2:
            print(install_natmod(words[0], Path(words[1])))
            return 0
        if verb == "firmware" and len(words) == 4:
            return _firmware(words[0], *map(Path, words[1:]))
    except StapesError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return error.exit_code
    print(_USAGE, file=sys.stderr)
    return DeviceError.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
