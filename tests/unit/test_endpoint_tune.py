"""Which recordings decide the thresholds of the end-pointers, and how much each counts."""

import numpy as np
import pytest
from stapes_tools.endpoint.recordings import Known
from stapes_tools.endpoint.trace import Trace
from stapes_tools.endpoint.tune import _cases, weights_of


class Ear:
    """In place of a Tracer: understands the texts that it is given, by the first sample of a recording."""

    def __init__(self, *texts):
        self._texts = texts

    def trace(self, samples):
        return Trace(*[np.zeros((1, 1), np.int8)] * 9, text=self._texts[samples[0]])


def known(number, text, pauses=0):
    return Known(np.array([number], np.int16), 1000 + number, pauses, text)


def test_who_is_misheard_does_not_count():
    said = [known(0, "tea"), known(1, "coffee"), known(2, "water", 1)]
    cases = _cases(Ear("tea", "toffee", "water"), said)
    assert [case.end_ms for case in cases] == [1000, 1002]


def test_all_count_where_hardly_any_is_understood():
    said = [known(0, "tea"), known(1, "coffee"), known(2, "water")]
    assert len(_cases(Ear("tea", "", ""), said)) == 3


@pytest.mark.parametrize("pauses", [[0, 0, 0, 1], [0, 2, 1, 0, 0], [0, 1]])
def test_pauses_have_their_share(pauses):
    weights = weights_of([known(0, "tea", count) for count in pauses])
    assert sum(weights) == pytest.approx(1.0)
    assert sum(weight for weight, count in zip(weights, pauses, strict=True) if count) == pytest.approx(0.1)
