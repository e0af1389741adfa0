"""What the Makefile calls: python -m stapes_tools.device natmod|firmware ..."""

import sys
from pathlib import Path

from ..errors import StapesError
from .errors import DeviceError
from .firmware import build_firmware, memory_table
from .natmod import host_arch, install_natmod

_USAGE = "usage: python -m stapes_tools.device unix-module DIR | natmod ARCH DIR | firmware BOARD DIR"


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


def main(arguments: list[str]) -> int:
    """Run one verb; a StapesError ends in one line and its exit code."""
    try:
        if len(arguments) == 2 and arguments[0] == "unix-module":
            return _unix_module(Path(arguments[1]))
        if len(arguments) == 3 and arguments[0] == "natmod":
            print(install_natmod(arguments[1], Path(arguments[2])))
            return 0
        if len(arguments) == 3 and arguments[0] == "firmware":
            image = build_firmware(arguments[1], install=Path(arguments[2]))
            print(memory_table(image))
            print(Path(arguments[2]) / image.uf2.name)
            return 0
    except StapesError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return error.exit_code
    print(_USAGE, file=sys.stderr)
    return DeviceError.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
