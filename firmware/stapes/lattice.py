"""Reads the binary word lattice that the search writes: layout.lattice in firmware/spec/spec.toml.

Runs on MicroPython and CPython. The parser keeps the bytes and decodes on demand: on a board,
best_path(), text, intent and slots allocate little; nodes, edges and words build whole lists.
"""

import binascii
import struct

import stapes_spec as spec

from stapes.errors import StapesError

_NONE16 = spec.LIMITS_NONE16
# The search takes no more steps: a later time is damage, and would make a picture of it endless.
_MAX_TIME_MS = spec.LIMITS_SEARCH_STEPS * spec.FRONTEND_STEP_MS


class LatticeError(StapesError):
    """The bytes are no lattice of ours; code is one of stapes_spec.ERROR_LATTICE_..."""

    def __init__(self, code, detail):
        super().__init__(code, "lattice", detail)


class Edge:
    """One word, or none, between two nodes.

    Attributes:
        from_node, to_node: node indices.
        word: index into the lattice's words; None where the edge carries none.
        start_ms, end_ms: when the word was spoken, from the start of the recording.
        acoustic, language, bias: Q.10 natural-log scores; the larger, the better. bias is the context's.
        best: whether the edge is on the best path.
    """

    def __init__(self, fields, end_ms, bias=0):
        self.from_node, self.to_node, word, flags, self.start_ms, self.acoustic, self.language = fields
        self.word = None if word == _NONE16 else word
        self.best = bool(flags & spec.EDGE_FLAGS_BEST)
        self.end_ms = end_ms
        self.bias = bias


