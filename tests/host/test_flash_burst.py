"""The emulated flash interface forgets a read of many words when the chip is reset in the middle of it."""

import pytest

pytest.importorskip("rp2040py", reason="the emulator is not installed")

from rp2040py import RP2040
from rp2040py.peripherals.dma import BUSY
from rp2040py.peripherals.ssi import SSI_DMACR, SSI_DR0
from stapes_tools.device.flash_burst import install


def test_a_reset_in_the_middle_of_a_read():
    chip = RP2040()
    install(chip)
    channel = chip.dma.channels[0]
    for _ in range(2):
        chip.ssi.write_uint32(SSI_DMACR, 3)
        channel._ctrl |= BUSY
        chip.ssi._done.schedule(1000.0)
        assert chip.ssi.is_bursting and chip.clock.has_scheduled_alarm
        chip.reset(preserve_flash=True)
        assert not chip.ssi.is_bursting and not chip.clock.has_scheduled_alarm
        assert not channel._ctrl & BUSY, "it would not start again"
    # A command byte of the boot ROM is then a command again, no address.
    chip.ssi.write_uint32(SSI_DR0, 0x35)
