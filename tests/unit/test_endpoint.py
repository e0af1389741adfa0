"""The trailing-silence rules."""

from array import array

import pytest
import stapes_spec as spec
from stapes import Endpointer


def status(units, blanks, final):
    figures = array("i", [0] * spec.STATUS_INDEX_COUNT)
    figures[spec.STATUS_INDEX_UNITS_EMITTED] = units
    figures[spec.STATUS_INDEX_TRAILING_BLANKS] = blanks
    figures[spec.STATUS_INDEX_BEST_IS_FINAL] = final
    return figures


FINAL = spec.ENDPOINT_FINAL_TRAILING_MS // spec.FRONTEND_STEP_MS
PARTIAL = spec.ENDPOINT_PARTIAL_TRAILING_MS // spec.FRONTEND_STEP_MS


@pytest.mark.parametrize(
    ("units", "blanks", "final", "over"),
    [
        (0, 10000, 0, False),  # nobody has spoken yet
        (0, 10000, 1, False),
        (5, 0, 1, False),
        (5, FINAL - 1, 1, False),
        (5, FINAL, 1, True),
        (5, FINAL, 0, False),
        (5, PARTIAL - 1, 0, False),
        (5, PARTIAL, 0, True),
    ],
)
def test_rules(units, blanks, final, over):
    assert Endpointer().detected(status(units, blanks, final), 2) is over


def test_times_are_rounded_up_to_whole_steps():
    endpointer = Endpointer(final_ms=31)
    assert not endpointer.detected(status(1, 1, 1), 1)
    assert endpointer.detected(status(1, 2, 1), 1)


def test_speech():
    assert Endpointer().speech(status(1, 0, 0))
    assert not Endpointer().speech(status(0, 5, 1))


@pytest.mark.parametrize("final", [0, 1])
def test_sounds_without_a_word_wait_longer(final):
    steps = -(-spec.ENDPOINT_NO_WORD_TRAILING_MS // spec.FRONTEND_STEP_MS)
    assert not Endpointer().detected(status(1, steps - 1, final), 0)
    assert Endpointer().detected(status(1, steps, final), 0)
