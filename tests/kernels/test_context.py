"""Contextual biasing: a path gains the bonus of every phrase in it, as often as it says it."""

import random
import struct

import pytest
import stapes_spec as spec
from graph_builder import build_graph, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from search_oracle import alignments
from search_runner import NativeSearch, ReadLattice, TwinSearch, make_config
from stapes.context import compile_context
from stapes.errors import StapesError
from stapes_reference.graph import Graph
from test_search import Scores, run, step_once

IMPLEMENTATIONS = [NativeSearch, TwinSearch]
NAT = 1 << spec.Q_LOG_PROB_FRACTION_BITS


class Words:
    """What compile_context asks of a grammar."""

    def __init__(self, graph):
        texts = {word[0] for word in graph.words}
        self._strings = {graph.string(text)[:-1].decode(): text for text in texts}

    def strings_of(self, texts):
        return {text: string for text, string in self._strings.items() if text in texts}

    def texts(self):
        return sorted(self._strings)


def bonus_of(said, phrases):
    """What a sentence gains: each phrase as often as it is in it, by comparing words."""
    total = 0
    for phrase, nats in phrases.items():
        words = phrase.split()
        times = sum(said[at : at + len(words)] == words for at in range(len(said)))
        total += times * len(words) * int(nats * NAT + 0.5)
    return total


def random_phrases(rng, words, count=4, longest=3):
    phrases = {}
    for _ in range(rng.randint(1, count)):
        phrase = " ".join(rng.choice(words) for _ in range(rng.randint(1, longest)))
        phrases[phrase] = rng.choice([0.25, 0.5, 1.0])
    return phrases


def spoken(graph, alignment):
    return [graph.string(graph.words[word][0])[:-1].decode() for word, *_ in alignment.said]


def said_in(path):
    return [text for text, *_ in path[1]]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("seed", range(40))
def test_a_path_gains_what_its_phrases_are_worth(implementation, seed):
    """Every path of the lattice, and the best one is the best of all alignments."""
    rng = random.Random(seed)
    data = random_graph(rng, states=rng.randint(1, 3), arcs=rng.randint(2, 6), units=3, words=3, word_share=0.8)
    graph, scores, steps = Graph(data), Scores(rng, 3, "coarse" if seed % 3 == 0 else "random"), rng.randint(2, 6)
    words = Words(graph)
    phrases = random_phrases(rng, words.texts())
    config = make_config(blank_penalty=37, max_alternatives=16)
    search = implementation(data, config)
    assert search.set_context(compile_context(words, phrases)) == 0
    run(search, scores, steps)
    found = alignments(graph, scores, steps, config)[steps]
    ending = [one for one in found if graph.finals[one.state] != spec.LIMITS_NONE16] or found
    best = max(one.score + bonus_of(spoken(graph, one), phrases) for one in ending)
    paths = ReadLattice(search.lattice()).biased_paths()
    assert [score for score, _, flagged, _ in paths if flagged] == [best]
    assert max(path[0] for path in paths) == best
    possible = {(one.score, tuple(spoken(graph, one))) for one in ending}
    for path in paths:
        assert path[3] == bonus_of(said_in(path), phrases)
        assert (path[0] - path[3], tuple(said_in(path))) in possible


def tree_of(sentences):
    """A graph with a sentence on each branch, a unit and a string for each word."""
    texts = sorted({word for sentence in sentences for word in sentence.split()})
    arcs, finals, states = [], {}, 1
    for sentence in sentences:
        at = 0
        for word in sentence.split():
            arcs.append((at, 1 + texts.index(word), states, texts.index(word), 0))
            at, states = states, states + 1
        finals[at] = len(texts)
    return build_graph(states, arcs, finals, [(k, None, 0) for k in range(len(texts))], [*texts, "intent"]), texts


def best_of(search, texts, heard, rival_nats=1.0):
    """Let a search hear words, each but a rival's unit a little less likely; return the text and its gain."""
    for word, rival in heard:
        row = [-20 * NAT] * (len(texts) + 1)
        row[1 + texts.index(word)] = 0
        if rival:
            row[1 + texts.index(rival)] = -int(rival_nats * NAT)
        assert step_once(search, lambda step, context, row=row: row, 0) == 0
    paths = ReadLattice(search.lattice()).biased_paths()
    (best,) = [path for path in paths if path[2]]
    return " ".join(said_in(best)), best[3]


