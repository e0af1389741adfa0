"""Microphones at an emulated board's pins, in the emulator's own process.

An I2S microphone watches SCK and WS and drives SD, bit by bit, against the clocks that the firmware generates; a PDM
microphone answers each clock with a bit; an analog one is asked by the ADC. What they say is a file of words.
"""

import sys
from array import array
from pathlib import Path
from typing import Any

from rp2040py.gpio_pin import GPIOPinState

from .pio_lane import Lane
from .pio_pace import PacedPIO, pace

_WORD_BITS = 24
_DRIVEN = (GPIOPinState.HIGH, GPIOPinState.LOW)


class _Inputs:
    """What the state machines see of the chip: the emulator asks all 30 pins anew for each bit otherwise.

    Attributes:
        gpio_values: levels of the pins that a microphone drives; the others are low.
    """

    def __init__(self, chip: Any):
        self.gpio = chip.gpio
        self.dma = chip.dma
        self.gpio_values = 0


class _Driven:
    """A pin that a microphone drives, or leaves to its pull resistor."""

    def __init__(self, chip: Any, number: int, inputs: _Inputs):
        self._pin = chip.gpio[number]
        self._mask = 1 << number
        self._inputs = inputs
        self._level = -1

    def drive(self, level: int) -> None:
        """Drive 0 or 1."""
        if level == self._level:
            return
        self._level = level
        self._pin._driven = True
        self._pin._raw_input_value = bool(level)
        if level:
            self._inputs.gpio_values |= self._mask
        else:
            self._inputs.gpio_values &= ~self._mask

    def release(self, pulled: int) -> None:
        """Drive nothing."""
        self.drive(pulled)
        self._pin._driven = False
        self._level = -1


class I2SMicrophone:
    """24 bits, left-justified, most significant first, in one half of a frame; SD is left alone in the other half.

    Args:
        chip: rp2040py's RP2040.
        inputs: what its state machines see.
        pins: numbers of SCK, WS, SD.
        right: whether L/R is high.
        late: whether it changes its data as the clock rises, as the SPH0645 does.
        words: 24 bits each.
        idle: what SD is when nobody drives it, 0 or 1.

    Attributes:
        position: int, words begun.
    """

    def __init__(
        self, chip: Any, inputs: _Inputs, pins: list[int], *, right: bool, late: bool, words: array, idle: int = 0
    ):
        sck, ws, sd = pins
        self._ws = chip.gpio[ws]
        self._sd = _Driven(chip, sd, inputs)
        self._wanted = GPIOPinState.HIGH if right else GPIOPinState.LOW
        self._words = words
        self._late = late
        self._idle = idle
        self.position = 0
        self._select: Any = None
        self._begins = False
        self._word = self._left = 0
        self._sd.release(idle)
        chip.gpio[sck].add_listener(self._edge)

    def say(self, words: array) -> None:
        """Have other words to say, from the first on."""
        self._words, self.position = words, 0

    def _edge(self, level: GPIOPinState, _: GPIOPinState) -> None:
        if level is GPIOPinState.HIGH:
            if self._late:
                self._next_bit()
            select = self._ws.value
            if select is not self._select:
                self._select = select
                self._begins = True
        elif level is GPIOPinState.LOW and not self._late:
            self._next_bit()

    def _next_bit(self) -> None:
        if self._begins:
            self._begins = False
            self._left = 0
            if self._select is self._wanted and self._words:
                self._word = self._words[self.position] if self.position < len(self._words) else 0
                self.position += 1
                self._left = _WORD_BITS
        if self._left:
            self._left -= 1
            self._sd.drive(self._word >> self._left & 1)
        else:
            self._sd.release(self._idle)


