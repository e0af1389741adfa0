"""Compiled grammars: the graph says exactly the grammar's sentences, in as few states as possible."""

import itertools
import math
import os
import random
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import stapes_spec as spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stapes_reference.graph import Graph as BoardGraph
from stapes_tools.errors import UserError
from stapes_tools.grammar import (
    Graph,
    compile_grammar,
    compile_graph,
    describe,
    parse_grammar,
    parse_graph,
    read_grammar,
)
from stapes_tools.grammar.grammar import Tagged, tagged_slots
from stapes_tools.grammar.graph import Arc, graph_crc, to_dot
from stapes_tools.grammar.units import PHONES, UNITS, units_crc

ROOT = Path(__file__).parents[2]
OURS = sorted((ROOT / "models/grammars").glob("*.yaml"))
BARISTA = ROOT.parent / "shared/data/barista_dev"


def grammar_of(*lines, more=""):
    return parse_grammar("context:\n  expressions:\n" + "".join(f"    {line}\n" for line in lines) + more)


def graph_of(*lines, more=""):
    return compile_graph(grammar_of(*lines, more=more)).graph


def walk_all(graph):
    """Yield (phones, tagged words, intent) for every path through the graph."""

    def walk(state, phones, words):
        if graph.finals[state] is not None:
            yield phones, words, graph.finals[state]
        for arc in graph.arcs[state]:
            word = () if arc.word is None else (graph.words[arc.word],)
            yield from walk(arc.next_state, (*phones, UNITS[arc.unit]), words + word)

    return walk(graph.start, (), ())


def walk_once(graph, chance):
    """Return one random path's (phones, tagged words, intent)."""
    state, phones, words = graph.start, [], []
    while True:
        choices = list(graph.arcs[state]) + ([None] if graph.finals[state] is not None else [])
        arc = chance.choice(choices)
        if arc is None:
            return tuple(phones), tuple(words), graph.finals[state]
        phones.append(UNITS[arc.unit])
        if arc.word is not None:
            words.append(graph.words[arc.word])
        state = arc.next_state


# --- the oracle: patterns together with the sentences that they stand for ----------------------

VOCABULARY = ["the", "a", "an", "espresso", "latte", "coffee", "to", "two", "lights", "light", "off", "often"]
SIZES = {"small": ("small",), "extra large": ("extra", "large"), "a lot": ("a", "lot")}


def plain(word):
    return word, {(Tagged(word),)}


def sequence(parts):
    products = itertools.product(*(said for _, said in parts))
    return " ".join(text for text, _ in parts), {tuple(itertools.chain(*product)) for product in products}


def choice(parts):
    return "[" + ", ".join(text for text, _ in parts) + "]", set().union(*(said for _, said in parts))


def optional(parts):
    return "(" + ", ".join(text for text, _ in parts) + ")", set().union(*(said for _, said in parts)) | {()}


def slot(_):
    said = {tuple(Tagged(w, "size", i == 0) for i, w in enumerate(phrase)) for phrase in SIZES.values()}
    return "$sizes:size", said


