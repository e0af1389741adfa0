"""Executes the PIO program that clocks a microphone, and the microphone, in C: a burst at a time.

Everything is as with pio_pace.py and emulated_microphone.py alone, bit for bit, but some fifty times faster.
"""

import os
import subprocess
from array import array
from pathlib import Path
from typing import Any

import cffi

from .cache import cached, content_hash
from .errors import BuildError

_SOURCE = Path(__file__).with_suffix(".c")
_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
_FIFO_WORDS = 4  # as many as the emulator has, joined or not
_NO_ROOM, _REFUSED = 1, 2
_BUSES = {"i2s": 0, "pdm": 1}


def _structure(text: str) -> str:
    """The part of the C file that cffi needs."""
    return text[text.index("typedef struct") : text.index("} lane_t;")] + "} lane_t;"


def _library() -> tuple[cffi.FFI, Any]:
    command = [os.environ.get("CC", "gcc"), *_FLAGS]

    def build(folder: Path) -> None:
        try:
            done = subprocess.run(
                [*command, str(_SOURCE), "-o", str(folder / "lane.so")], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise BuildError(f"no C compiler ({command[0]}): install gcc, or name yours in CC") from None
        if done.returncode:
            raise BuildError(f"{command[0]} refused {_SOURCE.name}:\n{done.stderr}")

    folder = cached("pio-lane", content_hash([_SOURCE, Path(__file__)], " ".join(command)), build)
    ffi = cffi.FFI()
    ffi.cdef(_structure(_SOURCE.read_text()))
    ffi.cdef("int lane_run(lane_t *, int64_t); void lane_see(lane_t *, uint32_t); void lane_power_up(lane_t *);")
    return ffi, ffi.dlopen(str(folder / "lane.so"))


class Lane:
    """One microphone, and whichever state machine of its block clocks it.

    Args:
        order: see emulated_microphone.attach.
        words: what it says, see emulated_microphone.
    """

    def __init__(self, order: dict[str, Any], words: array):
        self._ffi, self._library = _library()
        self._words: Any = None
        lane = self._lane = self._ffi.new("lane_t *")
        pins = order["pins"]
        lane.bus = _BUSES[order["bus"]]
        lane.clock, lane.data = 1 << pins[0], 1 << pins[-1]
        lane.select_pin = 1 << pins[1] if len(pins) > 2 else 0
        lane.right, lane.late, lane.idle = order["right"], order["late"], order["idle"]
        self._block: Any = None
        self._machine: Any = None
        self.say(words)

    def say(self, words: array) -> None:
        """Have other words to say, from the first on."""
        self._words = self._ffi.from_buffer("uint32_t[]", words) if words else self._ffi.NULL
        self._lane.words, self._lane.word_count = self._words, len(words)
        self._library.lane_power_up(self._lane)

    @property
    def position(self) -> int:
        """Words begun."""
        return self._lane.position

    def forget(self) -> None:
        """Somebody wrote to the block: look at its settings again."""
        self._machine = None

    def run(self, block: Any, now_fp: int) -> bool:
        """Execute what is due; False if more than one machine runs, or nothing that is ours.

        Raises:
            RuntimeError: the program has an instruction that is not known here, and a microphone has something to say.
        """
        machine = self._machine if block is self._block and self._machine else self._learn(block)
        if machine is None or machine.waiting:
            return False
        lane = self._lane
        self._load(machine, block)
        status = self._library.lane_run(lane, now_fp)
        if status == _REFUSED and lane.word_count:
            raise RuntimeError(f"an emulated microphone's clock runs {lane.code[lane.pc]:#06x}: see pio_lane.c")
        self._store(machine, block)
        if status == _REFUSED:
            return False
        if status == _NO_ROOM:
            block.step_slowly()
            self._library.lane_see(lane, block.pin_values)
            return block.next_due_fp > now_fp
        return True

    def _learn(self, block: Any) -> Any:
        """Return the one machine that runs."""
        running = [machine for machine in block.machines if machine.enabled]
        if len(running) != 1:
            return None
        machine, lane = running[0], self._lane
        control, shift, pins = machine.exec_ctrl, machine.shift_ctrl, machine.pin_ctrl
        lane.code = block.instructions
        lane.wrap_bottom, lane.wrap_top = control >> 7 & 31, control >> 12 & 31
        lane.side_enable, lane.side_count = control >> 30 & 1, pins >> 29 & 7
        lane.side_base, lane.in_base = pins >> 10 & 31, pins >> 15 & 31
        lane.autopush, lane.shifts_right = shift >> 16 & 1, shift >> 18 & 1
        lane.push_threshold = shift >> 20 & 31 or 32
        lane.step = machine.div_fp
        self._library.lane_see(lane, block.pin_values)
        self._block, self._machine = block, machine
        return machine

    def _load(self, machine: Any, block: Any) -> None:
        lane = self._lane
        lane.pc, lane.x, lane.y = machine.pc, machine.x, machine.y
        lane.shift, lane.shifted = machine.input_shift_reg, machine.input_shift_count
        lane.due = machine.next_due_fp
        lane.room = _FIFO_WORDS - machine.rx_fifo.item_count

    def _store(self, machine: Any, block: Any) -> None:
        lane = self._lane
        machine.pc, machine.x, machine.y = lane.pc, lane.x, lane.y
        machine.input_shift_reg, machine.input_shift_count = lane.shift, lane.shifted
        machine.next_due_fp = lane.due
        machine.rp2040.gpio_values = lane.inputs
        block.pin_values = block.old_pin_values = lane.pins
        if lane.pushed:
            for word in lane.out[0 : lane.pushed]:
                machine.rx_fifo.push(word)
            machine.rp2040.dma.set_dreq(machine.dreq_rx)
            block.check_interrupts()
        block.recompute_due()
