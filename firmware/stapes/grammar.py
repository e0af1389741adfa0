"""A compiled grammar (.stg): the graph the search runs over, and the names of its words."""

import struct
from array import array

import stapes_spec as spec

from stapes.errors import StapesError
from stapes.storage import file_bytes

_TEXT_BYTES = 32  # most words are shorter
_MAX_TEXTS = 64


class Grammar:
    """A checked command graph.

    Attributes:
        data: the file's bytes.
        units_crc: int, identifies the units it was compiled for.
        word_count: int.
    """

    def __init__(self, path, kernels):
        self.where = path if isinstance(path, str) else "grammar"
        self.data = file_bytes(path)
        info = array("i", [0] * spec.INFO_INDEX_COUNT)
        result = kernels.graph_check(self.data, info)
        if result < 0:
            raise StapesError(-result, self.where, _evidence(-result, info))
        header = struct.unpack_from(spec.GRAPH_STRUCT, self.data, 0)
        self.units_crc = header[5]
        self.word_count = header[8]
        self._words = header[15]
        self._strings = header[16]
        self._texts = {}  # of the words that were asked for last: reading one takes a board a millisecond

    def string(self, index):
        """Return string index of the file's table."""
        (begin,) = struct.unpack_from("<I", self.data, self._strings + 4 * index)
        size, length = _TEXT_BYTES, -1
        while length < 0:
            length = bytes(self.data[begin : begin + size]).find(b"\0")
            size *= 2
        return str(bytes(self.data[begin : begin + length]), "utf-8")

    def strings_of(self, texts):
        """Return text -> string index, for those of some texts that are words of the grammar.

        Args:
            texts: set of str.
        """
        found = {}
        for index in range(self.word_count):
            (string,) = struct.unpack_from("<H", self.data, self._words + spec.WORD_BYTES * index)
            if string not in found.values():
                text = self.string(string)
                if text in texts:
                    found[text] = string
        return found

    def word_text(self, index):
        """Return the spoken text of word index."""
        text = self._texts.get(index)
        if text is None:
            if len(self._texts) == _MAX_TEXTS:
                self._texts.clear()
            (string,) = struct.unpack_from("<H", self.data, self._words + spec.WORD_BYTES * index)
            text = self._texts[index] = self.string(string)
        return text


def _evidence(code, info):
    return "version %d" % info[spec.INFO_INDEX_DETAIL] if code == spec.ERROR_GRAPH_VERSION else ""