HEARD = [("call", None), ("anna", "hannah"), ("now", None)]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_likely_name_wins_against_one_that_sounds_a_little_better(implementation):
    data, texts = tree_of(["call anna now", "call hannah now"])
    words = Words(Graph(data))
    search = implementation(data, make_config())
    assert best_of(search, texts, HEARD) == ("call anna now", 0)
    search = implementation(data, make_config())
    assert search.set_context(compile_context(words, ["hannah"], 0.75)) == 0
    assert best_of(search, texts, HEARD) == ("call anna now", 0), "less than the difference"
    search = implementation(data, make_config())
    assert search.set_context(compile_context(words, ["hannah"], 1.25)) == 0
    assert best_of(search, texts, HEARD) == ("call hannah now", 1280)
    search = implementation(data, make_config())
    assert search.set_context(compile_context(words, ["anna", "hannah"], 1.25)) == 0
    assert best_of(search, texts, HEARD) == ("call anna now", 1280), "both are likely"


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_is_lent_for_a_phrase_begun_is_taken_back(implementation):
    data, texts = tree_of(["call hannah now", "call anna"])
    search = implementation(data, make_config())
    assert search.set_context(compile_context(Words(Graph(data)), ["call hannah now"], 4.0)) == 0
    assert best_of(search, texts, [("call", None)])[1] == 0, "no phrase was finished"
    assert search.status()[spec.STATUS_INDEX_BEST_SCORE] == 4 * NAT, "but the beam has a third of it in view"
    assert best_of(search, texts, [("anna", None)]) == ("call anna", 0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_new_context_keeps_what_was_found_and_takes_back_what_was_lent(implementation):
    data, texts = tree_of(["call anna now", "call hannah now"])
    words = Words(Graph(data))
    search = implementation(data, make_config())
    assert search.set_context(compile_context(words, ["call", "hannah now"], 0.75)) == 0
    best_of(search, texts, HEARD[:2])
    assert search.set_context(compile_context(words, ["now"], 2.0)) == 0
    text, gain = best_of(search, texts, HEARD[2:])
    assert (text, gain) == ("call anna now", 2 * NAT), "now has gained; call's is the language's by now"
    assert search.status()[spec.STATUS_INDEX_BEST_SCORE] == 2 * NAT + 768
    assert search.set_context(b"") == 0
    assert search.status()[spec.STATUS_INDEX_BEST_SCORE] == 2 * NAT + 768
    assert not ReadLattice(search.lattice()).flags & spec.LATTICE_FLAGS_CONTEXT


def test_the_next_utterance_has_the_same_context():
    data, texts = tree_of(["call anna now", "call hannah now"])
    search = NativeSearch(data, make_config())
    assert search.set_context(compile_context(Words(Graph(data)), ["hannah"], 1.25)) == 0
    assert best_of(search, texts, HEARD) == ("call hannah now", 1280)
    search.restart()
    assert best_of(search, texts, HEARD) == ("call hannah now", 1280)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30))
def test_c_and_its_twin_agree(seed):
    """Tables from ample to absurd, contexts that come and go in mid-utterance."""
    rng = random.Random(seed)
    units = rng.randint(2, 6)
    data = random_graph(rng, rng.randint(1, 9), rng.randint(1, 24), units, rng.randint(1, 5))
    config = make_config(
        max_tokens=rng.choice([1, 2, 4, 8, 96]),
        max_nodes=rng.choice([1, 2, 4, 8, 16, 384]),
        max_edges=rng.choice([1, 2, 8, 16, 768]),
        beam=rng.choice([0, 3000, 1 << 20]),
        lattice_beam=rng.choice([0, 1000, 1 << 20]),
        max_alternatives=rng.randint(1, 4),
        max_context=rng.choice([0, 3, 64]),
    )
    words = Words(Graph(data))
    native, twin = NativeSearch(data, config), TwinSearch(data, config)
    scores = Scores(rng, units, rng.choice(["random", "coarse", "ties"]))
    for step in range(rng.randint(1, 12)):
        if rng.random() < 0.3:
            phrases = random_phrases(rng, words.texts()) if words.texts() and rng.random() < 0.8 else {}
            table = compile_context(words, phrases)
            assert native.set_context(table) == twin.set_context(table)
        assert step_once(native, scores, step) == step_once(twin, scores, step)
        assert native.status() == twin.status()
        assert native.partial() == twin.partial()
        budget = rng.choice([0, 0, 200, 400])
        assert native.lattice(budget=budget) == twin.lattice(budget=budget)


