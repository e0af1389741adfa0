"""The compiled command graph (.stg): layout.graph in firmware/spec/spec.toml, written and read."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import stapes_spec as spec

from stapes_tools.errors import BoardError, UserError
from stapes_tools.grammar.grammar import Tagged
from stapes_tools.grammar.units import UNITS, units_crc

NONE16 = spec.LIMITS_NONE16
MAX_STATES = 65535
_MAX_INDEX = NONE16 - 1


@dataclass(frozen=True)
class Arc:
    """One unit; word (index into the graph's words) is set on a word's last unit; weight is Q.10 nats, <= 0."""

    unit: int
    word: int | None
    weight: int
    next_state: int


@dataclass(frozen=True)
class Graph:
    """A command graph.

    Attributes:
        arcs: the arcs that leave each state.
        finals: intent of a sentence that may end in a state, or None, per state.
        words: output symbols.
        start: the start state.
        units_crc: CRC-32 of the units block of the model it is for.
    """

    arcs: list[list[Arc]]
    finals: list[str | None]
    words: list[Tagged]
    start: int = 0
    units_crc: int = units_crc()

    @property
    def arc_count(self) -> int:
        return sum(map(len, self.arcs))

    @property
    def intents(self) -> list[str]:
        return sorted({intent for intent in self.finals if intent is not None})

    def to_bytes(self) -> bytes:
        """Return the file's bytes. Raises UserError (graph_size) where an index does not fit."""
        strings = _string_table(self)
        self._check_size(len(strings))
        sections = [
            self._first_arcs(),
            _pad4(_pack("H", [_index(strings, intent) for intent in self.finals])),
            b"".join(self._pack_arcs()),
            b"".join(self._pack_words(strings)),
        ]
        offsets = [spec.GRAPH_BYTES]
        for section in sections:
            offsets.append(offsets[-1] + len(section))
        sections.append(_pack_strings(list(strings), offsets[-1]))
        body = b"".join(sections)
        counts = (len(self.arcs), self.arc_count, len(self.words), len(strings), self.start, 0)
        fixed = (spec.MAGIC_GRAPH.encode(), spec.VERSION_GRAPH, spec.GRAPH_BYTES, 0, spec.GRAPH_BYTES + len(body))
        data = bytearray(struct.pack(spec.GRAPH_STRUCT, *fixed, self.units_crc, *counts, *offsets) + body)
        struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, graph_crc(data))
        return bytes(data)

    def _check_size(self, string_count: int) -> None:
        for count, limit, name in (
            (len(self.arcs), MAX_STATES, "states"),
            (len(self.words), _MAX_INDEX, "words"),
            (string_count, _MAX_INDEX, "strings"),
        ):
            if count > limit:
                _, _, text, advice = spec.ERRORS[spec.ERROR_GRAPH_SIZE]
                raise UserError(f"{text}: {count} {name}, at most {limit}", advice=advice)

    def _first_arcs(self) -> bytes:
        firsts = [0]
        for leaving in self.arcs:
            firsts.append(firsts[-1] + len(leaving))
        return _pack("I", firsts)

    def _pack_arcs(self) -> Iterator[bytes]:
        for leaving in self.arcs:
            for arc in leaving:
                word = NONE16 if arc.word is None else arc.word
                yield struct.pack(spec.GRAPH_ARC_STRUCT, arc.next_state, word, arc.weight, arc.unit, 0)

    def _pack_words(self, strings: dict[str, int]) -> Iterator[bytes]:
        for word in self.words:
            flags = spec.WORD_FLAGS_SLOT_BEGIN if word.begin else 0
            yield struct.pack(spec.WORD_STRUCT, strings[word.text], _index(strings, word.slot or None), flags, 0)


def parse_graph(data: bytes, path: object = None) -> Graph:
    """Read a compiled grammar.

    Raises:
        UserError: not a graph, damaged, of another version, or an index out of range.
    """
    return _GraphReader(data, path).read()


def graph_crc(data: bytes | bytearray) -> int:
    """CRC-32 of a whole graph, its own checksum field taken as zero."""
    field = spec.GRAPH_CRC_OFFSET
    return zlib.crc32(data[field + 4 :], zlib.crc32(bytes(4), zlib.crc32(data[:field])))


