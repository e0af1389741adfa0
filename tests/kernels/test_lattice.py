"""The lattice: what it promises about paths, scores and times, against brute force.

The word-pair approximation (see st_search.h): two paths whose last words began at nodes of the same
(graph state, context) and that meet on one token are recombined, the better one's word boundary stays.
What remains exact without pruning, and is tested here:

- the best path, its score, its words;
- every path of the lattice is an alignment of the graph with exactly its score and times;
- into every node, for every word and every (state, context) it began from, the best path that ends
  the word there;
- where no two histories share a state (a tree), every sentence within the lattice beam, with its score.
"""

import random

import pytest
import stapes_spec as spec
from graph_builder import build_graph, random_graph, tree_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from search_oracle import alignments, doubt_of, words_of
from search_runner import NativeSearch, ReadLattice, TwinSearch, make_config
from stapes_reference.graph import Graph
from test_search import Scores, run, step_once

NONE = spec.LIMITS_NONE16
STEP_MS = spec.FRONTEND_STEP_MS
IMPLEMENTATIONS = [NativeSearch, TwinSearch]


def spoken(graph, alignment):
    """The words of an alignment as ReadLattice.paths gives them: (text, start_ms, end_ms)."""
    text = [graph.string(graph.words[word][0])[:-1].decode() for word, *_ in alignment.said]
    return tuple((t, start, end) for t, (_, start, end, _) in zip(text, alignment.said, strict=True))


def small_case(seed, kind="random"):
    rng = random.Random(seed)
    data = random_graph(rng, states=rng.randint(1, 4), arcs=rng.randint(1, 7), units=3, words=3, word_share=0.7)
    return data, Graph(data), Scores(rng, 3, kind), rng.randint(1, 6)