PATTERNS = st.recursive(
    st.sampled_from(VOCABULARY).map(plain),
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map(sequence),
        st.lists(below, min_size=1, max_size=3).map(choice),
        st.lists(below, min_size=1, max_size=2).map(optional),
    ),
    max_leaves=8,
)
SENTENCES = st.tuples(PATTERNS, st.booleans(), PATTERNS).map(
    lambda t: sequence([plain("go"), t[0], *([slot(0)] if t[1] else []), t[2]])
)
SLOT_SECTION = "  slots:\n    sizes: [{}]\n".format(", ".join(SIZES))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SENTENCES, min_size=1, max_size=3))
def test_graph_spells_exactly_the_grammars_sentences(patterns):
    lines = [f'- "{text}"' for text, _ in patterns]
    grammar = grammar_of("walk:", *(f"  {line}" for line in lines), more=SLOT_SECTION)
    sentences = set().union(*(said for _, said in patterns))
    expected = Counter()
    for sentence in sentences:
        variants = [grammar.lexicon.pronunciations(word.text) for word in sentence]
        for spelling in itertools.product(*variants):
            expected[tuple(itertools.chain(*spelling)), sentence, "walk"] += 1
    assert max(expected.values()) == 1
    assert Counter(walk_all(compile_graph(grammar).graph)) == expected
    texts = {" ".join(word.text for word in sentence) for sentence in sentences}
    for text in texts:
        assert grammar.accepts(text) is not None
    assert {text for text, _, _ in grammar.sentences(50)} <= texts


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_random_walks_are_sentences_with_the_same_meaning(path):
    grammar = read_grammar(path)
    graph = parse_graph(compile_grammar(path))
    chance = random.Random(7)
    for _ in range(300):
        phones, words, intent = walk_once(graph, chance)
        text = " ".join(word.text for word in words)
        assert grammar.accepts(text) == (intent, tagged_slots(list(words))), text
        spelled = {()}
        for word in words:
            variants = grammar.lexicon.pronunciations(word.text)
            longer = {head + variant for head in spelled for variant in variants}
            spelled = {spelling for spelling in longer if phones[: len(spelling)] == spelling}
        assert phones in spelled, text


def test_word_stands_on_its_last_phone_and_costs_a_uniform_choice():
    graph = graph_of('go: ["[tea, coffee, toffee] please"]')
    first = {graph.words[a.word].text: a.weight for leaving in graph.arcs for a in leaving if a.word is not None}
    uniform = -round(math.log(3) * 1024)
    assert first == {"tea": uniform, "coffee": uniform, "toffee": uniform, "please": 0}
    for phones, words, _ in walk_all(graph):
        assert phones[-4:] == ("P", "L", "IY", "Z")
        assert words[1].text == "please"


def test_prefixes_and_suffixes_are_shared():
    # T-IY | T-AO-F-IY and K-AA-F-IY/K-AO-F-IY: after the choice, P-L-IY-Z stands once.
    graph = graph_of('go: ["[tea, toffee] please", "[tea, toffee] please"]')
    assert [UNITS[arc.unit] for arc in graph.arcs[0]] == ["T"]
    please = [arc for leaving in graph.arcs for arc in leaving if UNITS[arc.unit] == "Z"]
    assert len(please) == 1


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_own_grammars_fit_a_small_board(path):
    assert len(compile_grammar(path)) <= 48 * 1024


def test_no_state_has_two_equal_arcs_and_weights_are_not_positive():
    for path in OURS:
        graph = parse_graph(compile_grammar(path))
        for leaving in graph.arcs:
            labels = [(arc.unit, arc.word, arc.weight) for arc in leaving]
            assert len(set(labels)) == len(labels)
            assert labels == sorted(
                labels, key=lambda label: (label[0], -1 if label[1] is None else label[1], label[2])
            )
            assert all(arc.weight <= 0 and 1 <= arc.unit <= len(PHONES) for arc in leaving)


def test_own_pronunciations_are_used():
    graph = graph_of('go: ["zorp"]', more='pronunciations:\n  zorp: ["Z AO R P", "Z ER P"]\n')
    assert {phones for phones, _, _ in walk_all(graph)} == {("Z", "AO", "R", "P"), ("Z", "ER", "P")}


def test_intents_are_kept_apart():
    graph = graph_of('coffee: ["make coffee"]', 'tea: ["make tea"]', 'any: ["make [juice, soup]"]')
    assert graph.intents == ["any", "coffee", "tea"]
    assert {(words[-1].text, intent) for _, words, intent in walk_all(graph)} == {
        ("coffee", "coffee"),
        ("tea", "tea"),
        ("juice", "any"),
        ("soup", "any"),
    }