class Lattice:
    """A checked lattice.

    Args:
        data: bytes, bytearray or memoryview; may be longer than the lattice. It is kept, not
            copied: do not overwrite it while the lattice is in use.
        checked: bool, the search has just written these bytes: their rows are not held against each other again,
            which takes a board longer than a step of audio lasts.
    Raises:
        LatticeError: wrong magic, version, length, checksum, or a field out of range.
    """

    def __init__(self, data, checked=False):
        self._data = memoryview(data)
        self._words_spoken = None
        header = self._read_header()
        self.utterance, self.revision, self.flags = header[5:8]
        self.node_count, self.edge_count, self.word_count, self._string_count, intent, self.doubt_raw = header[8:14]
        self._nodes_at = header[2]
        self._edges_at = self._nodes_at + self.node_count * spec.LATTICE_NODE_BYTES
        self._biases_at = self._edges_at + self.edge_count * spec.LATTICE_EDGE_BYTES
        self._words_at = self._biases_at + (self.edge_count * spec.LATTICE_BIAS_BYTES if self.has_context else 0)
        self._strings = self._read_strings(self._words_at + self.word_count * spec.WORD_BYTES)
        self.intent = self._string(intent)
        if checked:
            self._best = self._find_best()
        else:
            self._check_nodes()
            self._check_words()
            self._best = self._check_edges()

    @property
    def data(self):
        """The lattice's bytes, as a memoryview."""
        return self._data

    # --- what was said and what it means -------------------------------------------------

    def best_path(self):
        """Return the edges of the best path in order, as a list of Edge."""
        return [self.edge(index) for index in self._best]

    def best_words(self):
        """Return the words of the best path as (text, slot or None, flags)."""
        return [self.word(edge.word) for edge in self.best_path() if edge.word is not None]

    @property
    def text(self):
        """The best path's words, joined by spaces."""
        return str(b" ".join([text for text, _, _ in self._spoken()]), "utf-8")

    @property
    def slots(self):
        """Slot name -> value on the best path."""
        values = slot_values(self._spoken(), b" ")
        return {self._string(slot): str(values[slot], "utf-8") for slot in values}

    @property
    def meaning(self):
        """(str or None, dict): intent and slots; (None, {}) where the best path is no whole sentence, or rejected."""
        if self.intent is None or not self.is_complete:
            return None, {}
        return self.intent, self.slots

    @property
    def is_final(self):
        """False while the end-pointer only guesses that the speaker has finished."""
        return bool(self.flags & spec.LATTICE_FLAGS_FINAL)

    @property
    def is_complete(self):
        """Whether the best path is a whole sentence of the grammar."""
        return bool(self.flags & spec.LATTICE_FLAGS_COMPLETE)

    @property
    def is_rejected(self):
        """Whether the best path is a whole sentence, but nobody seems to have meant it: see doubt."""
        return bool(self.flags & spec.LATTICE_FLAGS_REJECTED)

    @property
    def doubt(self):
        """float: nats per word, and one more, by which a free loop of the model's units beats the best path's words.

        The larger, the less does the sound resemble what the grammar found in it; Recognizer.rejection is held against
        it. From multiples of 1/32 nat; 2048 nats for the whole path, and more, count as 2048.
        """
        return self.doubt_raw / ((len(self._best_word_indices()) + 1) << spec.Q_DOUBT_FRACTION_BITS)

    @property
    def has_context(self):
        """Whether there were phrases that were likely then: see Edge.bias."""
        return bool(self.flags & spec.LATTICE_FLAGS_CONTEXT)

    @property
    def is_truncated(self):
        """Whether a table was full, so that some alternatives are missing."""
        return bool(self.flags & spec.LATTICE_FLAGS_TRUNCATED)

    def _spoken(self):
        """Words of the best path as (bytes, slot's string or None, flags): making str takes MicroPython long."""
        if self._words_spoken is None:
            fields = [self._word_fields(word) for word in self._best_word_indices()]
            self._words_spoken = [
                (self._strings[text], None if slot == _NONE16 else slot, flags) for text, slot, flags, _ in fields
            ]
        return self._words_spoken

    def _best_word_indices(self):
        data, at, step = self._data, self._edges_at + spec.LATTICE_EDGE_WORD_OFFSET, spec.LATTICE_EDGE_BYTES
        found = [data[at + k * step] | data[at + k * step + 1] << 8 for k in self._best]
        return [word for word in found if word != _NONE16]

    # --- the tables ----------------------------------------------------------------------

    @property
    def nodes(self):
        """Node times in ms, in topological order."""
        return [self.node_time_ms(index) for index in range(self.node_count)]

    @property
    def edges(self):
        """Every Edge, in file order."""
        return [self.edge(index) for index in range(self.edge_count)]

    @property
    def words(self):
        """Every word as (text, slot or None, flags)."""
        return [self.word(index) for index in range(self.word_count)]

    def node_time_ms(self, index):
        return struct.unpack_from(
            spec.LATTICE_NODE_STRUCT, self._data, self._nodes_at + index * spec.LATTICE_NODE_BYTES
        )[0]

    def edge(self, index):
        fields = self._edge_fields(index)
        return Edge(fields, self.node_time_ms(fields[1]), self._bias(index))

    def _bias(self, index):
        if not self.has_context:
            return 0
        return struct.unpack_from(
            spec.LATTICE_BIAS_STRUCT, self._data, self._biases_at + index * spec.LATTICE_BIAS_BYTES
        )[0]

    def word(self, index):
        text, slot, flags, _ = self._word_fields(index)
        return self._string(text), self._string(slot), flags

    # --- reading and checking --------------------------------------------------------------

    def _read_header(self):
        data = self._data
        if len(data) < 4 or bytes(data[:4]) != spec.MAGIC_LATTICE.encode():
            raise LatticeError(spec.ERROR_LATTICE_MAGIC, "it starts with {}".format(bytes(data[:4])))
        if len(data) < spec.LATTICE_BYTES:
            raise LatticeError(spec.ERROR_LATTICE_TRUNCATED, "{} bytes".format(len(data)))
        header = struct.unpack_from(spec.LATTICE_STRUCT, data, 0)
        if header[1] != spec.VERSION_LATTICE:
            raise LatticeError(spec.ERROR_LATTICE_VERSION, "version {}".format(header[1]))
        header_bytes, total = header[2], header[4]
        if header_bytes < spec.LATTICE_BYTES or header_bytes % 4 or header_bytes > total:
            raise _damaged("a header of {} bytes".format(header_bytes))
        if total > len(data):
            raise LatticeError(spec.ERROR_LATTICE_TRUNCATED, "{} of {} bytes".format(len(data), total))
        self._data = data[:total]
        if lattice_crc(self._data) != header[3]:
            raise LatticeError(spec.ERROR_LATTICE_CRC, "CRC-32 is not {:08x}".format(header[3]))
        return header

    def _read_strings(self, start):
        """Return the string table: after it only the padding of one word may follow."""
        if start > len(self._data):
            raise _damaged("tables of {} bytes in a lattice of {}".format(start, len(self._data)))
        strings = bytes(self._data[start:]).split(b"\0")
        rest = strings[self._string_count :]
        if len(rest) == 0 or len(rest) > 4 or any(rest):
            raise _damaged("not {} strings".format(self._string_count))
        return strings[: self._string_count]

    def _string(self, index):
        if index == _NONE16:
            return None
        if index >= self._string_count:
            raise _damaged("string {} of {}".format(index, self._string_count))
        try:
            return str(self._strings[index], "utf-8")
        except ValueError:  # UnicodeError on both interpreters
            raise _damaged("string {} is not UTF-8".format(index))

    def _word_fields(self, index):
        return struct.unpack_from(spec.WORD_STRUCT, self._data, self._words_at + index * spec.WORD_BYTES)

    def _edge_fields(self, index):
        return struct.unpack_from(
            spec.LATTICE_EDGE_STRUCT, self._data, self._edges_at + index * spec.LATTICE_EDGE_BYTES
        )

    def _check_nodes(self):
        if self.node_count == 0:
            raise _damaged("no nodes")
        last = 0
        for index in range(self.node_count):
            time_ms = self.node_time_ms(index)
            if time_ms < last:
                raise _damaged("node {} is earlier than the one before".format(index))
            last = time_ms
        if last > _MAX_TIME_MS:
            raise _damaged("a node at {} ms".format(last))

    def _check_words(self):
        for index in range(self.word_count):
            if self.word(index)[0] is None:
                raise _damaged("word {} has no text".format(index))

    def _find_best(self):
        """Return the indices of the best path's edges: in the search's own order, which is that of the path."""
        data, at, step = self._data, self._edges_at + spec.LATTICE_EDGE_FLAGS_OFFSET, spec.LATTICE_EDGE_BYTES
        return [k for k in range(self.edge_count) if data[at + k * step] & spec.EDGE_FLAGS_BEST]

    def _check_edges(self):
        """Return the indices of the best path's edges, in path order."""
        best = []
        for index in range(self.edge_count):
            from_node, to_node, word, flags, start_ms, _, _ = self._edge_fields(index)
            if from_node >= to_node or to_node >= self.node_count:
                raise _damaged("edge {} from node {} to node {}".format(index, from_node, to_node))
            if word != _NONE16 and word >= self.word_count:
                raise _damaged("edge {} has word {} of {}".format(index, word, self.word_count))
            if start_ms > self.node_time_ms(to_node):
                raise _damaged("edge {} ends before it starts".format(index))
            if flags & spec.EDGE_FLAGS_BEST:
                best.append((from_node, to_node, index))
        best.sort()
        at = 0
        for from_node, to_node, _ in best:
            if from_node != at:
                raise _damaged("the best path breaks at node {}".format(at))
            at = to_node
        return [index for _, _, index in best]


def slot_values(words, space=" "):
    """Collect slot values from tagged words.

    Args:
        words: (text, slot or None, flags) in spoken order. Consecutive words of one slot make one
            value; the slot_begin flag starts a new one.
        space: str or bytes, as the texts are.
    Returns:
        dict: slot name -> words joined by spaces; a slot filled twice keeps the last value.
    """
    values = {}
    open_slot = None
    for text, slot, flags in words:
        if slot is not None:
            if slot == open_slot and not flags & spec.WORD_FLAGS_SLOT_BEGIN:
                values[slot] += space + text
            else:
                values[slot] = text
        open_slot = slot
    return values


def lattice_crc(data):
    """CRC-32 of a whole lattice, its own checksum field taken as zero."""
    field = spec.LATTICE_CRC_OFFSET
    crc = binascii.crc32(data[:field])
    crc = binascii.crc32(b"\0\0\0\0", crc)
    return binascii.crc32(data[field + 4 :], crc) & 0xFFFFFFFF


def _damaged(detail):
    return LatticeError(spec.ERROR_LATTICE_TRUNCATED, detail)
