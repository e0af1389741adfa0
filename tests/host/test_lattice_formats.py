"""Word lattices: the binary form, n-best, and every other format; on both interpreters."""

import itertools
import json
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import kaldifst
import pytest
import stapes_spec as spec
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes.lattice import Lattice as BoardLattice
from stapes.lattice import LatticeError, lattice_crc, slot_values
from stapes_tools.cli.lattice import lattice as lattice_command
from stapes_tools.errors import UserError
from stapes_tools.lattice import Edge, Lattice, Word, as_json, from_json, parse, read_lattice, render, write_lattice
from stapes_tools.lattice.formats import FORMATS
from stapes_tools.lattice.kaldi import kaldi_words, to_kaldi, word_ids

ROOT = Path(__file__).parents[2]
COMPLETE = spec.LATTICE_FLAGS_FINAL | spec.LATTICE_FLAGS_COMPLETE

# make me a (dark | dog) roast latte
WORDS = [Word("make"), Word("me"), Word("a"), Word("dark", "roast", True), Word("roast", "roast"), Word("dog")]
WORDS.append(Word("latte", "drink", True))
EDGES = [
    Edge(0, 1, 0, 240, 480, -3172, -1024, True),
    Edge(1, 2, 1, 510, 600, -512, 0, True),
    Edge(2, 3, 2, 600, 660, -100, -710, True),
    Edge(3, 4, 3, 690, 990, -1999, -2048, True),
    Edge(3, 4, 5, 660, 990, -2100, -2300),
    Edge(4, 5, 4, 990, 1410, -800, 0, True),
    Edge(5, 6, 6, 1440, 1890, -1111, -2222, True),
    Edge(4, 6, 6, 1470, 1890, -9000, -2222),
]
SAMPLE = Lattice([0, 480, 600, 660, 990, 1410, 1890], EDGES, WORDS, "orderDrink", 7, 1, COMPLETE)
# The same where `dog` was likely.
LIKELY = replace(
    SAMPLE,
    flags=COMPLETE | spec.LATTICE_FLAGS_CONTEXT,
    edges=[replace(edge, bias_raw=3072 if edge.word == 5 else 0) for edge in EDGES],
)


@st.composite
def lattices(draw):
    count = draw(st.integers(2, 6))
    nodes = sorted(draw(st.lists(st.integers(0, 5000), min_size=count, max_size=count)))
    names = st.sampled_from(["a", "make", "it's", "\u00fcber", 'qu"ote', "<b>", "back\\slash"])
    slots = st.none() | st.sampled_from(["size", "drink"])
    words = draw(st.lists(st.builds(Word, names, slots, st.booleans()), min_size=1, max_size=5))
    score = st.integers(-(1 << 31), (1 << 31) - 1)
    pairs = draw(st.lists(st.sampled_from(list(itertools.combinations(range(count), 2))), max_size=10))
    label = st.none() | st.integers(0, len(words) - 1)
    flags = draw(st.integers(0, 15))
    bias = score if flags & spec.LATTICE_FLAGS_CONTEXT else st.just(0)
    edges = [
        Edge(a, b, draw(label), draw(st.integers(0, nodes[b])), nodes[b], draw(score), draw(score), bias_raw=draw(bias))
        for a, b in pairs
    ]
    at = 0
    for index in sorted(range(len(edges)), key=lambda index: edges[index].from_node):
        if edges[index].from_node == at and draw(st.booleans()):
            edges[index] = replace(edges[index], best=True)
            at = edges[index].to_node
    intent = draw(st.none() | st.just("orderDrink"))
    return Lattice(nodes, edges, words, intent, draw(st.integers(0, 1 << 31)), draw(st.integers(0, 9)), flags)


def all_paths(lattice):
    """Yield every path from the first node to the last, the slow way."""

    def walk(node, path):
        if node == len(lattice.nodes) - 1:
            yield path
        for edge in lattice.edges:
            if edge.from_node == node:
                yield from walk(edge.to_node, [*path, edge])

    return walk(0, [])


# --- meaning ------------------------------------------------------------------------------------


