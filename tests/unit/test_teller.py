"""What long work says where there is no terminal: a line a minute, and nothing of what is quick."""

import io

import pytest
from rich.console import Console
from stapes_tools.train import teller


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: clock[0], in seconds."""
    now = [100.0]
    monkeypatch.setattr(teller.time, "monotonic", lambda: now[0])
    return now


def _lines(clock, told):
    """Tell (second, name, share) triples; return the lines that came."""
    out = io.StringIO()
    with teller.ConsoleTeller(Console(file=out, width=80)) as tell:
        for second, name, share in told:
            clock[0] = 100.0 + second
            tell.progress(name, share)
    return out.getvalue().splitlines()


def test_a_line_a_minute_where_there_is_no_terminal(clock):
    told = [(second, "features", second / 150) for second in range(0, 151, 10)]
    assert _lines(clock, told) == ["features: 40%", "features: 80%"]


def test_what_takes_less_than_a_minute_says_nothing(clock):
    assert _lines(clock, [(0, "quantise", 0.0), (59, "quantise", 1.0)]) == []


def test_each_piece_of_work_has_its_own_minute(clock):
    told = [(0, "speech", 0.0), (30, "features", 0.0), (60, "speech", 0.5), (61, "features", 0.5)]
    assert _lines(clock, told) == ["speech: 50%"]