@pytest.mark.parametrize("seed", range(60))
def test_every_path_is_an_alignment_and_the_best_is_best(seed):
    data, graph, scores, steps = small_case(seed, "coarse" if seed % 3 == 0 else "random")
    config = make_config(blank_penalty=37, lattice_beam=(1 << 20, 2000)[seed % 2], max_alternatives=16)
    search = run(NativeSearch(data, config), scores, steps)
    lattice = ReadLattice(search.lattice())
    found = alignments(graph, scores, steps, config)[steps]
    ending = [one for one in found if graph.finals[one.state] != NONE]
    assert bool(lattice.flags & spec.LATTICE_FLAGS_COMPLETE) == bool(ending)
    ending = ending or found
    best = max(one.score for one in ending)
    possible = {(one.score, spoken(graph, one)) for one in ending}
    paths = lattice.paths()
    assert {path[:2] for path in paths} <= possible
    flagged = [path for path in paths if path[2]]
    assert len(flagged) == 1 and flagged[0][0] == best == max(path[0] for path in paths)
    intents = {graph.finals[one.state] for one in ending if one.score == best}
    names = {None if i == NONE else graph.string(i)[:-1].decode() for i in intents}
    assert lattice.intent in names
    assert not lattice.flags & spec.LATTICE_FLAGS_TRUNCATED


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("seed", range(40))
def test_a_tree_gives_every_sentence_within_the_lattice_beam(implementation, seed):
    rng = random.Random(seed)
    data = tree_graph(rng)
    graph, scores = Graph(data), Scores(rng, 4)
    lattice_beam = rng.choice([1000, 4000, 1 << 20])
    config = make_config(lattice_beam=lattice_beam, max_alternatives=4)
    steps = rng.randint(2, 6)
    best = {}
    for one in alignments(graph, scores, steps, config)[steps]:
        if graph.finals[one.state] != NONE and (one.state not in best or one.score > best[one.state].score):
            best[one.state] = one
    best = list(best.values())
    floor = max(one.score for one in best) - lattice_beam
    expected = sorted((one.score, spoken(graph, one)) for one in best if one.score >= floor)
    found = ReadLattice(run(implementation(data, config), scores, steps).lattice()).paths()
    assert sorted(path[:2] for path in found) == expected


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("seed", range(40))
def test_doubt_is_what_a_free_loop_wins_and_too_much_of_it_rejects(implementation, seed):
    rng = random.Random(seed)
    data = tree_graph(rng)
    graph, scores = Graph(data), Scores(rng, 4)
    settings = {"blank_penalty": rng.choice([0, 700]), "start_discount": rng.choice([0, 300])}
    steps = rng.randint(2, 6)
    found = alignments(graph, scores, steps, make_config(**settings))[steps]
    ending = [one for one in found if graph.finals[one.state] != NONE]
    best = max(ending, key=lambda one: one.score)
    doubt, words = doubt_of(best), len(best.said)
    enough = -(-doubt // (words + 1))
    for rejection, rejected in ((0, False), (enough, False), (max(enough - 1, 1), enough > 1)):
        config = make_config(rejection=min(rejection, 65535), **settings)
        lattice = ReadLattice(run(implementation(data, config), scores, steps).lattice())
        assert lattice.doubt == doubt >> 5
        assert lattice.flags & spec.LATTICE_FLAGS_COMPLETE
        assert bool(lattice.flags & spec.LATTICE_FLAGS_REJECTED) == rejected
        assert (lattice.intent is None) == rejected


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_others_may_speak_before_a_word_but_not_within_it(implementation):
    """32 nats a step are lost to unit 3, which the grammar has not."""
    arcs = [(0, 1, 1, None, 0), (1, 2, 2, 0, 0)]
    graph = build_graph(3, arcs, {2: 1}, [(0, None, 0)], ["go", "start"])
    others, first, second = [-32768, -32768, -32768, 0], [-32768, 0, -32768, -32768], [-32768, -32768, 0, -32768]
    for rows, doubt in (
        ([others] * 100 + [first, second] + [others] * 100, 0),
        ([first] + [others] * 3 + [second], 3 * 32 * 32),
        ([first] + [others] * 100 + [second], 65535),  # more than the field holds
    ):
        search = run(
            implementation(graph, make_config(rejection=32768)), lambda step, _, rows=rows: rows[step], len(rows)
        )
        lattice = ReadLattice(search.lattice())
        assert lattice.doubt == doubt
        assert lattice.intent == ("start" if doubt < 2 * 32 * 32 else None)


@pytest.mark.parametrize("seed", range(60))
def test_word_pair_guarantee(seed):
    """Into every node, the best path of each (word, class of where it began) ends there with its score."""
    data, graph, scores, steps = small_case(seed)
    config = make_config(max_alternatives=1000, max_nodes=10000, max_edges=10000)
    twin = run(TwinSearch(data, config), scores, steps)  # its insides; test_search shows that C does the same
    every = alignments(graph, scores, steps, config)
    lattice = twin.search.lattice
    entered = {node: {} for node in lattice.nodes[1:]}
    for edge in lattice.edges:
        key = edge.word, edge.from_node.state, edge.from_node.context
        entered[edge.to_node][key] = max(edge.from_node.score + edge.score(), entered[edge.to_node].get(key, -1 << 40))
    for node, found in entered.items():
        best = {}
        for one in every[node.time]:
            if one.word_ended and (one.state, one.context) == (node.state, node.context):
                began = one.said[-2][3] if len(one.said) > 1 else (graph.start_state, 0)
                key = one.said[-1][0], *began
                best[key] = max(one.score, best.get(key, one.score))
        assert found == best
    assert entered or all(not one.said for one in every[steps])


# --- full tables -------------------------------------------------------------------------


def test_collection_alone_changes_nothing():
    """A lattice from small tables that needed no pruning equals the one from large tables."""
    equal = collected = 0
    for seed in range(200):
        rng = random.Random(seed)
        data = random_graph(rng, states=5, arcs=9, units=4, words=3)
        scores = Scores(rng, 4)
        settings = {"max_tokens": 4, "beam": 6000, "lattice_beam": 2000, "max_alternatives": 2}
        large = run(NativeSearch(data, make_config(**settings, max_nodes=4000, max_edges=8000)), scores, 30)
        small = run(NativeSearch(data, make_config(**settings, max_nodes=32, max_edges=32)), scores, 30)
        lattice = small.lattice()
        if not ReadLattice(lattice).flags & spec.LATTICE_FLAGS_TRUNCATED:
            equal += 1
            collected += large.status()[spec.STATUS_INDEX_NODES_USED] > 32
            assert lattice == large.lattice(), seed
    assert equal > 60 and collected > 30


def test_truncation_does_not_touch_the_search():
    """While the best paths of all tokens fit, full tables cost alternatives only."""
    truncated = 0
    for seed in range(200):
        rng = random.Random(seed)
        data = random_graph(rng, states=5, arcs=12, units=5, words=4, word_share=0.5)
        scores = Scores(rng, 5)
        settings = {"max_tokens": 32, "beam": 8192, "lattice_beam": 8192, "max_alternatives": 4}
        large = run(NativeSearch(data, make_config(**settings, max_nodes=4000, max_edges=8000)), scores, 12)
        small = run(NativeSearch(data, make_config(**settings, max_nodes=48, max_edges=56)), scores, 12)
        figures = slice(spec.STATUS_INDEX_STEPS, spec.STATUS_INDEX_NODES_USED)
        assert small.status()[figures] == large.status()[figures]
        assert small.partial() == large.partial()
        full, cut = ReadLattice(large.lattice()), ReadLattice(small.lattice())
        truncated += bool(cut.flags & spec.LATTICE_FLAGS_TRUNCATED)
        assert {path[:2] for path in cut.paths()} <= {path[:2] for path in full.paths()}
        assert [path[1] for path in cut.paths() if path[2]] == [path[1] for path in full.paths() if path[2]]
    assert truncated > 25


def test_words_that_find_no_room_are_reported():
    graph = build_graph(1, [(0, 1, 0, 0, 0)], {0: 0}, [(1, None, 0)], ["intent", "na"])
    for implementation in IMPLEMENTATIONS:
        search = implementation(graph, make_config(max_nodes=4, max_edges=4))
        for _ in range(10):
            assert search.step(lambda context: [-5000, -1]) == 0
        lattice = ReadLattice(search.lattice())
        assert lattice.flags & spec.LATTICE_FLAGS_TRUNCATED
        assert search.status()[spec.STATUS_INDEX_BEST_SCORE] == -10
        assert max(path[0] for path in lattice.paths()) == -10


# --- the layout --------------------------------------------------------------------------

WORDS = [(1, None, 0), (2, 3, 1), (4, 3, 0), (5, None, 0)]
STRINGS = ["orderDrink", "tea", "small", "size", "large", "unused"]
ORDER = build_graph(
    4,
    [(0, 1, 1, 1, -100), (0, 2, 1, 2, -100), (1, 3, 2, None, 0), (2, 4, 3, 0, 0), (0, 4, 0, 3, -9000)],
    {3: 0},
    WORDS,
    STRINGS,
)


def say(search, units):
    """One step per unit (0: blank); every other unit is 3 nats worse."""
    for unit in units:
        row = [-3072] * 5
        row[unit] = 0
        assert search.step(lambda context, row=row: row) == 0
    return search


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_worked_example(implementation):
    search = say(implementation(ORDER, make_config(lattice_beam=4096)), [0, 1, 0, 3, 4, 0, 0])
    lattice = ReadLattice(search.lattice(utterance=3_000_000_000, revision=5))
    assert lattice.utterance == 3_000_000_000 and lattice.revision == 5
    assert lattice.flags == spec.LATTICE_FLAGS_FINAL | spec.LATTICE_FLAGS_COMPLETE
    assert lattice.intent == "orderDrink"
    assert lattice.words == [("tea", None, 0), ("small", "size", 1), ("large", "size", 0)]
    assert "unused" not in lattice.strings
    paths = sorted(lattice.paths(), reverse=True)
    assert paths[0] == (-100, (("small", 30, 60), ("tea", 90, 150)), True)
    assert [(score, [word[0] for word in said]) for score, said, _ in paths[1:]] == [(-3172, ["large", "tea"])]
    assert lattice.times[-1] == 7 * STEP_MS
    status = search.status()
    assert status[spec.STATUS_INDEX_TRAILING_BLANKS] == 2 and status[spec.STATUS_INDEX_UNITS_EMITTED] == 3
    assert status[spec.STATUS_INDEX_BEST_IS_FINAL] == 1 and search.partial() == [1, 0]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_unfinished_sentence(implementation):
    """Without a token on a final state: what was said whole, no intent, not complete."""
    search = say(implementation(ORDER, make_config(beam=3000)), [1, 0, 3])
    lattice = ReadLattice(search.lattice(revision=spec.REVISION_SPECULATIVE + 2))
    assert lattice.flags == 0 and lattice.intent is None and lattice.revision == 2
    assert lattice.paths() == [(-100, (("small", 0, 30),), True)]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_nothing_said(implementation):
    graph = build_graph(1, [(0, 1, 0, 0, 0)], {0: 0}, [(1, None, 0)], ["nothing", "na"])
    search = implementation(graph, make_config(lattice_beam=10))
    for steps, score in ((0, 0), (3, -30)):
        for _ in range(steps):
            search.step(lambda context: [-10, -5000])
        lattice = ReadLattice(search.lattice())
        assert lattice.times == [0, steps * STEP_MS]
        assert lattice.edges == [(0, 1, NONE, spec.EDGE_FLAGS_BEST, 0, score, 0)]
        assert lattice.intent == "nothing" and lattice.words == []


def test_lattice_on_the_way_does_not_disturb():
    for seed in range(50):
        rng = random.Random(seed)
        data, scores = random_graph(rng), Scores(rng, 5)
        config = make_config(max_tokens=8, max_nodes=16, max_edges=24, lattice_beam=3000)
        quiet, asked = NativeSearch(data, config), NativeSearch(data, config)
        for step in range(12):
            for search in (quiet, asked):
                step_once(search, scores, step)
            asked.lattice()
            asked.lattice(capacity=40)
            asked.partial()
        assert quiet.status() == asked.status() and quiet.lattice() == asked.lattice()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 1500), st.sampled_from([1000, 8192, 1 << 20]))
