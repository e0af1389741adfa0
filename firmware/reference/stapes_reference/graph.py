"""The compiled command graph: the twin of st_graph.c, which describes the file."""

import binascii
import struct

import stapes_spec as spec

from .buffers import byte_length, write

NONE = spec.LIMITS_NONE16
MAX_STATES = 65535


class GraphError(Exception):
    """A refused graph; code is positive, offset is the byte that is wrong."""

    def __init__(self, code, offset):
        super().__init__(code, offset)
        self.code = code
        self.offset = offset


class Graph:
    """A graph's tables as Python lists. Raises GraphError; contents=False checks the header only."""

    def __init__(self, data, contents=True):
        data = bytes(data)
        self._open(data)
        if contents:
            self._check_crc()
            self._check_states()
            self._check_arcs()
            self._check_words()
            self._check_strings()

    def _open(self, data):
        if len(data) < spec.GRAPH_BYTES:
            raise GraphError(spec.ERROR_GRAPH_TRUNCATED, len(data))
        fields = struct.unpack_from(spec.GRAPH_STRUCT, data, 0)
        magic, version, header_bytes, self.crc, file_bytes, self.units_crc = fields[:6]
        self.state_count, self.arc_count, self.word_count, self.string_count, self.start_state, _ = fields[6:12]
        self.offsets = fields[12:]
        if magic != spec.MAGIC_GRAPH.encode():
            raise GraphError(spec.ERROR_GRAPH_MAGIC, 0)
        if version != spec.VERSION_GRAPH:
            raise GraphError(spec.ERROR_GRAPH_VERSION, spec.GRAPH_VERSION_OFFSET)
        if not spec.GRAPH_BYTES <= file_bytes <= len(data):
            raise GraphError(spec.ERROR_GRAPH_TRUNCATED, spec.GRAPH_FILE_BYTES_OFFSET)
        if not spec.GRAPH_BYTES <= header_bytes <= file_bytes:
            raise GraphError(spec.ERROR_GRAPH_TRUNCATED, spec.GRAPH_HEADER_BYTES_OFFSET)
        self.data = data[:file_bytes]
        self._check_tables(header_bytes)

    def _check_tables(self, header_bytes):
        if self.state_count > MAX_STATES:
            raise GraphError(spec.ERROR_GRAPH_SIZE, spec.GRAPH_STATE_COUNT_OFFSET)
        if self.start_state >= self.state_count:
            raise GraphError(spec.ERROR_GRAPH_TRUNCATED, spec.GRAPH_START_STATE_OFFSET)
        needs = (
            (spec.GRAPH_STATES_OFFSET_OFFSET, 4 * (self.state_count + 1)),
            (spec.GRAPH_FINALS_OFFSET_OFFSET, 2 * self.state_count),
            (spec.GRAPH_ARCS_OFFSET_OFFSET, spec.GRAPH_ARC_BYTES * self.arc_count),
            (spec.GRAPH_WORDS_OFFSET_OFFSET, spec.WORD_BYTES * self.word_count),
            (spec.GRAPH_STRINGS_OFFSET_OFFSET, 4 * self.string_count),
        )
        for (field, size), offset in zip(needs, self.offsets):
            if offset % 4 or offset < header_bytes or offset + size > len(self.data):
                raise GraphError(spec.ERROR_GRAPH_TRUNCATED, field)
        self._read_tables()

    def _read_tables(self):
        states, finals, arcs, words, strings = self.offsets
        self.first_arc = struct.unpack_from("<%dI" % (self.state_count + 1), self.data, states)
        self.finals = struct.unpack_from("<%dH" % self.state_count, self.data, finals)
        self.arcs = [
            struct.unpack_from(spec.GRAPH_ARC_STRUCT, self.data, arcs + spec.GRAPH_ARC_BYTES * a)
            for a in range(self.arc_count)
        ]
        self.words = [
            struct.unpack_from(spec.WORD_STRUCT, self.data, words + spec.WORD_BYTES * w) for w in range(self.word_count)
        ]
        self.string_offsets = struct.unpack_from("<%dI" % self.string_count, self.data, strings)

    def _damaged(self, table, record_bytes, index):
        raise GraphError(spec.ERROR_GRAPH_TRUNCATED, self.offsets[table] + record_bytes * index)

    def _optional_string_ok(self, index):
        return index == NONE or index < self.string_count

    def _check_crc(self):
        at = spec.GRAPH_CRC_OFFSET
        crc = binascii.crc32(self.data[:at] + bytes(4) + self.data[at + 4 :]) & 0xFFFFFFFF
        if crc != self.crc:
            raise GraphError(spec.ERROR_GRAPH_CRC, at)

    def _check_states(self):
        previous = 0
        for s, first in enumerate(self.first_arc):
            if first < previous or (s == 0 and first) or (s == self.state_count and first != self.arc_count):
                self._damaged(0, 4, s)
            previous = first
        for s, intent in enumerate(self.finals):
            if not self._optional_string_ok(intent):
                self._damaged(1, 2, s)

    def _check_arcs(self):
        for a, (next_state, word, weight, unit, _) in enumerate(self.arcs):
            word_ok = word == NONE or word < self.word_count
            unit_ok = unit != spec.MODEL_BLANK_UNIT and unit < spec.MODEL_MAX_UNITS
            if next_state >= self.state_count or not word_ok or weight > 0 or not unit_ok:
                self._damaged(2, spec.GRAPH_ARC_BYTES, a)

    def _check_words(self):
        for w, (text, slot, _, _) in enumerate(self.words):
            if text >= self.string_count or not self._optional_string_ok(slot):
                self._damaged(3, spec.WORD_BYTES, w)

    def _check_strings(self):
        low = self.offsets[4] + 4 * self.string_count
        if self.string_count and self.data[-1]:
            raise GraphError(spec.ERROR_GRAPH_TRUNCATED, len(self.data) - 1)
        for i, offset in enumerate(self.string_offsets):
            if not low <= offset < len(self.data):
                self._damaged(4, 4, i)

    def arcs_of(self, state):
        """Return the arcs leaving a state: (next_state, word, weight, unit, reserved)."""
        return self.arcs[self.first_arc[state] : self.first_arc[state + 1]]

    def string(self, index):
        """Return a string's bytes with its NUL."""
        start = self.string_offsets[index]
        return self.data[start : self.data.find(b"\0", start) + 1]

    def max_unit(self):
        """Return the largest unit on any arc, 0 without arcs."""
        return max([arc[3] for arc in self.arcs] + [0])


def graph_check(graph, info):
    """Return 0, or what is wrong with a graph: see docs/kernels_api.md."""
    if byte_length(info) < 4 * spec.INFO_INDEX_COUNT:
        return -spec.ERROR_ARGUMENT
    try:
        Graph(graph)
    except GraphError as error:
        values = [0] * spec.INFO_INDEX_COUNT
        values[spec.INFO_INDEX_DETAIL] = error.offset
        write(info, "i", values)
        return -error.code
    return 0