def test_sample_reads_as_spoken():
    assert SAMPLE.text == "make me a dark roast latte"
    assert SAMPLE.slots == {"roast": "dark roast", "drink": "latte"}
    assert SAMPLE.intent == "orderDrink"
    assert SAMPLE.is_final
    assert SAMPLE.is_complete
    assert not SAMPLE.is_truncated
    assert SAMPLE.edges[0].acoustic == -3172 / 1024
    assert SAMPLE.best.score == sum(e.acoustic + e.language for e in SAMPLE.edges if e.best)


@pytest.mark.parametrize(
    ("words", "slots"),
    [
        ([], {}),
        ([("go", None, 0)], {}),
        ([("dark", "r", 1), ("roast", "r", 0)], {"r": "dark roast"}),
        ([("a", "x", 1), ("b", "y", 1), ("c", "y", 0), ("d", None, 0)], {"x": "a", "y": "b c"}),
        ([("a", "x", 1), ("b", "x", 1)], {"x": "b"}),
        ([("a", "x", 1), ("and", None, 0), ("b", "x", 0)], {"x": "b"}),
    ],
)
def test_slot_values(words, slots):
    assert slot_values(words) == slots


def test_nbest_of_the_sample():
    best = SAMPLE.nbest(9)
    assert [hypothesis.text for hypothesis in best] == [
        "make me a dark roast latte",
        "make me a dog roast latte",
        "make me a dark latte",
        "make me a dog latte",
    ]
    assert best[1].slots == {"roast": "roast", "drink": "latte"}
    assert [h.score for h in best] == sorted((h.score for h in best), reverse=True)
    assert SAMPLE.nbest(2) == best[:2]


@settings(max_examples=200, deadline=None)
@given(lattices())
def test_hypotheses_are_all_paths_best_first(lattice):
    found = list(lattice.hypotheses())
    slow = [lattice.hypothesis(path) for path in all_paths(lattice)]
    assert sorted(h.score for h in found) == sorted(h.score for h in slow)
    assert {h.edges for h in found} == {h.edges for h in slow}
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert len({h.words for h in lattice.nbest(5)}) == min(5, len({h.words for h in slow}))


def test_best_path_without_marks_is_the_best_scoring_one():
    edges = [replace(edge, best=False) for edge in SAMPLE.edges]
    assert replace(SAMPLE, edges=edges).text == "make me a dark roast latte"
    assert Lattice([0, 30], [], []).text == ""
    assert Lattice([0], [], []).nbest(3)[0].text == ""


# --- the binary form ------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(lattices())
def test_binary_round_trip(lattice):
    data = lattice.to_bytes()
    assert parse(data) == lattice
    assert parse(data + b"rest of a larger buffer") == lattice
    board = BoardLattice(memoryview(data))
    marked = sorted((edge for edge in lattice.edges if edge.best), key=lambda edge: edge.from_node)
    best = lattice.hypothesis(marked)
    assert (board.text, board.slots, board.intent) == (best.text, best.slots, lattice.intent)
    assert board.nodes == lattice.nodes


def test_layout():
    data = SAMPLE.to_bytes()
    header = struct.unpack_from(spec.LATTICE_STRUCT, data)
    assert header[:3] == (b"STPL", spec.VERSION_LATTICE, spec.LATTICE_BYTES)
    assert header[4:8] == (len(data), 7, 1, COMPLETE)
    assert header[8:11] == (7, 8, 7)
    edge = spec.LATTICE_BYTES + 7 * spec.LATTICE_NODE_BYTES
    assert struct.unpack_from("<I", data, edge + spec.LATTICE_EDGE_START_MS_OFFSET) == (240,)
    assert struct.unpack_from("<i", data, edge + spec.LATTICE_EDGE_ACOUSTIC_OFFSET) == (-3172,)


