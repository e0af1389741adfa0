"""The word lattice on the host: built on the board package's own parser of the binary form."""

from __future__ import annotations

import heapq
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import stapes_spec as spec
from stapes.lattice import Lattice as BoardLattice
from stapes.lattice import LatticeError, lattice_crc, slot_values

from stapes_tools.errors import BoardError, UserError

__all__ = ["Edge", "Hypothesis", "Lattice", "Word", "parse"]

SCORE_SCALE = 1 << spec.Q_LOG_PROB_FRACTION_BITS
DOUBT_SCALE = 1 << spec.Q_DOUBT_FRACTION_BITS


@dataclass(frozen=True)
class Word:
    """One output symbol: a spoken word, the slot it fills, whether it begins that slot's value."""

    text: str
    slot: str | None = None
    begin: bool = False

    def as_board(self) -> tuple[str, str | None, int]:
        return self.text, self.slot, spec.WORD_FLAGS_SLOT_BEGIN if self.begin else 0


@dataclass(frozen=True)
class Edge:
    """One word (or none) between two nodes; scores are natural logs, raw ones Q.10."""

    from_node: int
    to_node: int
    word: int | None
    start_ms: int
    end_ms: int
    acoustic_raw: int
    language_raw: int
    best: bool = False
    bias_raw: int = 0

    @property
    def acoustic(self) -> float:
        """Natural log, exact: a multiple of 2 ** -10."""
        return self.acoustic_raw / SCORE_SCALE

    @property
    def language(self) -> float:
        """Natural log, exact: a multiple of 2 ** -10."""
        return self.language_raw / SCORE_SCALE

    @property
    def bias(self) -> float:
        """What the context gave: natural log, exact: a multiple of 2 ** -10."""
        return self.bias_raw / SCORE_SCALE

    @property
    def graph(self) -> float:
        """Language and context together, for formats that have one field for both."""
        return (self.language_raw + self.bias_raw) / SCORE_SCALE

    @property
    def score_raw(self) -> int:
        return self.acoustic_raw + self.language_raw + self.bias_raw


@dataclass(frozen=True)
class Hypothesis:
    """One path through the lattice: its words, what they mean, and its score in nats."""

    edges: tuple[Edge, ...]
    words: tuple[Word, ...]
    score: float

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def slots(self) -> dict[str, str]:
        return slot_values([word.as_board() for word in self.words])