@pytest.mark.parametrize(
    "lines",
    [
        ('one: ["make (some) tea"]', 'two: ["[make, brew] tea"]'),
        ('one: ["make $x:x"]', 'two: ["make $y:y"]'),
        ('one: ["make $x:x"]', 'two: ["make tea"]'),
    ],
)
def test_one_sentence_with_two_intents_is_refused(lines):
    with pytest.raises(UserError, match="'make tea' belongs to two intents, 'one' and 'two'"):
        graph_of(*lines, more="  slots:\n    x: [tea, milk]\n    y: [tea, juice]\n")


def test_competing_slot_readings_are_warned_of():
    compiled = compile_graph(
        grammar_of(
            'go: ["make $x:x (now)", "make $y:y (now)"]', more="  slots:\n    x: [tea, milk]\n    y: [tea, milk]\n"
        )
    )
    assert len(compiled.warnings) == 1
    assert "can be read in two ways: {'x': " in compiled.warnings[0]
    assert compile_graph(grammar_of('go: ["make $x:x"]', more="  slots:\n    x: [tea]\n")).warnings == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_equal_files_give_equal_bytes_in_every_process(path):
    here = compile_grammar(path)
    program = f"import sys; from stapes_tools.grammar import *; sys.stdout.buffer.write(compile_grammar({str(path)!r}))"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        assert subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout == here


def test_order_of_alternatives_does_not_matter():
    one = graph_of('go: ["[a, the] [latte, coffee]"]').to_bytes()
    two = graph_of('go: ["the [coffee, latte]", "a coffee", "a latte"]').to_bytes()
    assert one == two


@pytest.mark.skipif(not BARISTA.is_dir(), reason="the coffee benchmark is not on this machine")
def test_benchmark_grammar_is_small():
    figures = describe(compile_grammar(BARISTA / "coffee_maker.yaml"))
    assert figures["bytes"] <= 16 * 1024
    assert figures["intents"] == ["orderDrink"]


