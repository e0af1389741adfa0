# ruff: noqa: F821 (rp2.asm_pio brings these names)
"""Words from the RP2040's pins, without the core: PIO or ADC, and DMA into a ring."""

import rp2
import stapes_spec as spec
from machine import ADC, Pin, freq, mem32

from stapes.errors import StapesError
from stapes.microphone_settings import LEFT
from stapes.rp2_ring import Ring

_RATE = spec.AUDIO_SAMPLE_RATE_HZ
_PIO_BASE = 0x50200000
_PIO_BYTES = 0x100000
_RXF0 = 0x20
_SLOTS = 64  # clocks of an I2S frame
_ADC_HZ = 48000000
_ADC_BASE = 0x4004C000
_DREQ_ADC = 36
if hasattr(rp2.PIO, "gpio_base"):  # RP2350
    _ADC_BASE = 0x400A0000
    _DREQ_ADC = 48


def _i2s(left):
    """Return the program of an I2S master that takes in one channel: 128 steps to a frame, ws:sck as side-set.

    The data is read just before the clock rises; ws changes as the clock falls, one clock ahead of its word.
    """

    @rp2.asm_pio(
        sideset_init=(rp2.PIO.OUT_LOW, rp2.PIO.OUT_LOW),
        in_shiftdir=rp2.PIO.SHIFT_LEFT,
        autopush=True,
        push_thresh=32,
        fifo_join=rp2.PIO.JOIN_RX,
    )
    def program():
        set(x, 29).side(0b00)
        label("left")
        (in_(pins, 1) if left else nop()).side(0b01)
        jmp(x_dec, "left").side(0b00)
        (in_(pins, 1) if left else nop()).side(0b01)
        nop().side(0b10)
        (in_(pins, 1) if left else nop()).side(0b11)
        set(x, 29).side(0b10)
        label("right")
        (nop() if left else in_(pins, 1)).side(0b11)
        jmp(x_dec, "right").side(0b10)
        (nop() if left else in_(pins, 1)).side(0b11)
        nop().side(0b00)
        (nop() if left else in_(pins, 1)).side(0b01)

    return program


def _pdm(left):
    """Return the program of a PDM master: the left microphone's bit is there before the clock rises."""

    @rp2.asm_pio(
        sideset_init=rp2.PIO.OUT_LOW,
        in_shiftdir=rp2.PIO.SHIFT_LEFT,
        autopush=True,
        push_thresh=32,
        fifo_join=rp2.PIO.JOIN_RX,
    )
    def program():
        (nop() if left else in_(pins, 1)).side(0)
        (in_(pins, 1) if left else nop()).side(1)

    return program


class _Clocked:
    """A state machine that clocks a microphone."""

    def __init__(self, settings):
        i2s = settings.bus == "i2s"
        left = settings.channel == LEFT
        clock, data = settings.pins[0], settings.pins[-1]
        number = settings.state_machine
        self._machine = rp2.StateMachine(
            number,
            (_i2s if i2s else _pdm)(left),
            freq=2 * _SLOTS * _RATE,
            sideset_base=Pin(clock),
            in_base=Pin(data, Pin.IN, Pin.PULL_DOWN),
        )
        block, within = number // 4, number % 4
        self.address = _PIO_BASE + block * _PIO_BYTES + _RXF0 + 4 * within
        self.dreq = 8 * block + 4 + within
        self.words = 1 if i2s else spec.PDM_SAMPLE_WORDS

    def start(self):
        self._machine.active(1)

    def stop(self):
        self._machine.active(0)


class _Converter:
    """The ADC, which paces itself."""

    address = _ADC_BASE + 0x0C
    dreq = _DREQ_ADC
    words = 1

    def __init__(self, settings):
        ADC(Pin(settings.pins[0]))
        mem32[_ADC_BASE + 0x10] = (_ADC_HZ // _RATE - 1) << 8
        mem32[_ADC_BASE + 0x08] = 1 << 24 | 1 << 3 | 1  # a request for each reading
        self._control = (settings.pins[0] - 26) << 12 | 1

    def start(self):
        mem32[_ADC_BASE] = self._control | 1 << 3

    def stop(self):
        mem32[_ADC_BASE] = self._control
        mem32[_ADC_BASE + 0x08] = 0


def open_source(settings):
    """Return a started source of words for DigitalMicrophone.

    Raises:
        StapesError: PIO or DMA are taken (microphone_busy), or the processor's clock is too slow for the pins.
    """
    if freq() < 4 * _SLOTS * _RATE:
        raise StapesError(spec.ERROR_MICROPHONE_SETTINGS, "machine.freq", "%d Hz are too few" % freq())
    try:
        clocked = (_Converter if settings.bus == "adc" else _Clocked)(settings)
        return Ring(clocked, settings.ring_steps)
    except (OSError, ValueError, MemoryError) as error:
        raise StapesError(spec.ERROR_MICROPHONE_BUSY, settings.kind, repr(error))