class _GraphReader:
    def __init__(self, data: bytes, path: object):
        self._data = data
        self._path = path

    def read(self) -> Graph:
        header = self._header()
        units, state_count, arc_count, word_count, string_count, start = header[5:11]
        states_at, finals_at, arcs_at, words_at, strings_at = header[12:17]
        firsts = self._table("I", states_at, state_count + 1)
        finals = self._table("H", finals_at, state_count)
        strings = self._strings(strings_at, string_count)
        words = [self._word(fields, strings) for fields in self._records(spec.WORD_STRUCT, words_at, word_count)]
        arcs = [self._arc(f, state_count, word_count) for f in self._records(spec.GRAPH_ARC_STRUCT, arcs_at, arc_count)]
        if not state_count or start >= state_count:
            self._damaged(f"start state {start} of {state_count}")
        if firsts[0] != 0 or firsts[-1] != arc_count or any(a > b for a, b in itertools.pairwise(firsts)):
            self._damaged("the table of first arcs is not in order")
        leaving = [arcs[first:last] for first, last in itertools.pairwise(firsts)]
        intents = [self._string(strings, intent) for intent in finals]
        return Graph(leaving, intents, words, start, units)

    def _fail(self, code: int, detail: str) -> NoReturn:
        _, fault, text, advice = spec.ERRORS[code]
        kind = UserError if fault == "user" else BoardError
        raise kind(f"{text} ({detail})", path=self._path, advice=advice)

    def _damaged(self, detail: str) -> NoReturn:
        self._fail(spec.ERROR_GRAPH_TRUNCATED, detail)

    def _header(self) -> tuple:
        data = self._data
        if data[:4] != spec.MAGIC_GRAPH.encode():
            self._fail(spec.ERROR_GRAPH_MAGIC, f"it starts with {bytes(data[:4])!r}")
        if len(data) < spec.GRAPH_BYTES:
            self._damaged(f"{len(data)} bytes")
        header = struct.unpack_from(spec.GRAPH_STRUCT, data)
        if header[1] != spec.VERSION_GRAPH:
            self._fail(spec.ERROR_GRAPH_VERSION, f"version {header[1]}")
        if header[4] > len(data) or header[4] < spec.GRAPH_BYTES:
            self._damaged(f"{len(data)} of {header[4]} bytes")
        self._data = data[: header[4]]
        if graph_crc(self._data) != header[3]:
            self._fail(spec.ERROR_GRAPH_CRC, f"CRC-32 is not {header[3]:08x}")
        return header

    def _records(self, layout: str, offset: int, count: int) -> list[tuple]:
        size = struct.calcsize(layout)
        if offset % 4 or offset + count * size > len(self._data):
            self._damaged(f"a table of {count} entries at byte {offset}")
        return list(struct.iter_unpack(layout, self._data[offset : offset + count * size]))

    def _table(self, code: str, offset: int, count: int) -> list[int]:
        return [fields[0] for fields in self._records("<" + code, offset, count)]

    def _strings(self, offset: int, count: int) -> list[str]:
        strings = []
        left = len(self._data)  # the bytes of all of them: strings that overlap could fill the memory
        for at in self._table("I", offset, count):
            end = self._data.find(b"\0", at)
            left -= end - at
            if at < offset + 4 * count or end < 0 or left < 0:
                self._damaged(f"a string at byte {at}")
            try:
                strings.append(self._data[at:end].decode())
            except UnicodeDecodeError:
                self._damaged(f"the string at byte {at} is not UTF-8")
        return strings

    def _string(self, strings: list[str], index: int) -> str | None:
        if index == NONE16:
            return None
        if index >= len(strings):
            self._damaged(f"string {index} of {len(strings)}")
        return strings[index]

    def _word(self, fields: tuple, strings: list[str]) -> Tagged:
        text = self._string(strings, fields[0])
        if text is None:
            self._damaged("a word has no text")
        return Tagged(text, self._string(strings, fields[1]) or "", bool(fields[2] & spec.WORD_FLAGS_SLOT_BEGIN))

    def _arc(self, fields: tuple, state_count: int, word_count: int) -> Arc:
        next_state, word, weight, unit, _ = fields
        if next_state >= state_count or (word != NONE16 and word >= word_count) or weight > 0 or not unit:
            self._damaged(f"an arc to state {next_state} with word {word}, unit {unit}, weight {weight}")
        return Arc(unit, None if word == NONE16 else word, weight, next_state)


def describe(data: bytes, path: object = None) -> dict[str, object]:
    """Return the figures of a compiled grammar: sizes, intents, slots, and what a board must keep."""
    graph = parse_graph(data, path)
    return {
        "bytes": len(data),
        "states": len(graph.arcs),
        "arcs": graph.arc_count,
        "words": len(graph.words),
        "vocabulary": len({word.text for word in graph.words}),
        "most_arcs_per_state": max(map(len, graph.arcs)),
        "intents": graph.intents,
        "slots": sorted({word.slot for word in graph.words} - {""}),
        "units_crc": f"{graph.units_crc:08x}",
    }


def to_dot(graph: Graph) -> str:
    """Draw a graph in Graphviz's language: phones, with words and natural-log weights where words end."""
    lines = ["digraph grammar {", "  rankdir=LR; node [shape=circle, fontsize=10]; edge [fontsize=10];"]
    for state, intent in enumerate(graph.finals):
        if intent is not None:
            lines.append(f"  {state} [shape=doublecircle, xlabel={_quote(intent)}];")
    for state, leaving in enumerate(graph.arcs):
        lines += [f"  {state} -> {arc.next_state} [label={_quote(_arc_label(graph, arc))}];" for arc in leaving]
    return "\n".join([*lines, "}", ""])


def _arc_label(graph: Graph, arc: Arc) -> str:
    unit = UNITS[arc.unit] if arc.unit < len(UNITS) and graph.units_crc == units_crc() else str(arc.unit)
    if arc.word is None:
        return unit
    word = graph.words[arc.word]
    slot = f" ${word.slot}" if word.slot else ""
    return f"{unit}: {word.text}{slot} {arc.weight / (1 << spec.Q_LOG_PROB_FRACTION_BITS):.2f}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _string_table(graph: Graph) -> dict[str, int]:
    found = {intent for intent in graph.finals if intent is not None}
    for word in graph.words:
        found |= {word.text, word.slot} if word.slot else {word.text}
    return {text: index for index, text in enumerate(sorted(found))}


def _index(strings: dict[str, int], text: str | None) -> int:
    return NONE16 if text is None else strings[text]


def _pack(code: str, values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}{code}", *values)


def _pad4(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _pack_strings(strings: list[str], at: int) -> bytes:
    """Return the offsets (from the file's start) and the NUL-terminated strings, to stand at byte at."""
    encoded = [text.encode() + b"\0" for text in strings]
    offsets, offset = [], at + 4 * len(encoded)
    for text in encoded:
        offsets.append(offset)
        offset += len(text)
    return _pack("I", offsets) + b"".join(encoded)
