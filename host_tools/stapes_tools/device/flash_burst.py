"""Reads of many words by the serial flash interface, for which the emulator has nothing: see rp2040_fetch.c.

With the frames wanted in CTRLR1 and DMA requests enabled, a word written to the data register is a flash address and
the mode bits. What follows takes 24 core cycles for address, mode and waiting and 16 for each word, of which each is
requested from the DMA by DREQ 39, its first byte on top. Here all of them are delivered at the end of that time.
Reference: RP2040 datasheet, 4.10 (SSI), 2.5 (DMA).
"""

from typing import Any

from rp2040py.peripherals.dma import BSWAP, BUSY, DREQChannel
from rp2040py.peripherals.ssi import RPSSI, SSI_CTRLR0, SSI_CTRLR1, SSI_DMACR, SSI_DR0, SSI_SPI_CTRL_R0

_BASE = 0x18000
_READS = 2 << 21 | 31 << 16 | 3 << 8  # quad, 32 bits, reads after a command
_READS_MASK = 3 << 21 | 31 << 16 | 3 << 8
_CONTINUED = 0xA0 << 24 | 4 << 11 | 8 << 2  # no command, 32 bits of address and mode, 4 clocks of waiting
_CONTINUED_MASK = 0xFF << 24 | 31 << 11 | 3 << 8 | 15 << 2
_MODE = 0xA0
_BEGIN_CYCLES, _WORD_CYCLES = 24, 16
_NANOSECONDS_PER_CYCLE = 8.0
_RAM = 0x2000_0000


class BurstingSSI(RPSSI):
    """An SSI that reads flash in one go, where it has been set up as the chip's would have to be.

    Attributes:
        is_bursting: between set-up and return: flash cannot be read in place.
    """

    def __init__(self, chip: Any, name: str):
        super().__init__(chip, name)
        self._chip = chip
        self._dma_control = 0
        self._address = self._words = 0
        self._done = chip.clock.create_alarm(self._deliver)

    @property
    def is_bursting(self) -> bool:
        return bool(self._dma_control)

    def reset(self) -> None:
        """As the rest of the chip: what a reset finds in the middle of a read is forgotten."""
        super().reset()
        self._dma_control = 0
        self._done.cancel()
        # The emulator resets the DMA before, but leaves a channel busy that was: it would not start again.
        for channel in self._chip.dma.channels:
            channel.abort()

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == SSI_DMACR:
            self._dma_control = value
        elif offset == SSI_DR0 and self._dma_control:
            self._begin(value)
        else:
            super().write_uint32(offset, value)

    def read_uint32(self, offset: int) -> int:
        return self._dma_control if offset == SSI_DMACR else super().read_uint32(offset)

    def _begin(self, value: int) -> None:
        control, serial = self.read_uint32(SSI_CTRLR0), self.read_uint32(SSI_SPI_CTRL_R0)
        as_wanted = control & _READS_MASK == _READS and serial & _CONTINUED_MASK == _CONTINUED
        if not as_wanted or value & 0xFF != _MODE:
            raise RuntimeError(f"the board reads flash with SSI set up as {control:#x}, {serial:#x}, {value:#x}")
        self._address, self._words = value >> 8, self.read_uint32(SSI_CTRLR1) + 1
        self._done.schedule((_BEGIN_CYCLES + _WORD_CYCLES * self._words) * _NANOSECONDS_PER_CYCLE)

    def _deliver(self) -> None:
        channels = [one for one in self._chip.dma.channels if one.active and one.treq == DREQChannel.DREQ_XIP_SSIRX]
        if len(channels) != 1 or channels[0]._trans_count != self._words:
            raise RuntimeError(f"the board has no DMA channel for {self._words} words of flash")
        channel = channels[0]
        data = bytes(self._chip.flash[self._address : self._address + 4 * self._words])
        if not channel._ctrl & BSWAP:
            data = b"".join(data[k : k + 4][::-1] for k in range(0, len(data), 4))
        at = channel._write_addr - _RAM
        self._chip.sram[at : at + len(data)] = data
        channel._write_addr += len(data)
        channel._trans_count = 0
        channel._ctrl &= ~BUSY


def install(chip: Any) -> None:
    """Put one into a chip in place of its own."""
    chip.ssi = BurstingSSI(chip, "SSI")
    chip.peripherals[_BASE] = chip.ssi
