"""A ring of words that DMA fills for ever, and what of it is lost when nobody reads in time."""

from array import array
from time import sleep_ms, ticks_us

import rp2
import stapes_spec as spec
import uctypes

from stapes import kernels
from stapes.errors import check

_STEP = spec.FRONTEND_STEP_SAMPLES
_DMA_BASE = 0x50000000
_CHANNEL_BYTES = 0x40
_WRITE_ADDR_TRIG = 0x2C

_running = []  # the ring that DMA writes to: it must not be collected, and a second one not fight with it


class Ring:
    """Two DMA channels: one fills the ring, then sets off the other, which sends it back to the ring's beginning.

    What has come, and what of it is lost, the kernels tell: ring_look.

    Args:
        clocked: what DMA reads: address, dreq, words to a sample, start(), stop().
        steps: int, steps of 480 samples that the ring holds.
    """

    def __init__(self, clocked, steps):
        while _running:
            _running[0].close()
        self._clocked = clocked
        self._words = clocked.words
        self._block = _STEP * clocked.words
        self._ring = array("I", [0] * (steps * self._block))
        base = uctypes.addressof(self._ring)
        self._start_address = array("I", [base])
        self._state = array("i", [0] * spec.RING_INDEX_COUNT)
        self._state[spec.RING_INDEX_BASE] = base
        self._state[spec.RING_INDEX_SIZE] = len(self._ring)
        self._state[spec.RING_INDEX_WORDS] = clocked.words
        self._look, self._make = kernels.native.ring_look, kernels.native.ring_hear
        self._fills, self._returns = rp2.DMA(), rp2.DMA()
        self._arm()
        _running.append(self)
        clocked.start()
        self._state[spec.RING_INDEX_SEEN_US] = ticks_us()
        self._blocks = None
        if clocked.words > 1:  # they are not samples yet: read() has them, and is to allocate nothing
            self.hear = None
            view = memoryview(self._ring)
            self._blocks = [view[k * self._block : (k + 1) * self._block] for k in range(steps)]

    @property
    def lost(self):
        """int: samples."""
        return self._state[spec.RING_INDEX_LOST]

    def _arm(self):
        fills, returns = self._fills, self._returns
        for channel in (fills, returns):
            channel.active(0)  # a program before this one may have left it running
        fills.config(
            read=self._clocked.address,
            write=self._ring,
            count=len(self._ring),
            ctrl=fills.pack_ctrl(inc_read=False, treq_sel=self._clocked.dreq, chain_to=returns.channel),
        )
        returns.config(
            read=self._start_address,
            write=_DMA_BASE + _CHANNEL_BYTES * fills.channel + _WRITE_ADDR_TRIG,
            count=1,
            ctrl=returns.pack_ctrl(inc_read=False, inc_write=False),
        )
        fills.active(1)

    def _missing_ms(self, count):
        """See what has come; milliseconds until count samples are there, 0 when they are."""
        return check(self._look(self._state, self._fills.write, ticks_us(), count))

    def _take(self, count):
        """The words of count samples, which are there."""
        state, ring, size = self._state, self._ring, len(self._ring)
        words = count * self._words
        at, end = state[spec.RING_INDEX_AT], state[spec.RING_INDEX_AT] + words
        state[spec.RING_INDEX_AT] = end % size
        state[spec.RING_INDEX_FILL] -= words
        if self._blocks and words == self._block and at % words == 0:
            return self._blocks[at // words]
        return memoryview(ring)[at:end] if end <= size else ring[at:] + ring[: end % size]

    def hear(self, audio, samples):
        """Wait for the words of samples and make them, in one call of the kernels.

        MicroPython keeps eleven words of variables and arguments on its stack, and more than that on the heap.

        Args:
            audio: bytearray, state of the audio path.
            samples: array int16 [n], n at most 480.
        """
        while True:
            wait_ms = self._make(self._state, self._ring, audio, samples, self._fills.write, ticks_us())
            if wait_ms <= 0:
                break
            sleep_ms(wait_ms)
        if wait_ms:
            check(wait_ms)

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
