"""The free lexicon loop: every word in every pronunciation, at its frequency, and back to the start."""

import math

import pytest
from stapes_tools.evaluate.loop import WORDS, compiled_loop, frequent_words, loop_graph, vocabulary
from stapes_tools.grammar.graph import parse_graph
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNITS

FREQUENCIES = {"the": 0.5, "a": 0.25, "cat": 0.125, "cats": 0.0625, "i": 0.0625}


def spoken(graph, state=0, phones=(), weight=0):
    """Yield (phones, word, weight) of every way from the start back to it."""
    for arc in graph.arcs[state]:
        path = (*phones, UNITS[arc.unit])
        if arc.word is None:
            yield from spoken(graph, arc.next_state, path, weight + arc.weight)
        else:
            assert arc.next_state == graph.start
            yield path, graph.words[arc.word].text, weight + arc.weight


def test_words_pronunciations_and_weights():
    graph = loop_graph(FREQUENCIES)
    lexicon = Lexicon()
    expected = {
        (phones, word, round(math.log(frequency) * 1024))
        for word, frequency in FREQUENCIES.items()
        for phones in lexicon.pronunciations(word)
    }
    found = list(spoken(graph))
    assert set(found) == expected and len(found) == len(expected)
    assert graph.finals == ["free"] + [None] * (len(graph.arcs) - 1)


def test_a_branch_costs_what_its_likeliest_word_costs():
    graph = loop_graph(FREQUENCIES)
    (k,) = [arc for arc in graph.arcs[0] if UNITS[arc.unit] == "K"]
    (ae,) = graph.arcs[k.next_state]
    assert (k.weight, ae.weight) == (round(math.log(0.125) * 1024), 0)
    assert all(arc.weight <= 0 for leaving in graph.arcs for arc in leaving)


def test_the_graph_is_one_that_the_kernels_read():
    graph = loop_graph(FREQUENCIES)
    assert parse_graph(graph.to_bytes()) == graph
    assert loop_graph(FREQUENCIES).to_bytes() == graph.to_bytes()


def test_an_unknown_word_is_refused():
    with pytest.raises(KeyError):
        loop_graph({"zzyzzx": 1.0})


def test_the_words_are_frequent_and_pronounceable():
    words = frequent_words(300)
    assert list(words)[:3] == ["the", "to", "and"]
    assert len(words) == 300 and {"a", "i", "don't", "people"} <= set(words)
    assert not {"s", "th", "e", "2", "u.s"} & set(words)
    assert list(words.values()) == sorted(words.values(), reverse=True)


def test_the_loop_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))
    loop = compiled_loop(40)
    assert vocabulary(loop) == set(frequent_words(40)) == {word.text for word in parse_graph(loop.read_bytes()).words}
    monkeypatch.setattr("stapes_tools.evaluate.loop.frequent_words", None)
    assert compiled_loop(40) == loop


def test_the_whole_vocabulary_fits_a_graph():
    assert len(parse_graph(compiled_loop().read_bytes()).words) == WORDS
