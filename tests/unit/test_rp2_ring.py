"""The DMA ring of the RP2040: counting what comes, and what is lost, on a clock and DMA of the test's own."""

import importlib
import sys
import types
from array import array

import pytest
import stapes_spec as spec
from stapes.errors import StapesError

STEP = spec.FRONTEND_STEP_SAMPLES
STEPS = 4
BASE = 0x20010000


class DMA:
    """A channel whose write address follows the clock."""

    def __init__(self, board, channel):
        self._board = board
        self.channel = channel
        self.settings = {}
        self.ctrl = 0
        self.closed = False
        self.aborted = 0

    @property
    def write(self):
        board = self._board
        # At the ring's end, the address stays until the second channel sends it back.
        words = board.words()
        return BASE + 4 * (board.size if words and words % board.size == 0 else words % board.size)

    def pack_ctrl(self, **fields):
        return fields

    def config(self, **settings):
        self.settings = settings

    def active(self, value):
        self.aborted += not value

    def close(self):
        self.closed = True


class Board:
    """A crystal, PIO and DMA."""

    def __init__(self, words=1):
        self.us = 1_000_000
        self.began_us = None
        self.rate = spec.AUDIO_SAMPLE_RATE_HZ * words
        self.size = STEPS * STEP * words
        self.channels = []
        self.slept_ms = 0
        self.clocked = types.SimpleNamespace(address=0x50200020, dreq=4, words=words, start=self.start, stop=self.stop)

    def start(self):
        self.began_us = self.us

    def stop(self):
        self.began_us = None

    def words(self):
        return 0 if self.began_us is None else (self.us - self.began_us) * self.rate // 1_000_000

    def dma(self):
        self.channels.append(DMA(self, len(self.channels)))
        return self.channels[-1]

    def sleep_ms(self, ms):
        self.slept_ms += ms
        self.us += 1000 * ms


@pytest.fixture
def make(monkeypatch):
    """A function (Board) -> Ring."""

    def ring(board):
        modules = {
            "rp2": types.SimpleNamespace(DMA=board.dma),
            "uctypes": types.SimpleNamespace(addressof=lambda buffer: BASE),
            "time": types.SimpleNamespace(
                sleep_ms=board.sleep_ms,
                ticks_us=lambda: board.us & 0x3FFFFFFF,
                ticks_diff=lambda now, then: ((now - then + 0x20000000) & 0x3FFFFFFF) - 0x20000000,
            ),
        }
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        sys.modules.pop("stapes.rp2_ring", None)
        module = importlib.import_module("stapes.rp2_ring")
        found = module.Ring(board.clocked, STEPS)
        for k in range(board.size):
            found._ring[k] = k
        return found

    yield ring
    sys.modules.pop("stapes.rp2_ring", None)


@pytest.fixture
def reference():
    import stapes_reference

    return stapes_reference


def first(words):
    return words[0], words[-1]


@pytest.mark.parametrize("words", [1, 2])
def test_steps_come_in_order_round_and_round(make, words):
    board = Board(words)
    ring = make(board)
    block = STEP * words
    for k in range(23):
        at = k % STEPS * block
        assert first(ring.read(STEP)) == (at, at + block - 1)
        board.us += 17_000  # the recogniser's work
    assert ring.lost == 0
    assert board.slept_ms < 23 * 15


def test_the_second_channel_sends_the_first_back(make):
    board = Board()
    make(board)
    fills, returns = board.channels
    assert fills.settings["count"] == STEPS * STEP
    assert fills.settings["ctrl"] == {"inc_read": False, "treq_sel": 4, "chain_to": 1}
    assert returns.settings["write"] == 0x5000002C
    assert returns.settings["read"][0] == BASE
    assert (fills.aborted, returns.aborted) == (1, 1), "a program before may have left them running"


@pytest.mark.parametrize("away_ms", [91, 119, 121, 500, 1234, 60_000])
def test_every_sample_is_read_or_counted_as_lost(make, away_ms):
    """Whole turns of the ring included, which the address does not tell."""
    board = Board()
    ring = make(board)
    read = 0
    for _ in range(3):
        ring.read(STEP)
        read += STEP
    board.us += 1000 * away_ms
    came = board.words()
    words = ring.read(STEP)
    read += STEP
    number = read - STEP + ring.lost  # of the first sample read after the pause, if the count is right
    assert words[0] == number % board.size
    assert ring.lost % STEP == 0
    if came - (read - STEP) > board.size - 32:
        assert came - number <= board.size // 2 + STEP
        assert ring.lost > 0
    else:
        assert ring.lost == 0
    for _ in range(10):
        words = ring.read(STEP)
        number += STEP
        assert words[0] == number % board.size


def test_odd_counts_are_taken_across_the_end(make):
    board = Board()
    ring = make(board)
    at = 0
    for count in (100, 480, 480, 480, 379, 1, 480, 33):
        words = array("I", ring.read(count))
        assert words.tolist() == [(at + k) % board.size for k in range(count)]
        at += count
    assert ring.lost == 0


def test_samples_are_made_of_the_words_when_they_are_there(make, reference):
    board = Board()
    ring = make(board)
    for k in range(board.size):
        ring._ring[k] = (k % 300) << 16
    states = [bytearray(reference.audio_size()) for _ in range(2)]
    for state in states:
        assert reference.audio_init(state, array("i", [0, 24, 0, 4, 8])) == 0
    samples, expected = array("h", [0] * STEP), array("h", [0] * STEP)
    for k in range(9):
        ring.hear(states[0], samples)
        begin = k % STEPS * STEP
        reference.audio_apply(states[1], ring._ring[begin : begin + STEP], expected)
        assert samples == expected and any(samples)
        board.us += 17_000  # the recogniser's work
    assert ring.lost == 0 and 0 < board.slept_ms < 9 * 16
    board.us += 500_000
    ring.hear(states[0], samples)
    assert ring.lost > 0 and ring.lost % STEP == 0


def test_a_state_that_is_none_of_an_audio_path_is_refused(make):
    with pytest.raises(StapesError, match="state"):
        make(Board()).hear(bytearray(200), array("h", [0] * STEP))


def test_words_that_are_no_samples_yet_are_only_read(make):
    assert make(Board(2)).hear is None


def test_closing_ends_dma_before_it_is_given_back(make):
    board = Board()
    ring = make(board)
    ring.close()
    assert board.began_us is None
    assert all(channel.closed and channel.aborted == 2 for channel in board.channels)
    assert board.channels[0].ctrl == {"enable": 0}