def test_phrases_become_a_trie_with_failure_links():
    data, texts = tree_of(["turn on the red light now"])
    at = {text: index for index, text in enumerate(texts)}
    table = compile_context(Words(Graph(data)), {"the red light": 1.0, "red": 2.0, "light now": 0.5})
    nodes = list(struct.iter_unpack(spec.CONTEXT_NODE_STRUCT, table))
    assert nodes == [
        (0, 0, 0, 1, 0),
        (at["light"], 0, 512, 4, 0),
        (at["red"], 2048, 0, 5, 0),
        (at["the"], 0, 1024, 5, 0),
        (at["now"], 1024, 0, 6, 0),
        (at["red"], 2048, 2048, 6, 2),  # it ends `red`, too
        (at["light"], 3072, 512, 7, 1),  # and may begin `light now`
    ]


def test_a_context_that_cannot_be():
    data, texts = tree_of(["one two three four five six seven eight nine ten"])
    words = Words(Graph(data))
    with pytest.raises(StapesError) as error:
        compile_context(words, ["one eleven"])
    assert error.value.code == spec.ERROR_CONTEXT_WORD and error.value.where == "eleven"
    assert error.value.detail == "in 'one eleven'"
    for phrases, boost in [([""], 1), ([3], 1), (["one"], -1), (["one"], 17), (["one"], "2"), ({"one": None}, 1)]:
        with pytest.raises(ValueError, match=r"a phrase is words|boost must be a number"):
            compile_context(words, phrases, boost)
    with pytest.raises(TypeError, match="a list or a dictionary"):
        compile_context(words, "one")
    rng = random.Random(1)
    with pytest.raises(StapesError) as error:
        compile_context(words, [" ".join(rng.choice(texts) for _ in range(5)) for _ in range(100)])
    assert error.value.code == spec.ERROR_CONTEXT_SIZE
    assert compile_context(words, []) == compile_context(words, {}) == b""
    whole = compile_context(words, [" ".join(texts)], 16)  # a phrase gains 16 nats at most
    assert max(node[1] for node in struct.iter_unpack(spec.CONTEXT_NODE_STRUCT, whole)) == spec.LIMITS_CONTEXT_BONUS


BAD_TABLES = {
    "half a node": [(0, 0, 0, 1, 0)],
    "a root with a bonus": [(0, 1, 0, 1, 0)],
    "a child before its parent": [(0, 0, 0, 1, 0), (0, 0, 0, 1, 0)],
    "a child beyond the end": [(0, 0, 0, 3, 0), (0, 0, 0, 3, 0)],
    "children that overlap": [(0, 0, 0, 2, 0), (0, 0, 0, 2, 0), (0, 0, 0, 1, 0)],
    "a failure link ahead": [(0, 0, 0, 1, 0), (0, 0, 0, 2, 1)],
    "a negative bonus": [(0, 0, 0, 1, 0), (0, -1, 0, 2, 0)],
    "too much lent": [(0, 0, 0, 1, 0), (0, 0, 16384, 2, 0)],
}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_damaged_table_changes_nothing(implementation, name):
    data, texts = tree_of(["call anna now", "call hannah now"])
    search = implementation(data, make_config())
    assert search.set_context(compile_context(Words(Graph(data)), ["hannah"], 1.25)) == 0
    table = b"".join(struct.pack(spec.CONTEXT_NODE_STRUCT, *node) for node in BAD_TABLES[name])
    table = table[:-4] if name == "half a node" else table
    assert search.set_context(table) == -spec.ERROR_ARGUMENT
    assert best_of(search, texts, HEARD) == ("call hannah now", 1280)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_context_needs_its_room(implementation):
    data, _ = tree_of(["call anna now", "call hannah now"])
    table = compile_context(Words(Graph(data)), ["call hannah"])
    assert implementation(data, make_config(max_context=3)).set_context(table) == 0
    assert implementation(data, make_config(max_context=2)).set_context(table) == -spec.ERROR_CONTEXT_SIZE
    assert implementation(data, make_config(max_context=0)).set_context(b"") == 0
