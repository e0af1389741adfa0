"""The long run in short, and that it would see a leak; `make soak` is the long one."""

import pytest
import soak
from driver import UnixDevice


@pytest.fixture
def unix():
    device = UnixDevice()
    yield device
    device.close()


@pytest.mark.unix
def test_the_heap_stays_as_it_is(unix, tmp_path, figure):
    marks, intents = soak.soak(unix, 5, str(tmp_path))
    assert len(marks) == 6 and soak.growth(marks) <= 0
    assert None not in intents and len(intents) == 5
    figure("heap", marks[-1], "bytes")


@pytest.mark.unix
def test_a_leak_is_seen(unix, tmp_path):
    marks, _ = soak.soak(unix, 4, str(tmp_path), leak=True)
    assert soak.growth(marks) > 30_000
