"""A or an: where a grammar leaves the choice, the one that does not suit the next word costs."""

import math

import pytest
import stapes_spec as spec
from stapes_tools.grammar import compile_graph, parse_grammar
from stapes_tools.grammar.articles import SLIP_WEIGHT, free_choices
from stapes_tools.grammar.grammar import Tagged
from stapes_tools.grammar.units import UNITS


def weights_of(pattern, drinks="latte, espresso", more=""):
    """(words, first phone of the last word) -> Q.10 nats of every path."""
    text = f'context:\n  expressions:\n    order:\n      - "{pattern}"\n  slots:\n    drink: [{drinks}]\n{more}'
    graph = compile_graph(parse_grammar(text)).graph
    found = {}

    def walk(state, words, phones, weight):
        if graph.finals[state] is not None:
            found[" ".join(words), phones] = weight
        for arc in graph.arcs[state]:
            said = (*phones, UNITS[arc.unit])
            if arc.word is None:
                walk(arc.next_state, words, said, weight + arc.weight)
            else:
                walk(arc.next_state, [*words, graph.words[arc.word].text], said, weight + arc.weight)

    walk(graph.start, [], (), 0)
    return found


def by_words(weights):
    """Words -> the weight that all of their pronunciations have."""
    texts = {text: {weights[key] for key in weights if key[0] == text} for text, _ in weights}
    assert all(len(values) == 1 for values in texts.values())
    return {text: values.pop() for text, values in texts.items()}


def test_what_does_not_suit_costs_what_a_slip_costs():
    weights = by_words(weights_of("[a, an] $drink:drink"))
    even = -2 * round(math.log(2) * (1 << spec.Q_LOG_PROB_FRACTION_BITS))
    assert weights == {
        "a latte": even,
        "an latte": even + SLIP_WEIGHT,
        "an espresso": even,
        "a espresso": even + SLIP_WEIGHT,
    }
    assert -5 << spec.Q_LOG_PROB_FRACTION_BITS < SLIP_WEIGHT < -4 << spec.Q_LOG_PROB_FRACTION_BITS


@pytest.mark.parametrize(
    "pattern", ["a $drink:drink", "an $drink:drink", "[a, the] $drink:drink", "[an, the] $drink:drink"]
)
def test_a_grammar_that_leaves_no_choice_is_taken_at_its_word(pattern):
    assert len(set(by_words(weights_of(pattern)).values())) == 1


def test_articles_that_lead_elsewhere_are_no_choice():
    weights = by_words(weights_of("(a $drink:drink, an old $drink:drink) please"))
    assert weights["a latte please"] == weights["a espresso please"]
    assert weights["an old latte please"] == weights["an old espresso please"]


def test_every_pronunciation_pays_for_itself():
    more = 'pronunciations:\n  herb: ["ER B", "HH ER B"]\n'
    weights = weights_of("[a, an] $drink:drink", "herb", more)
    cheap = max(weights.values())
    for (text, phones), weight in weights.items():
        suits = text.startswith("an ") == (phones[-3] != "HH")
        assert weight == (cheap if suits else cheap + SLIP_WEIGHT), (text, phones)


def test_word_of_one_phone_pays_as_well():
    weights = by_words(weights_of("[a, an] $drink:drink", "eh, em", 'pronunciations:\n  eh: "EH"\n  em: "M"\n'))
    assert weights["a eh"] == weights["an em"] == weights["an eh"] + SLIP_WEIGHT


def test_sentence_may_end_after_the_article():
    weights = by_words(weights_of("make [a, an] ($drink:drink)"))
    assert weights["make a"] == weights["make an"]
    assert weights["make an latte"] == weights["make a latte"] + SLIP_WEIGHT


def test_article_that_fills_a_slot_is_a_value_like_any_other():
    both = [(Tagged("a", "size", True), 3), (Tagged("an", "size", True), 3)]
    assert free_choices(both) == {}
    assert free_choices([(Tagged("a"), 3), (Tagged("an"), 4)]) == {}
    assert free_choices([(Tagged("a"), 3), (Tagged("an"), 3), ("order", 5)]) == {Tagged("a"): False, Tagged("an"): True}
