"""The emulator's PIO blocks, stepped in bursts.

The emulator itself calls a PIO block after every instruction of the core, and lets it fall behind while the core
sleeps. Here each block has an alarm on the emulated clock instead. When it rings, every PIO instruction that is due
by then is executed, one by one, at its own pace: pins, FIFOs and interrupts change in the same order, at most a burst
of PIO instructions later than on the chip, and time in which the core sleeps is kept. Whoever touches a register
of the block finds it up to date.
"""

from typing import Any

from rp2040py.irq import IRQ
from rp2040py.peripherals.pio import RPPIO

_BURST = 16
_LANE_BURST = 64  # a word of I2S is as many
_CYCLES_PER_NANOSECOND = 0.125  # the emulator's core runs at 125 MHz
_NEVER = 1 << 62
_BLOCKS = ((0x50200, "PIO0", IRQ.PIO0_IRQ0), (0x50300, "PIO1", IRQ.PIO1_IRQ0))


class PacedPIO(RPPIO):  # type: ignore[misc, valid-type]
    """One PIO block of a chip.

    Attributes:
        lane: pio_lane.Lane, which executes bursts faster than the emulator, or None.
    """

    def __init__(self, chip: Any, name: str, first_irq: int, index: int):
        # The emulator's own initialiser has run in __cinit__.
        self.lane: Any = None
        self._clock = chip.clock
        self._alarm = self._clock.create_alarm(self._ring)
        self._armed = False
        self._busy = False

    def read_uint32(self, offset: int) -> int:
        """A register, as it is now."""
        self._catch_up()
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        """Write a register, now."""
        self._catch_up()
        super().write_uint32(offset, value)
        if self.lane:
            self.lane.forget()
        self.stopped = True  # to the emulator's own loop, which then leaves the block alone
        self._arm()

    def notify_due(self, due_fp: int) -> None:
        """A machine that waited goes on."""
        super().notify_due(due_fp)
        self._arm()

    def _ring(self) -> None:
        self._armed = False
        self._catch_up()
        self._arm()

    def _catch_up(self) -> None:
        if self._busy:
            return
        self._busy = True
        now_fp = int(self._clock.nanos * _CYCLES_PER_NANOSECOND) << 8
        if self.next_due_fp <= now_fp and not (self.lane and self.lane.run(self, now_fp)):
            while self.next_due_fp <= now_fp:
                self.step_slowly()
        self.cycle_fp = max(self.cycle_fp, now_fp)
        self._busy = False

    def step_slowly(self) -> None:
        """Let the emulator execute what is due next."""
        super().advance(max(self.next_due_fp - self.cycle_fp + 255, 0) >> 8)

    def _arm(self) -> None:
        if self._armed or self._busy or self.next_due_fp >= _NEVER:
            return
        step_fp = min(machine.div_fp for machine in self.machines if machine.enabled)
        burst = _LANE_BURST if self.lane else _BURST
        wait_fp = max(self.next_due_fp - self.cycle_fp, 0) + (burst - 1) * step_fp
        self._armed = True
        self._alarm.schedule((wait_fp / 256 + 1) / _CYCLES_PER_NANOSECOND)


def pace(chip: Any) -> list[PacedPIO]:
    """Give a chip whose PIO blocks have not run yet paced ones in place of its own."""
    blocks = []
    for index, (page, name, first_irq) in enumerate(_BLOCKS):
        block = PacedPIO(chip, name, first_irq, index)
        chip.pio[index] = block
        chip.peripherals[page] = block
        blocks.append(block)
    return blocks