def test_a_budget_costs_alternatives_and_never_the_best_path(seed, budget, lattice_beam):
    rng = random.Random(seed)
    data = random_graph(rng, states=5, arcs=12, units=5, words=4, word_share=0.5)
    scores, steps = Scores(rng, 5), rng.randint(1, 10)
    config = make_config(max_tokens=24, beam=8192, lattice_beam=lattice_beam, max_alternatives=4)
    native, twin = (run(one(data, config), scores, steps) for one in IMPLEMENTATIONS)
    whole, cut = native.lattice(), native.lattice(budget=budget)
    assert cut == twin.lattice(budget=budget)
    least = native.lattice(budget=1)
    assert len(cut) <= budget or cut == least
    assert (cut == whole) == (len(whole) <= budget or len(whole) == len(least))
    full, read = ReadLattice(whole), ReadLattice(cut)
    assert bool(read.flags & spec.LATTICE_FLAGS_TRUNCATED) == (cut != whole)
    assert [path for path in read.paths() if path[2]] == [path for path in full.paths() if path[2]]
    assert {path[:2] for path in read.paths()} <= {path[:2] for path in full.paths()}
    more = ReadLattice(native.lattice(budget=budget + rng.randint(0, 400)))
    assert {path[:2] for path in read.paths()} <= {path[:2] for path in more.paths()}