@dataclass
class Lattice:
    """A word lattice.

    Attributes:
        nodes: time of each node in ms; topological and time order, node 0 starts, the last one ends.
        edges: see Edge.
        words: output symbols, which edges name by index.
        intent: what the best path means, or None where it was not understood.
        flags: bits of lattice_flags in firmware/spec/spec.toml.
        doubt_raw: Q.5 nats, layout.lattice's doubt.
    """

    nodes: list[int]
    edges: list[Edge]
    words: list[Word]
    intent: str | None = None
    utterance: int = 0
    revision: int = 0
    flags: int = field(default=spec.LATTICE_FLAGS_FINAL)
    doubt_raw: int = 0

    # --- what was said ---------------------------------------------------------------------

    def best_path(self) -> list[Edge]:
        """Return the edges that the search marked as best, in order; if none, the best-scored path's."""
        marked = sorted((edge for edge in self.edges if edge.best), key=lambda edge: edge.from_node)
        if marked:
            return marked
        first = next(self.hypotheses(), None)
        return list(first.edges) if first else []

    def hypothesis(self, edges: list[Edge]) -> Hypothesis:
        """Return the hypothesis that a path's edges spell."""
        words = tuple(self.words[edge.word] for edge in edges if edge.word is not None)
        return Hypothesis(tuple(edges), words, sum(edge.score_raw for edge in edges) / SCORE_SCALE)

    @property
    def best(self) -> Hypothesis:
        return self.hypothesis(self.best_path())

    @property
    def text(self) -> str:
        return self.best.text

    @property
    def slots(self) -> dict[str, str]:
        return self.best.slots

    @property
    def is_final(self) -> bool:
        return bool(self.flags & spec.LATTICE_FLAGS_FINAL)

    @property
    def is_complete(self) -> bool:
        return bool(self.flags & spec.LATTICE_FLAGS_COMPLETE)

    @property
    def is_rejected(self) -> bool:
        return bool(self.flags & spec.LATTICE_FLAGS_REJECTED)

    @property
    def doubt(self) -> float:
        """Nats per word, and one more: see stapes.lattice.Lattice.doubt."""
        return self.doubt_raw / self.doubt_shares

    @property
    def doubt_shares(self) -> int:
        """By what doubt_raw is divided: the best path's words, and one more, in Q.5."""
        return DOUBT_SCALE * (len(self.best.words) + 1)

    @property
    def has_context(self) -> bool:
        return bool(self.flags & spec.LATTICE_FLAGS_CONTEXT)

    @property
    def is_truncated(self) -> bool:
        return bool(self.flags & spec.LATTICE_FLAGS_TRUNCATED)

    # --- alternatives -----------------------------------------------------------------------

    def hypotheses(self) -> Iterator[Hypothesis]:
        """Yield every path from the first node to the last, best score first (A*, exact bound)."""
        return (self.hypothesis(list(path)) for path in self._paths(distinct=False))

    def nbest(self, count: int) -> list[Hypothesis]:
        """Return the best count hypotheses that differ in their words or tags, best first."""
        return [self.hypothesis(list(path)) for path in itertools.islice(self._paths(distinct=True), max(count, 0))]

    def _paths(self, distinct: bool) -> Iterator[tuple[Edge, ...]]:
        """Yield paths, best first; distinct: of those that spell the same only the best.

        What spells the same up to the same node is not followed twice, so that the paths without words that a
        damaged lattice may have, 2 ** nodes of them, cost nothing.
        """
        leaving = self._edges_leaving()
        rest = self._best_to_end(leaving)
        if rest[0] is None:
            return
        serial = 0
        seen: set[tuple[int, tuple[Word, ...]]] = set()
        heap: list[tuple[int, int, int, int, tuple[Edge, ...]]] = [(-rest[0], serial, 0, 0, ())]
        while heap:
            _, _, node, score, path = heapq.heappop(heap)
            if distinct:
                spelt = node, self.hypothesis(list(path)).words
                if spelt in seen:
                    continue
                seen.add(spelt)
            if node == len(self.nodes) - 1:
                yield path
                continue
            for edge in leaving[node]:
                ahead = rest[edge.to_node]
                if ahead is not None:
                    serial += 1
                    total = score + edge.score_raw
                    heapq.heappush(heap, (-(total + ahead), serial, edge.to_node, total, (*path, edge)))

    def _edges_leaving(self) -> list[list[Edge]]:
        leaving: list[list[Edge]] = [[] for _ in self.nodes]
        for edge in self.edges:
            leaving[edge.from_node].append(edge)
        return leaving

    def _best_to_end(self, leaving: list[list[Edge]]) -> list[int | None]:
        """Return, for every node, the best raw score from there to the last node; None: no path."""
        rest: list[int | None] = [None] * len(self.nodes)
        rest[-1] = 0
        for node in range(len(self.nodes) - 2, -1, -1):
            scores = [edge.score_raw + ahead for edge in leaving[node] if (ahead := rest[edge.to_node]) is not None]
            rest[node] = max(scores, default=None)
        return rest

    # --- the binary form --------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the binary form: what parse() reads and the board sends."""
        strings: dict[str, int] = {}

        def string(text: str | None) -> int:
            return spec.LIMITS_NONE16 if text is None else strings.setdefault(text, len(strings))

        intent = string(self.intent)
        body = b"".join(struct.pack(spec.LATTICE_NODE_STRUCT, time_ms) for time_ms in self.nodes)
        body += b"".join(_pack_edge(edge) for edge in self.edges)
        if self.has_context:
            body += b"".join(struct.pack(spec.LATTICE_BIAS_STRUCT, edge.bias_raw) for edge in self.edges)
        for word in self.words:
            text, slot, flags = word.as_board()
            body += struct.pack(spec.WORD_STRUCT, string(text), string(slot), flags, 0)
        body += b"".join(text.encode() + b"\0" for text in strings)
        counts = (len(self.nodes), len(self.edges), len(self.words), len(strings), intent, self.doubt_raw)
        size = spec.LATTICE_BYTES + len(body)
        fixed = (spec.MAGIC_LATTICE.encode(), spec.VERSION_LATTICE, spec.LATTICE_BYTES, 0, size)
        header = struct.pack(spec.LATTICE_STRUCT, *fixed, self.utterance, self.revision, self.flags, *counts)
        data = bytearray(header + body)
        struct.pack_into("<I", data, spec.LATTICE_CRC_OFFSET, lattice_crc(data))
        return bytes(data)


def parse(data: bytes, path: object = None) -> Lattice:
    """Read a binary lattice.

    Args:
        data: the bytes as the board sent them.
        path: where they came from, for the error message.
    Raises:
        UserError or BoardError: not a lattice, damaged, or of another version (by the spec's fault).
    """
    try:
        board = BoardLattice(data)
    except LatticeError as error:
        kind = UserError if error.fault == "user" else BoardError
        raise kind(f"{error.text} ({error.detail})", path=path, advice=error.advice) from None
    words = [Word(text, slot, bool(flags & spec.WORD_FLAGS_SLOT_BEGIN)) for text, slot, flags in board.words]
    edges = [
        Edge(e.from_node, e.to_node, e.word, e.start_ms, e.end_ms, e.acoustic, e.language, e.best, e.bias)
        for e in board.edges
    ]
    labels = (board.intent, board.utterance, board.revision, board.flags, board.doubt_raw)
    return Lattice(board.nodes, edges, words, *labels)


def _pack_edge(edge: Edge) -> bytes:
    word = spec.LIMITS_NONE16 if edge.word is None else edge.word
    flags = spec.EDGE_FLAGS_BEST if edge.best else 0
    scores = (edge.acoustic_raw, edge.language_raw)
    return struct.pack(spec.LATTICE_EDGE_STRUCT, edge.from_node, edge.to_node, word, flags, edge.start_ms, *scores)
