"""Words from machine.I2S: the microphone of boards that are no RP2040."""

from array import array
from time import ticks_diff, ticks_us

import stapes_spec as spec
from machine import I2S, Pin

from stapes.errors import StapesError
from stapes.microphone_settings import LEFT

_STEP = spec.FRONTEND_STEP_SAMPLES
_RATE = spec.AUDIO_SAMPLE_RATE_HZ
_SLACK = 64  # samples: machine.I2S moves so many at once, and drops them at once


class I2SSource:
    """machine.I2S, which drops what its buffer has no room for without a word: the clock tells how much.

    Args:
        settings: microphone_settings.Settings.

    Attributes:
        lost: int, samples, to about 4 ms.
    """

    def __init__(self, settings):
        self.lost = 0
        self._both = settings.channel != LEFT  # the right channel comes with the left one only
        words = 2 if self._both else 1
        self._step = array("I", [0] * (_STEP * words))
        self._room = settings.ring_steps * _STEP
        sck, ws, sd = [Pin(pin) for pin in settings.pins]
        self._i2s = I2S(
            0,
            sck=sck,
            ws=ws,
            sd=sd,
            mode=I2S.RX,
            bits=32,
            format=I2S.STEREO if self._both else I2S.MONO,
            rate=_RATE,
            ibuf=4 * words * self._room,
        )
        self._ahead = 0  # samples that the clock has given and nobody has read
        self._seen_us = ticks_us()

    def read(self, count):
        """Wait for the words of count samples and return them: until the next read."""
        self._count_lost()
        whole = count == _STEP
        words = self._step if whole else memoryview(self._step)[: count * (2 if self._both else 1)]
        got = self._i2s.readinto(words) // (8 if self._both else 4)
        self._ahead -= got
        return self._right(got) if self._both else words

    async def read_async(self, count):
        """As read; others do not run meanwhile."""
        return self.read(count)

    def _count_lost(self):
        now = ticks_us()
        # Whole samples only; what is left of the time counts the next time.
        come = (ticks_diff(now, self._seen_us) >> 6) * _RATE // 15625
        if come > 0:
            self._seen_us = now
            self._ahead += come
        lost = self._ahead - self._room - _SLACK
        if lost > 0:
            self.lost += lost
            self._ahead -= lost

    def _right(self, count):
        for k in range(count):
            self._step[k] = self._step[2 * k + 1]
        return memoryview(self._step)[:count]

    def close(self):
        """Stop."""
        self._i2s.deinit()


def open_source(settings):
    """Return a started source of words for DigitalMicrophone.

    Raises:
        StapesError: the board refuses the pins, or has no I2S left.
    """
    try:
        return I2SSource(settings)
    except (OSError, ValueError, MemoryError) as error:
        raise StapesError(spec.ERROR_MICROPHONE_BUSY, settings.kind, repr(error))