def test_a_buffer_too_small_narrows_the_beam():
    """The paths farthest from the best go first; the best path stays to the last byte."""
    data, scores = tree_graph(random.Random(3), branches=4), Scores(random.Random(3), 4)
    native, twin = (run(one(data, make_config(lattice_beam=20000)), scores, 7) for one in IMPLEMENTATIONS)
    lattice = native.lattice()
    whole = sorted(ReadLattice(lattice).paths(), reverse=True)
    assert native.lattice(capacity=len(lattice)) == lattice
    counts = set()
    for capacity in range(len(lattice) - 1, -1, -1):
        cut = native.lattice(capacity=capacity)
        assert cut == twin.lattice(capacity=capacity)
        if cut == -spec.ERROR_BUFFER_SMALL:
            break
        assert len(cut) <= capacity
        read = ReadLattice(cut)
        assert read.flags & spec.LATTICE_FLAGS_TRUNCATED
        paths = sorted(read.paths(), reverse=True)
        assert paths == whole[: len(paths)]
        counts.add(len(paths))
    assert capacity > 0 and min(counts) == 1 and len(counts) > 3
    assert native.lattice() == lattice, "the flag is the narrowed lattice's alone"


def test_partial_longer_than_its_array():
    graph = build_graph(1, [(0, 1, 0, 0, 0), (0, 2, 0, 1, 0)], {0: 0}, [(0, None, 0)] * 2, ["na"])
    search = say(NativeSearch(graph, make_config()), [1, 2, 1, 1])
    assert search.partial() == [0, 1, 0, 0]
    assert search.partial(capacity=2) == (4, [0, 1])


def test_homophones_and_words_without_slots():
    """Two words on the same units are two edges between the same nodes."""
    graph = build_graph(2, [(0, 1, 1, 0, 0), (0, 1, 1, 1, -5)], {1: 0}, [(0, None, 0), (1, 1, 1)], ["a", "b"])
    lattice = ReadLattice(run(NativeSearch(graph, make_config()), Scores(random.Random(0), 2), 1).lattice())
    assert sorted(path[1][0][0] for path in lattice.paths()) == ["a", "b"]
    assert {words_of(one) for one in alignments(Graph(graph), Scores(random.Random(0), 2), 1, make_config())[1]} == {
        (), (0,), (1,)
    }  # fmt: skip
