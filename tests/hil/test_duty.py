"""The whole image, as it listens by itself, measured: it understands, and keeps up with the speaker."""

import pytest
from driver import GRAMMAR, REPO, model
from stapes_tools.bench.board import CLOCKS_HZ
from stapes_tools.bench.duty import measure_duty
from stapes_tools.grammars import compiled

SELDOM = {"every_ns": 500_000_000, "warm_cycles": 200_000, "cycles": 200_000}


@pytest.mark.emulator
def test_main_py_understands_and_sleeps_between_two_steps():
    found = measure_duty(REPO / "models" / "samples" / "coffee_espresso.flac", model(), compiled(GRAMMAR), SELDOM)
    assert found.text == "please make me a double espresso with a dash of cream"
    assert 0.1 < found.real_time_factor(CLOCKS_HZ[-1]) < 0.7
    assert found.nanoseconds > 1_000_000_000
