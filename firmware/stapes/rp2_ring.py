"""A ring of words that DMA fills for ever, and what of it is lost when nobody reads in time."""

from array import array
from time import sleep_ms, ticks_diff, ticks_us

import rp2
import stapes_spec as spec
import uctypes

_STEP = spec.FRONTEND_STEP_SAMPLES
_RATE = spec.AUDIO_SAMPLE_RATE_HZ
_DMA_BASE = 0x50000000
_CHANNEL_BYTES = 0x40
_WRITE_ADDR_TRIG = 0x2C
_GUARD = 32  # words that DMA may write while the oldest are being read


_running = []  # the ring that DMA writes to: it must not be collected, and a second one not fight with it


class Ring:
    """Two DMA channels: one fills the ring, then sets off the other, which sends it back to the ring's beginning.

    Where the first one writes tells how many words have come, but for whole turns of the ring: those the clock
    tells, which runs from the same crystal.

    Args:
        clocked: what DMA reads: address, dreq, words to a sample, start(), stop().
        steps: int, steps of 480 samples that the ring holds.

    Attributes:
        lost: int, samples.
    """

    def __init__(self, clocked, steps):
        while _running:
            _running[0].close()
        self.lost = 0
        self._clocked = clocked
        self._words = clocked.words
        self._block = _STEP * clocked.words
        self._size = steps * self._block
        self._ring = array("I", [0] * self._size)
        view = memoryview(self._ring)
        self._blocks = [view[k * self._block : (k + 1) * self._block] for k in range(steps)]
        self._base = uctypes.addressof(self._ring)
        self._start_address = array("I", [self._base])
        self._at = 0  # where the next word to be read is
        self._seen = 0  # where DMA was last seen
        self._fill = 0
        self._fills, self._returns = rp2.DMA(), rp2.DMA()
        self._arm()
        _running.append(self)
        clocked.start()
        self._seen_us = ticks_us()

    def _arm(self):
        fills, returns = self._fills, self._returns
        for channel in (fills, returns):
            channel.active(0)  # a program before this one may have left it running
        fills.config(
            read=self._clocked.address,
            write=self._ring,
            count=self._size,
            ctrl=fills.pack_ctrl(inc_read=False, treq_sel=self._clocked.dreq, chain_to=returns.channel),
        )
        returns.config(
            read=self._start_address,
            write=_DMA_BASE + _CHANNEL_BYTES * fills.channel + _WRITE_ADDR_TRIG,
            count=1,
            ctrl=returns.pack_ctrl(inc_read=False, inc_write=False),
        )
        fills.active(1)

    def _look(self):
        """See what has come."""
        at = ((self._fills.write - self._base) >> 2) % self._size
        now = ticks_us()
        come = (at - self._seen) % self._size
        # In units of 64 us, so that the product stays a small integer.
        clock = (ticks_diff(now, self._seen_us) >> 6) * _RATE * self._words // 15625
        turns = (clock - come + self._size // 2) // self._size
        self._seen, self._seen_us = at, now
        self._fill += come + (turns * self._size if turns > 0 else 0)
        if self._fill > self._size - _GUARD:
            self._drop()

    def _drop(self):
        """Keep whole steps, half of the ring, and count the rest as lost."""
        keep = len(self._blocks) // 2 * self._block
        lost = (self._fill - keep) // self._block * self._block
        self._at = (self._at + lost) % self._size
        self._fill -= lost
        self.lost += lost // self._words

    def _missing_ms(self, count):
        """Milliseconds until count samples are there, 0 when they are."""
        self._look()
        missing = count * self._words - self._fill
        return 0 if missing <= 0 else 1 + missing * 1000 // (_RATE * self._words)

    def _take(self, count):
        words = count * self._words
        at, end = self._at, self._at + words
        self._at = end % self._size
        self._fill -= words
        if words == self._block and at % words == 0:
            return self._blocks[at // words]
        if end <= self._size:
            return memoryview(self._ring)[at:end]
        return self._ring[at:] + self._ring[: self._at]

    def read(self, count):
        """Wait for the words of count samples and return them: in the ring, until the next read.

        Args:
            count: int, at most 480.
        """
        wait_ms = self._missing_ms(count)
        while wait_ms:
            sleep_ms(wait_ms)
            wait_ms = self._missing_ms(count)
        return self._take(count)

    async def read_async(self, count):
        """As read, while others may run."""
        from asyncio import sleep_ms as others

        wait_ms = self._missing_ms(count)
        while wait_ms:
            await others(wait_ms)
            wait_ms = self._missing_ms(count)
        return self._take(count)

    def close(self):
        """Stop, and give DMA and PIO back."""
        if self not in _running:
            return
        _running.remove(self)
        self._clocked.stop()
        # Without its chain the first channel cannot set off the second while both are ended.
        self._fills.ctrl = self._fills.pack_ctrl(enable=0)
        for channel in (self._fills, self._returns):
            channel.active(0)
            channel.close()
