"""What counts as accepted, how words are counted, and how sure a rate is."""

import numpy as np
import pytest
from stapes_tools.evaluate.bootstrap import interval
from stapes_tools.evaluate.recognition import Heard
from stapes_tools.evaluate.scoring import WordErrors, accepted, spoken_words, word_errors

ORDER = {"size": "large", "drink": "iced coffee"}


def heard(slots, intent="orderDrink"):
    return Heard("", slots, intent is not None, intent)


@pytest.mark.parametrize(
    ("was", "labelled", "right"),
    [
        (heard(ORDER), ORDER, True),
        (heard(dict(reversed(ORDER.items()))), ORDER, True),
        (heard({**ORDER, "milk": "some milk"}), ORDER, True),  # the benchmark looks at labelled slots only
        (heard({"size": "large"}), ORDER, False),
        (heard({**ORDER, "size": "small"}), ORDER, False),
        (heard(ORDER), {**ORDER, "size": " Large "}, True),
        (heard(ORDER, None), ORDER, False),  # not understood
        (heard({}), {}, True),
        (heard({}, None), {}, False),
    ],
)
def test_a_command_is_accepted_by_its_labelled_slots(was, labelled, right):
    assert accepted(was, labelled) is right


def test_a_labelled_intent_counts():
    assert accepted(heard(ORDER), ORDER, "orderDrink")
    assert not accepted(heard(ORDER), ORDER, "cancel")
    assert not accepted(heard(ORDER, None), ORDER, "orderDrink")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Please call Stella.", "please call stella"),
        ("I’d like a dark-roast, 'now'", "i'd like a dark roast now'"),
        ("the dogs' rock 'n' roll", "the dogs' rock n' roll"),
        ("CAFÉ  no_1\n25", "café no 1 25"),
        ("...", ""),
    ],
)
def test_words_are_scored_without_case_and_punctuation(text, words):
    assert spoken_words(text) == words


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "words"),
    [
        ("a large latte", "a large latte", 0, 3),
        ("a large latte", "a latte please", 2, 3),
        ("a large latte", "", 3, 3),
        ("", "a latte", 2, 0),
        ("", "", 0, 0),
        ("a b", "b a b c", 2, 2),
    ],
)
def test_word_errors(reference, hypothesis, errors, words):
    assert word_errors(reference, hypothesis) == WordErrors(errors, words)


def test_a_rate_is_of_all_words_not_a_mean_of_rates():
    found = interval(np.array([1, 0]), np.array([1, 9]))
    assert found.value == 0.1
    assert (found.low, found.high) == (0.0, 1.0)  # drawn twice: only the first, or only the second


def test_the_interval_of_a_share_is_about_the_binomial_one():
    found = interval(np.arange(200) < 180, np.ones(200, int))
    assert found.value == 0.9
    width = 1.96 * np.sqrt(0.9 * 0.1 / 200)
    assert found.low == pytest.approx(0.9 - width, abs=0.01)
    assert found.high == pytest.approx(0.9 + width, abs=0.01)
    assert found == interval(np.arange(200) < 180, np.ones(200, int))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    chance = np.random.default_rng(5)
    found = [interval(chance.random(150) < 0.8, np.ones(150, int)) for _ in range(100)]
    assert 0.90 <= np.mean([one.low <= 0.8 <= one.high for one in found]) <= 0.99


def test_edges():
    whole = interval(np.ones(5, int), np.ones(5, int))
    assert (whole.value, whole.low, whole.high) == (1.0, 1.0, 1.0)
    assert interval(np.array([3, 0]), np.zeros(2, int)) is None
    # Draws of the second utterance alone have no words: they are left out, not divided by.
    assert interval(np.array([1, 0]), np.array([2, 0])).low == 0.5