class TestFile:
    """The bytes of a .stg file."""

    GRAPH = graph_of(
        'order: ["make [a, the] $size:size coffee"]', 'stop: ["stop"]', more="  slots:\n    size: [small]\n"
    )

    def test_layout(self):
        data = self.GRAPH.to_bytes()
        fields = struct.unpack_from(spec.GRAPH_STRUCT, data)
        assert fields[:3] == (b"STPG", spec.VERSION_GRAPH, spec.GRAPH_BYTES)
        assert fields[3] == graph_crc(data)
        assert fields[4] == len(data)
        assert fields[5] == units_crc()
        states, arcs, words, strings, start = fields[6:11]
        offsets = fields[12:17]
        assert (states, arcs, words, start) == (len(self.GRAPH.arcs), self.GRAPH.arc_count, len(self.GRAPH.words), 0)
        assert offsets[0] == spec.GRAPH_BYTES
        assert offsets[1] == offsets[0] + 4 * (states + 1)
        assert offsets[2] == offsets[1] + (2 * states + 3) // 4 * 4
        assert offsets[3] == offsets[2] + spec.GRAPH_ARC_BYTES * arcs
        assert offsets[4] == offsets[3] + spec.WORD_BYTES * words
        # String offsets count from the file's start; the first string follows the table.
        assert struct.unpack_from("<I", data, offsets[4]) == (offsets[4] + 4 * strings,)
        assert data[offsets[4] + 4 * strings :].split(b"\0") == [
            *sorted([b"a", b"coffee", b"make", b"order", b"size", b"small", b"stop", b"the"]),
            b"",
        ]

    def test_round_trip(self):
        assert parse_graph(self.GRAPH.to_bytes()) == self.GRAPH
        assert parse_graph(self.GRAPH.to_bytes() + b"tail of a larger buffer") == self.GRAPH

    @pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
    def test_the_boards_reader_takes_it(self, path):
        data = compile_grammar(path)
        ours, theirs = parse_graph(data), BoardGraph(data)
        assert (theirs.state_count, theirs.arc_count) == (len(ours.arcs), ours.arc_count)
        assert (theirs.word_count, theirs.units_crc) == (len(ours.words), units_crc())

    def test_description(self):
        figures = describe(self.GRAPH.to_bytes())
        assert figures["states"] == len(self.GRAPH.arcs)
        assert figures["intents"] == ["order", "stop"]
        assert figures["slots"] == ["size"]
        assert figures["vocabulary"] == 6

    def test_drawing_names_every_state_and_arc(self):
        dot = to_dot(self.GRAPH)
        assert dot.count(" -> ") == self.GRAPH.arc_count
        assert 'xlabel="stop"' in dot
        assert "P: stop -0.69" in dot

    def test_every_cut_and_every_flipped_byte_is_refused(self):
        data = self.GRAPH.to_bytes()
        for size in range(len(data)):
            with pytest.raises(UserError):
                parse_graph(data[:size], "g.stg")
        for index in range(len(data)):
            broken = bytearray(data)
            broken[index] ^= 0x55
            with pytest.raises(UserError, match=r"^g\.stg: "):
                parse_graph(bytes(broken), "g.stg")

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.tuples(st.integers(12, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
    def test_damage_under_a_right_checksum_is_refused_or_harmless(self, changes):
        data = bytearray(self.GRAPH.to_bytes())
        for at, value in changes:
            data[at % len(data)] = value
        struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, graph_crc(data))
        try:
            graph = parse_graph(bytes(data))
        except UserError:
            return
        assert all(0 <= arc.next_state < len(graph.arcs) for leaving in graph.arcs for arc in leaving)
        assert all(arc.word is None or arc.word < len(graph.words) for leaving in graph.arcs for arc in leaving)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "not a compiled Stapes grammar"),
            (b"TFL3" * 20, "not a compiled Stapes grammar"),
            (b"STPG\2\0" + bytes(60), "version is not one this firmware reads \\(version 2\\)"),
            (b"STPG\1\0", "cut short"),
        ],
    )
    def test_strangers_are_refused_by_name(self, data, message):
        with pytest.raises(UserError, match=message):
            parse_graph(data)

    def test_more_states_than_an_index_holds(self):
        arcs = [[Arc(1, None, 0, state + 1)] for state in range(65535)] + [[]]
        graph = Graph(arcs, [None] * 65535 + ["go"], [])
        with pytest.raises(UserError, match="too large for the board: 65536 states, at most 65535"):
            graph.to_bytes()
        fits = Graph([*([Arc(1, None, 0, s + 1)] for s in range(65534)), []], [None] * 65534 + ["go"], [])
        assert parse_graph(fits.to_bytes()) == fits

    def test_too_large_grammars_are_refused_before_they_fill_the_memory(self):
        lines = ["- " + " ".join(f"$pv.TwoDigitInteger:n{i}" for i in range(150))] * 10
        with pytest.raises(UserError, match="too large for the board: more than"):
            graph_of("go:", *(f"  {line}" for line in lines))


class TestDocument:
    """docs/grammar.md tells the truth."""

    TEXT = (ROOT / "docs/grammar.md").read_text()

    def test_its_example_compiles_without_warnings(self):
        (example,) = re.findall(r"```yaml\n(.*?)```", self.TEXT, re.S)
        grammar = parse_grammar(example)
        assert compile_graph(grammar).warnings == []
        assert grammar.accepts("I'd like two macchiato") == ("orderDrink", {"count": "two", "drink": "macchiato"})

    def test_its_python_runs(self, monkeypatch):
        monkeypatch.chdir(ROOT)
        (example,) = re.findall(r"```python\n(.*?)```", self.TEXT, re.S)
        names = {}
        exec(example, names)
        assert names["grammar"].accepts("make me a large latte") == ("orderDrink", {"size": "large", "drink": "latte"})

    @pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
    def test_its_figures_are_current(self, path):
        figures = describe(compile_grammar(path))
        row = " | ".join(str(figures[key]) for key in ("vocabulary", "states", "arcs", "bytes"))
        assert f"| `models/grammars/{path.name}` | {row} |" in self.TEXT
