"""The search alone, scored by a table instead of a model: the C kernels and their twin behind one face.

Scores: {context: [log P of each unit, Q5.10]} for each step, given as a function (step, context) -> list.
"""

import struct
import zlib

import stapes_spec as spec
from stapes_reference.graph import Graph
from stapes_reference.lattice_write import write_lattice
from stapes_reference.search import Search
from stapes_tools.kernels.search import LATTICE_CAPACITY
from stapes_tools.kernels.search import Search as HostSearch

DEFAULTS = {
    "max_tokens": 96,
    "beam": 1 << 20,
    "lattice_beam": 1 << 20,
    "max_alternatives": 8,
    "max_nodes": 384,
    "max_edges": 768,
    "blank_penalty": 0,
    "language_scale": 1024,
    "max_context": 64,
    "start_discount": 0,
    "rejection": 0,
}


def make_config(**changes):
    """The integers of a decoder's configuration, wide open unless changed."""
    values = [0] * spec.CONFIG_INDEX_COUNT
    for name, value in {**DEFAULTS, **changes}.items():
        values[getattr(spec, f"CONFIG_INDEX_{name.upper()}")] = value
    return values


class NativeSearch(HostSearch):
    """The C kernels on one utterance."""

    def partial(self, capacity=None):
        """The words; with a capacity, (how many there are, those that fit it)."""
        count, words = super().partial() if capacity is None else super().partial(capacity)
        assert not any(words[count if capacity is None else capacity :])
        return words[:count] if capacity is None else (count, words[:capacity])

    def lattice(self, utterance=7, revision=0, capacity=LATTICE_CAPACITY, budget=0):
        return super().lattice(utterance, revision, capacity, budget)


class TwinSearch:
    """stapes_reference's search on one utterance."""

    def __init__(self, graph, config, context_size=1):
        self.search = Search(config, context_size, Graph(graph))

    def step(self, score):
        return self.search.step(score)

    def set_context(self, table):
        try:
            self.search.set_context(table)
        except ValueError as refused:
            return -refused.args[0]
        return 0

    def status(self):
        return self.search.status()

    def partial(self):
        search = self.search
        return [edge.word for edge in search.lattice.best_edges(search.best.entries[0].node)]

    def lattice(self, utterance=7, revision=0, capacity=LATTICE_CAPACITY, budget=0):
        data = write_lattice(self.search, utterance, revision, capacity, budget)
        return -spec.ERROR_BUFFER_SMALL if data is None else data


class ReadLattice:
    """A lattice's rows, read by its layout and held against its own rules."""

    def __init__(self, data):
        head = struct.unpack_from(spec.LATTICE_STRUCT, data)
        assert head[0] == spec.MAGIC_LATTICE.encode() and head[1] == spec.VERSION_LATTICE
        assert head[4] == len(data)
        crc = spec.LATTICE_CRC_OFFSET
        assert head[3] == zlib.crc32(data[:crc] + bytes(4) + data[crc + 4 :])
        self.utterance, self.revision, self.flags = head[5:8]
        node_count, edge_count, word_count, string_count, intent, self.doubt = head[8:14]
        at = head[2]
        self.times, at = self._rows(data, at, spec.LATTICE_NODE_STRUCT, node_count)
        self.times = [row[0] for row in self.times]
        self.edges, at = self._rows(data, at, spec.LATTICE_EDGE_STRUCT, edge_count)
        self.biases = [0] * edge_count
        if self.flags & spec.LATTICE_FLAGS_CONTEXT:
            biases, at = self._rows(data, at, "<i", edge_count)
            self.biases = [row[0] for row in biases]
        words, at = self._rows(data, at, spec.WORD_STRUCT, word_count)
        strings = data[at:].split(b"\0")
        assert strings.pop() == b"" and len(strings) == string_count
        self.strings = [string.decode() for string in strings]
        self.words = [(self.strings[text], self._string(slot), flags) for text, slot, flags, _ in words]
        self.intent = self._string(intent)
        self._check()

    @staticmethod
    def _rows(data, at, layout, count):
        size = struct.calcsize(layout)
        return list(struct.iter_unpack(layout, data[at : at + size * count])), at + size * count

    def _string(self, index):
        return None if index == spec.LIMITS_NONE16 else self.strings[index]

    def _check(self):
        assert self.times[0] == 0 and self.times == sorted(self.times)
        last = len(self.times) - 1
        for from_node, to_node, word, _, start_ms, _, _ in self.edges:
            assert from_node < to_node
            assert (word == spec.LIMITS_NONE16) == (to_node == last)
            if to_node != last:
                assert self.times[from_node] <= start_ms < self.times[to_node]
                assert word < len(self.words)
        assert {edge[2] for edge in self.edges} - {spec.LIMITS_NONE16} == set(range(len(self.words)))
        assert {edge[0] for edge in self.edges} == set(range(last)), "a node leads nowhere"
        assert {edge[1] for edge in self.edges} == set(range(1, last + 1)), "a node comes from nowhere"

    def paths(self):
        """Every path: (score, ((word text, start_ms, end_ms), ...), is_best)."""
        return [path[:3] for path in self.biased_paths()]

    def biased_paths(self):
        """The same, and the context's part of the score."""
        leaving = {}
        for edge, bias in zip(self.edges, self.biases, strict=True):
            leaving.setdefault(edge[0], []).append((*edge, bias))
        found = []

        def walk(node, score, words, best, gained):
            if node == len(self.times) - 1:
                found.append((score, tuple(words), best, gained))
            for _, to, word, flags, start_ms, acoustic, language, bias in leaving.get(node, ()):
                said = [] if word == spec.LIMITS_NONE16 else [(self.words[word][0], start_ms, self.times[to])]
                flagged = bool(flags & spec.EDGE_FLAGS_BEST)
                walk(to, score + acoustic + language + bias, words + said, best and flagged, gained + bias)

        walk(0, 0, [], True, 0)
        return found
