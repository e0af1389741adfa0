"""Which of the search's settings is taken, from made-up scores."""

import pytest
from stapes_tools.train.tune import middle_of_best


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [
        ([90.5, 93.0, 92.5, 92.0, 90.5, 89.5], 2),  # 2 % apart: 200 utterances cannot tell three of them apart
        ([70.0, 80.0, 95.0, 80.0, 70.0, 60.0], 2),
        ([95.0, 95.0, 94.0, 80.0, 70.0, 60.0], 1),
        ([93.0, 92.0, 70.0, 70.0, 70.0, 70.0], 0),  # of two the better one
        ([92.0, 93.0, 70.0, 70.0, 70.0, 70.0], 1),
        ([100.0, 100.0, 99.5, 70.0, 70.0, 70.0], 0),
    ],
)
def test_the_middle_of_what_cannot_be_told_apart_is_taken(shares, chosen):
    settings = [(penalty, 1.0) for penalty in (1.0, 2.0, 2.5, 3.0, 3.5, 4.0)]
    scores = {setting: share / 100 for setting, share in zip(settings, shares, strict=True)}
    assert middle_of_best(scores, 200) == settings[chosen]


def test_more_utterances_tell_more_apart():
    scores = {(1.0, 1.0): 0.90, (2.0, 1.0): 0.93, (3.0, 1.0): 0.91}
    assert middle_of_best(scores, 20) == (2.0, 1.0)
    assert middle_of_best({**scores, (4.0, 1.0): 0.89, (5.0, 1.0): 0.89}, 20) == (3.0, 1.0)
    assert middle_of_best({**scores, (4.0, 1.0): 0.89, (5.0, 1.0): 0.89}, 20000) == (2.0, 1.0)