def test_every_cut_and_every_flipped_byte_is_refused():
    data = SAMPLE.to_bytes()
    for size in range(len(data)):
        with pytest.raises(UserError):
            parse(data[:size])
    for index in range(len(data)):
        broken = bytearray(data)
        broken[index] ^= 0xAA
        with pytest.raises(UserError, match=r"^x\.stl: "):
            parse(bytes(broken), "x.stl")


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(4, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_under_a_right_checksum_is_refused_or_harmless(changes):
    data = bytearray(SAMPLE.to_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    struct.pack_into("<I", data, spec.LATTICE_CRC_OFFSET, lattice_crc(data))
    try:
        lattice = parse(bytes(data))
    except UserError:
        return
    for form in FORMATS:
        assert render(lattice, form)


def damaged(change):
    data = bytearray(SAMPLE.to_bytes())
    change(data)
    struct.pack_into("<I", data, spec.LATTICE_CRC_OFFSET, lattice_crc(data))
    return bytes(data)


EDGE_AT = spec.LATTICE_BYTES + 7 * spec.LATTICE_NODE_BYTES


@pytest.mark.parametrize(
    ("data", "code", "detail"),
    [
        (b"", spec.ERROR_LATTICE_MAGIC, "starts with"),
        (b"STPG" + bytes(60), spec.ERROR_LATTICE_MAGIC, "STPG"),
        (b"STPL\1\0", spec.ERROR_LATTICE_TRUNCATED, "6 bytes"),
        (b"STPL\7\0" + bytes(60), spec.ERROR_LATTICE_VERSION, "version 7"),
        (SAMPLE.to_bytes()[:-1], spec.ERROR_LATTICE_TRUNCATED, "of"),
        (SAMPLE.to_bytes()[:-2] + b"!\0", spec.ERROR_LATTICE_CRC, "CRC-32"),
        (
            damaged(lambda d: struct.pack_into("<H", d, EDGE_AT, 6)),
            spec.ERROR_LATTICE_TRUNCATED,
            "from node 6 to node 1",
        ),
        (damaged(lambda d: struct.pack_into("<H", d, EDGE_AT + 2, 9)), spec.ERROR_LATTICE_TRUNCATED, "to node 9"),
        (damaged(lambda d: struct.pack_into("<H", d, EDGE_AT + 4, 7)), spec.ERROR_LATTICE_TRUNCATED, "word 7 of 7"),
        (
            damaged(lambda d: struct.pack_into("<H", d, EDGE_AT + 6, 0)),
            spec.ERROR_LATTICE_TRUNCATED,
            "breaks at node 0",
        ),
        (
            damaged(lambda d: struct.pack_into("<I", d, EDGE_AT + 8, 481)),
            spec.ERROR_LATTICE_TRUNCATED,
            "before it starts",
        ),
        (
            damaged(lambda d: struct.pack_into("<I", d, EDGE_AT - 4, 0)),
            spec.ERROR_LATTICE_TRUNCATED,
            "node 6 is earlier",
        ),
        (damaged(lambda d: struct.pack_into("<H", d, 24, 0)), spec.ERROR_LATTICE_TRUNCATED, ""),
        (damaged(lambda d: struct.pack_into("<H", d, 30, 99)), spec.ERROR_LATTICE_TRUNCATED, "not 99 strings"),
        (damaged(lambda d: struct.pack_into("<H", d, 32, 98)), spec.ERROR_LATTICE_TRUNCATED, "string 98"),
    ],
)
def test_damage_is_named(data, code, detail):
    with pytest.raises(LatticeError) as caught:
        BoardLattice(data)
    assert caught.value.code == code
    assert detail in caught.value.detail
    with pytest.raises(UserError) as told:
        parse(data, "x.stl")
    assert told.value.advice == spec.ERRORS[code][3]
    assert "\n" not in str(told.value)


# The same parser on MicroPython: it reports what it read, and that each flipped byte is refused.
ON_BOARD = """
import sys
sys.path[:0] = {paths!r}
from stapes.lattice import Lattice, LatticeError
data = open({file!r}, "rb").read()
lattice = Lattice(memoryview(data))
print(lattice.text, lattice.intent, sorted(lattice.slots.items()), lattice.nodes, lattice.words, sep="|")
print([(e.from_node, e.to_node, e.word, e.start_ms, e.end_ms, e.acoustic, e.language, e.bias) for e in lattice.edges])
refused = 0
for index in range(len(data)):
    broken = bytearray(data)
    broken[index] ^= 0x5A
    try:
        Lattice(broken)
    except LatticeError as error:
        refused += 1
print(refused)
"""


@pytest.mark.unix
def test_micropython_reads_the_same(tmp_path):
    file = tmp_path / "sample.stl"
    file.write_bytes(LIKELY.to_bytes())
    folders = ["firmware", "firmware/spec/generated", "firmware/reference"]
    program = tmp_path / "program.py"
    program.write_text(ON_BOARD.format(paths=[str(ROOT / folder) for folder in folders], file=str(file)))
    micropython = shutil.which("micropython", path=str(Path(sys.executable).parent))
    assert micropython, "micropython is not installed: run make test"
    results = [
        subprocess.run([interpreter, str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
        for interpreter in (micropython, sys.executable)
    ]
    assert results[0] == results[1]
    assert results[0][0].startswith(
        "make me a dark roast latte|orderDrink|[('drink', 'latte'), ('roast', 'dark roast')]|"
    )
    assert ", -2300, 3072)" in results[0][1]
    assert int(results[0][2]) == len(LIKELY.to_bytes())


# --- other formats ----------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(lattices())
def test_json_round_trip_is_exact(lattice):
    assert from_json(json.loads(render(lattice, "json"))) == lattice


def test_json_reads_well():
    shown = as_json(SAMPLE)
    assert shown["text"] == "make me a dark roast latte"
    assert shown["slots"] == {"roast": "dark roast", "drink": "latte"}
    assert (shown["final"], shown["complete"], shown["truncated"]) == (True, True, False)
    assert shown["nodes"][1] == {"time_ms": 480}
    assert shown["edges"][0] == {
        "from": 0,
        "to": 1,
        "word": "make",
        "id": 0,
        "start_ms": 240,
        "end_ms": 480,
        "acoustic": -3.09765625,
        "language": -1.0,
        "bias": 0.0,
        "best": True,
    }


def broken_json():
    for key in ("nodes", "edges", "words", "utterance", "final"):
        shown = as_json(SAMPLE)
        del shown[key]
        yield shown
    for key, value in (
        ("nodes", []),
        ("edges", [{}]),
        ("utterance", -1),
        ("revision", 1 << 16),
        ("words", 3),
        ("nodes", {}),
        ("doubt", "much"),
        ("doubt", -1.0),
        ("doubt", 1e9),
    ):
        yield as_json(SAMPLE) | {key: value}
    for key, value in (
        ("from", 5),
        ("to", 99),
        ("id", 44),
        ("id", "x"),
        ("acoustic", 1e30),
        ("acoustic", "low"),
        ("start_ms", None),
    ):
        shown = as_json(SAMPLE)
        shown["edges"][0][key] = value
        yield shown
    yield from ([], 3, None, {"lattice": 1})


@pytest.mark.parametrize("data", list(broken_json()))
def test_broken_json_is_refused_in_one_line(data):
    with pytest.raises(UserError) as caught:
        from_json(data, "x.json")
    assert str(caught.value).startswith("x.json: ")
    assert "\n" not in str(caught.value)


def kaldi_lattice(lattice):
    """Build the lattice with Kaldi's own types."""
    ids = word_ids(lattice)
    fst = kaldifst.Lattice()
    for _ in lattice.nodes:
        fst.add_state()
    fst.start = 0
    for edge in lattice.edges:
        label = 0 if edge.word is None else ids[lattice.words[edge.word].text]
        weight = kaldifst.LatticeWeight(-edge.language - edge.bias, -edge.acoustic)
        fst.add_arc(edge.from_node, kaldifst.LatticeArc(label, label, weight, edge.to_node))
    fst.set_final(len(lattice.nodes) - 1, kaldifst.LatticeWeight(0.0, 0.0))
    return fst


def read_kaldi(text):
    """Read Kaldi's text form into Kaldi's own type."""
    key, *lines = text.rstrip("\n").split("\n")
    assert re.fullmatch(r"\S+", key)
    rows = [line.split() for line in lines]
    fst = kaldifst.Lattice()
    for _ in range(1 + max(int(state) for row in rows for state in row[: 2 if len(row) == 5 else 1])):
        fst.add_state()
    fst.start = int(rows[0][0])
    for row in rows:
        weight = kaldifst.LatticeWeight(*map(float, row[-1].split(",")))
        if len(row) == 5:
            fst.add_arc(int(row[0]), kaldifst.LatticeArc(int(row[2]), int(row[3]), weight, int(row[1])))
        else:
            fst.set_final(int(row[0]), weight)
    return fst


def test_kaldi_text_reads_back_with_equal_nbest(tmp_path):
    text = to_kaldi(SAMPLE)
    assert text.startswith("utterance-7-1\n0\t1\t1\t1\t1,3.09765625\n")
    assert text.endswith("6\t0,0\n\n")
    fst = read_kaldi(text)
    # Kaldi prints the very lines that we wrote, up to the digits of a float.
    theirs = [line.split() for line in fst.to_str(show_weight_one=True).splitlines()]
    ours = [line.split() for line in text.splitlines()[1:-1]]
    assert [row[:-1] for row in theirs] == [row[:-1] for row in ours]
    for their_row, our_row in zip(theirs, ours, strict=True):
        costs = [list(map(float, row[-1].split(","))) for row in (their_row, our_row)]
        assert costs[0] == pytest.approx(costs[1], rel=1e-5)
    words = tmp_path / "words.txt"
    words.write_text(kaldi_words(SAMPLE))
    symbols = kaldifst.SymbolTable.read_text(str(words))
    nbest = []
    for path in kaldifst.lattice_to_nbest(fst, acoustic_scale=1.0, lm_scale=1.0, n=4):
        _, _, labels, weight = kaldifst.get_linear_symbol_sequence(path)
        nbest.append((" ".join(symbols.find(label) for label in labels), -weight.value1 - weight.value2))
    expected = SAMPLE.nbest(4)
    assert [text for text, _ in nbest] == [hypothesis.text for hypothesis in expected]
    assert [score for _, score in nbest] == pytest.approx([hypothesis.score for hypothesis in expected])


def test_what_a_context_gives_is_shown_and_counts():
    assert SAMPLE.nbest(1)[0].text == "make me a dark roast latte"
    assert LIKELY.nbest(1)[0].text == "make me a dog roast latte"
    assert LIKELY.nbest(1)[0].score == SAMPLE.nbest(2)[1].score + 3
    assert parse(LIKELY.to_bytes()) == LIKELY and len(LIKELY.to_bytes()) == len(SAMPLE.to_bytes()) + 4 * len(EDGES)
    assert as_json(LIKELY)["context"] and not as_json(SAMPLE)["context"]
    assert as_json(LIKELY)["edges"][4]["bias"] == 3.0
    assert "3\t4\t6\t6\t-0.75390625,2.05078125\n" in to_kaldi(LIKELY)
    assert "W=dog a=-2.05078125 l=0.75390625\n" in render(LIKELY, "slf")
    assert "dog\\n-2.1 -2.2 +3.0" in render(LIKELY, "dot") and "-2.05 -2.25 +3.00" in render(LIKELY, "svg")
    table = render(LIKELY, "text").splitlines()
    assert table[5].split()[-1] == "context"
    assert [line.split()[-1] for line in table if " dog " in line] == ["3.00"]


def test_json_from_before_there_was_a_context_is_read():
    shown = as_json(SAMPLE)
    del shown["context"]
    for edge in shown["edges"]:
        del edge["bias"]
    assert from_json(shown) == SAMPLE


def test_slf():
    text = render(SAMPLE, "slf")
    lines = text.splitlines()
    assert lines[0] == "VERSION=1.0"
    assert "N=7 L=8" in lines
    assert "I=1 t=0.480" in lines
    assert "J=0 S=0 E=1 W=make a=-3.09765625 l=-1" in lines
    links = [dict(field.split("=", 1) for field in line.split()) for line in lines if line.startswith("J=")]
    for link, edge in zip(links, SAMPLE.edges, strict=True):
        assert (int(link["S"]), int(link["E"])) == (edge.from_node, edge.to_node)
        assert (float(link["a"]), float(link["l"])) == (edge.acoustic, edge.language)
    silent = replace(SAMPLE, edges=[replace(SAMPLE.edges[0], word=None)])
    assert "W=!NULL" in render(silent, "slf")
    quoted = replace(SAMPLE, words=[Word("'tis"), *WORDS[1:]])
    assert "W=\\'tis" in render(quoted, "slf")


def test_dot_and_text_name_every_edge():
    dot = render(SAMPLE, "dot")
    assert dot.count(" -> ") == 8
    assert dot.count("penwidth") == 6
    assert '0 -> 1 [label="make\\n-3.1 -1.0", penwidth=2.5];' in dot
    text = render(SAMPLE, "text").splitlines()
    assert text[:4] == [
        "text: make me a dark roast latte",
        "intent: orderDrink",
        "slot: roast = dark roast",
        "slot: drink = latte",
    ]
    assert len(text) == 6 + 8
    assert sum(line.startswith("*") for line in text) == 6
    assert text[6].split() == ["*", "0.24", "0.48", "0-1", "make", "-3.10", "-1.00"]


@settings(max_examples=60, deadline=None)
@given(lattices())
def test_svg_is_well_formed_and_shows_every_word(lattice):
    root = xml.etree.ElementTree.fromstring(render(lattice, "svg"))
    bars = root.findall("{http://www.w3.org/2000/svg}g")
    assert len(bars) == sum(edge.word is not None for edge in lattice.edges)


# --- files and the command ----------------------------------------------------------------------------


def test_files_are_written_by_suffix(tmp_path):
    for suffix in [".stl", *(suffix for suffix, _ in FORMATS.values())]:
        write_lattice(SAMPLE, tmp_path / f"x{suffix}")
    assert (tmp_path / "x.stl").read_bytes() == SAMPLE.to_bytes()
    assert (tmp_path / "x.words.txt").read_text().splitlines()[:2] == ["<eps> 0", "make 1"]
    assert read_lattice(tmp_path / "x.stl") == read_lattice(tmp_path / "x.json") == SAMPLE
    (tmp_path / "y.json").write_text(json.dumps({"text": "", "lattice": as_json(SAMPLE)}))
    assert read_lattice(tmp_path / "y.json") == SAMPLE
    with pytest.raises(UserError, match=r"no lattice format has the suffix '\.png'"):
        write_lattice(SAMPLE, tmp_path / "x.png")
    with pytest.raises(UserError, match="cannot be written"):
        write_lattice(SAMPLE, tmp_path / "none/x.dot")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b"STPL", b"\xff" * 99, b'{"lattice": {}}', b"{" * 100_000])
def test_files_that_are_no_lattice(tmp_path, data):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_lattice(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(UserError, match="cannot be read"):
        read_lattice(tmp_path)


def test_command(tmp_path):
    path = tmp_path / "x.stl"
    path.write_bytes(SAMPLE.to_bytes())

    def run(*arguments):
        return CliRunner().invoke(lattice_command, [str(argument) for argument in arguments], catch_exceptions=False)

    assert run(path).output == render(SAMPLE, "text")
    assert run(path, "--to", "kaldi").output == to_kaldi(SAMPLE)
    assert run(path, "-o", tmp_path / "y.json").exit_code == 0
    assert run(tmp_path / "y.json", "--to", "json").output == (tmp_path / "y.json").read_text()
    assert run(path, "--to", "slf", "-o", tmp_path / "z").exit_code == 0
    assert (tmp_path / "z").read_text() == render(SAMPLE, "slf")
    assert [line.split(maxsplit=1)[1] for line in run(path, "--nbest", 2).output.splitlines()] == [
        "make me a dark roast latte",
        "make me a dog roast latte",
    ]
    with pytest.raises(UserError):
        run(path, "-o", tmp_path / "x.png")


def test_the_documents_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_lattice(SAMPLE, "order.stl")
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/lattice.md").read_text(), re.S)
    exec(example, {})
    assert (tmp_path / "order.slf").read_text() == render(SAMPLE, "slf")
    assert "make me a dog roast latte {'roast': 'roast', 'drink': 'latte'}" in capsys.readouterr().out
