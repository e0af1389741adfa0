"""Prints where an emulated RP2040 is 15, 30 … 150 ms after its power-up, nobody talking to it.

Usage: core_state.py UF2
"""

import hashlib
import sys
from pathlib import Path

from stapes_tools.device.emulator_core import inner_loop, use_core

use_core()

from rp2040py.native import _cortex_m0_core  # noqa: E402
from stapes_tools.device.emulated import EmulatedChip  # noqa: E402

EACH_NANOSECONDS = 15_000_000
MOMENTS = 10


class NoHost:
    """A socket that nobody is at."""

    def setblocking(self, _):
        """Nothing to wait for."""


def main(uf2):
    """Run it without _pace, which waits for the host, and look at chosen moments of the emulated time."""
    chip = EmulatedChip(uf2, NoHost(), NoHost())
    core, clock = chip.chip.core, chip.chip.clock
    left = MOMENTS

    def look():
        nonlocal left
        left -= 1
        memory = hashlib.sha256(bytes(chip.chip.sram)).hexdigest()
        print(int(clock.nanos), core.cycles, [core.registers[index] for index in range(16)], memory)
        alarm.schedule(EACH_NANOSECONDS)
        if not left:
            chip.simulator.stop()

    alarm = clock.create_alarm(look)
    alarm.schedule(EACH_NANOSECONDS)
    chip.simulator.stopped = False
    loop = inner_loop()
    while not chip.simulator.stopped:
        loop(chip.simulator)
    print(loop.__module__, file=sys.stderr)
    print(_cortex_m0_core.__file__, file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
