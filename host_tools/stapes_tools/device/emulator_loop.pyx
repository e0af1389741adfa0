# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The emulator's inner loop, for a chip whose PIO blocks have alarms of their own (pio_pace.py).

What rp2040py's own loop (native/_simulator.pyx) does, in the same order and to the same nanosecond: an instruction, then
the alarms that are due; while the core waits, the next alarm at once. Left out is what it asks after every instruction:
both PIO blocks, and whether somebody has stopped it, which is asked every 256 instructions here.
"""

import time

from rp2040py.native._cortex_m0_core cimport CortexM0Core
from rp2040py.native._rp2040 cimport RP2040
from rp2040py.native._simulation_clock cimport SimulationClock

cdef double CYCLE_NANOS = 1e9 / 125_000_000
cdef int LOOK_EACH = 256  # instructions
cdef int MOST_LOOKS = 3906  # a million instructions
cdef double MOST_SECONDS = 0.005


def execute_batch(simulator):
    """Run until the simulator is stopped, for 5 ms of wall time at most.

    Args:
        simulator: rp2040py's Simulator of an RP2040 whose PIO blocks are paced.
    """
    cdef RP2040 chip = simulator.rp2040
    cdef CortexM0Core core = chip.core
    cdef SimulationClock clock = chip.clock
    cdef double until = time.monotonic() + MOST_SECONDS
    cdef double nanos
    cdef int look, k
    if chip.run_pin_low:
        return
    for look in range(MOST_LOOKS):
        for k in range(LOOK_EACH):
            if core.waiting:
                clock.tick(0.0 if clock._next_alarm is None else clock._next_alarm.nanos - clock._nanos_counter)
                continue
            nanos = core.execute_instruction() * CYCLE_NANOS
            if clock._next_alarm is not None and clock._next_alarm.nanos <= clock._nanos_counter + nanos:
                clock.tick(nanos)
            else:
                clock._nanos_counter += nanos
        if simulator.stopped or time.monotonic() > until:
            return
