"""Starts the emulator's own process: chooses its core, then runs emulated.py, whose arguments it takes."""

import sys

from .emulator_core import use_core


def main(arguments: list[str]) -> int:
    """Run one board."""
    use_core()
    from . import emulated  # loads the emulator

    return emulated.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