class PDMMicrophone:
    """One bit for each clock: the left one's is there from the falling edge on, the right one's from the rising.

    Args:
        chip, inputs: see I2SMicrophone.
        pins: numbers of clock and data.
        right: whether SELECT is high.
        words: 32 bits each, the earliest on top.

    Attributes:
        position: int, words begun.
    """

    def __init__(self, chip: Any, inputs: _Inputs, pins: list[int], *, right: bool, words: array):
        self._data = _Driven(chip, pins[1], inputs)
        self._edge_at = GPIOPinState.HIGH if right else GPIOPinState.LOW
        self._words = words
        self._bits = 0
        self._next_bit()  # it was clocked before anybody listened
        chip.gpio[pins[0]].add_listener(self._edge)

    def say(self, words: array) -> None:
        """Have other words to say, from the first bit on."""
        self._words, self._bits = words, 0
        self._next_bit()

    @property
    def position(self) -> int:
        """Words begun."""
        return (self._bits + 31) // 32

    def _edge(self, level: GPIOPinState, before: GPIOPinState) -> None:
        if level is self._edge_at and before in _DRIVEN:
            self._next_bit()

    def _next_bit(self) -> None:
        at, within = divmod(self._bits, 32)
        word = self._words[at] if at < len(self._words) else 0x55555555
        self._data.drive(word >> (31 - within) & 1)
        self._bits += 1


class AnalogMicrophone:
    """A voltage at a pin of the ADC: 12 bits for each reading.

    Args:
        chip: see I2SMicrophone.
        pin: number.
        words: readings.

    Attributes:
        position: int, readings so far.
    """

    def __init__(self, chip: Any, pin: int, words: array):
        self._adc = chip.adc
        self._channel = pin - 26
        self._words = words
        self.position = 0
        self._default = chip.adc.on_adc_read
        chip.adc.on_adc_read = self._read

    def say(self, words: array) -> None:
        """Have other words to say, from the first on."""
        self._words, self.position = words, 0

    def _read(self, channel: int) -> None:
        if channel == self._channel:
            self._adc.channel_values[channel] = self._words[self.position] if self.position < len(self._words) else 2048
            self.position += 1
        self._default(channel)


def read_words(path: str) -> array:
    """Return a file's words, uint32, little endian."""
    words = array("I")
    words.frombytes(Path(path).read_bytes())
    if sys.byteorder == "big":
        words.byteswap()
    return words


NOBODY = {"bus": "i2s", "pins": [31, 31, 31], "right": False, "late": False, "idle": 0}


def wire(chip: Any) -> list[PacedPIO]:
    """Prepare a chip that has not run yet: what its PIO clocks answers with zeros until attach solders something on."""
    inputs = _Inputs(chip)
    blocks = pace(chip)
    for block in blocks:
        block.lane = Lane(NOBODY, array("I"))
        for machine in block.machines:
            machine.rp2040 = inputs  # type: ignore[assignment]
    return blocks


def attach(
    chip: Any, blocks: list[PacedPIO], order: dict[str, Any]
) -> I2SMicrophone | PDMMicrophone | AnalogMicrophone | Lane:
    """Solder a microphone to a chip that has not run yet.

    Args:
        chip: rp2040py's RP2040.
        blocks: its PIO, as wire has made it.
        order: bus, "i2s", "pdm" or "adc"; pins; right, bool; late, bool; idle, 0 or 1; file of words, uint32;
            slow, true for the microphones of this module, else those of pio_lane.c, which are the same.
    """
    words = read_words(order["file"])
    if order["bus"] == "adc":
        return AnalogMicrophone(chip, order["pins"][0], words)
    for block in blocks:
        block.lane = None
    if not order.get("slow"):
        lane = Lane(order, words)
        for block in blocks:
            block.lane = lane
        return lane
    inputs: Any = blocks[0].machines[0].rp2040
    if order["bus"] == "pdm":
        return PDMMicrophone(chip, inputs, order["pins"], right=order["right"], words=words)
    return I2SMicrophone(
        chip, inputs, order["pins"], right=order["right"], late=order["late"], words=words, idle=order["idle"]
    )
