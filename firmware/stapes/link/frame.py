"""Frames: COBS(header, payload, CRC-32), then a zero byte. After damage the next frame is found again.

The work is the kernels' (st_frame.h). A host pads its frames with zero bytes to a whole number of blocks, so
that a board can read block by block where `readinto` of standard input waits until the buffer is full.
"""

from array import array

import stapes_spec as spec

from stapes.kernels import native

_HEADER = spec.FRAME_BYTES
_CRC = 4
_BLOCK = spec.FRAME_BLOCK_BYTES
_START = spec.FRAME_BUFFER_START
_MOST = spec.FRAME_PAYLOAD + spec.FRAME_SEAL_BYTES
_LONGEST = 1 + _HEADER + _MOST + _CRC + _MOST // 254 + 2
_BLOCKS = _LONGEST // _BLOCK + 2
_INTERRUPT = 3

_FILL = spec.FRAME_INDEX_FILL
_NEXT = spec.FRAME_INDEX_NEXT
_SCAN = spec.FRAME_INDEX_SCAN
_END = spec.FRAME_INDEX_END
_TYPE = spec.FRAME_INDEX_TYPE
_NUMBER = spec.FRAME_INDEX_NUMBER

FRAME = 1


class FrameParser:
    """Finds frames in a stream of bytes. Fill target() or room(), say received(), then take() until it returns 0.

    Attributes of the frame taken last:
        buffer: bytearray; its payload is buffer[PAYLOAD : payload_end], 4-byte aligned in it.
        state: uint32 [frame_index.count]: the frame's fields, for those in a hurry.
    """

    PAYLOAD = _START + 1 + _HEADER

    def __init__(self):
        self.buffer = bytearray(_START + _BLOCK * _BLOCKS)
        self.view = memoryview(self.buffer)
        self.state = array("I", [0] * spec.FRAME_INDEX_COUNT)
        self._blocks = [self.view[_START + _BLOCK * k : _START + _BLOCK * (k + 1)] for k in range(_BLOCKS)]
        self._whole = self.view[_START:]
        self._take = native.frame_take
        self.forget()

    def forget(self):
        """Drop everything received: another connection begins."""
        state = self.state
        for k in range(spec.FRAME_INDEX_COUNT):
            state[k] = 0
        state[_FILL] = state[_SCAN] = _START
        state[_END] = self.PAYLOAD

    @property
    def payload_end(self):
        """int: end of the payload in the buffer."""
        return self.state[_END]

    @property
    def kind(self):
        """int: type, layout.frame."""
        return self.state[_TYPE]

    @property
    def version(self):
        """int: layout.frame."""
        return self.state[spec.FRAME_INDEX_VERSION]

    @property
    def ack(self):
        """int: layout.frame."""
        return self.state[spec.FRAME_INDEX_ACK]

    @property
    def number(self):
        """int: layout.frame."""
        return self.state[spec.FRAME_INDEX_NUMBER]

    @property
    def tag(self):
        """int: layout.frame."""
        return self.state[spec.FRAME_INDEX_TAG]

    def target(self):
        """Return the buffer for the next bytes where the stream comes in blocks: up to the end of one."""
        fill = self.state[_FILL]
        offset = fill - _START
        if offset % _BLOCK == 0:
            return self._blocks[offset // _BLOCK]
        return self.view[fill : _START + (offset // _BLOCK + 1) * _BLOCK]

    def room(self):
        """Return the buffer for the next bytes, as many as may come."""
        fill = self.state[_FILL]
        return self._whole if fill == _START else self.view[fill:]

    def received(self, count):
        """Say that count bytes have been put into target() or room()."""
        self.state[_FILL] += count

    def put(self, data):
        """Take bytes of data, and return how many; take() must have returned 0."""
        fill = self.state[_FILL]
        count = min(len(data), len(self.buffer) - fill)
        self.buffer[fill : fill + count] = data[:count]
        self.state[_FILL] = fill + count
        return count

    @property
    def interrupted(self):
        """bool: what begins here is not a frame but somebody's Ctrl-C."""
        state = self.state
        return state[_FILL] > _START + 1 and self.buffer[_START + 1] == _INTERRUPT and not state[_NEXT]

    def take(self):
        """Look for the next frame.

        Returns:
            int: FRAME; 0 if none is complete; the negative of an error code if it is damaged
            (link_frame) or of another protocol version (link_version; kind and version are set).
        """
        return self._take(self.buffer, self.state)

    def spent(self):
        """Return whether nothing follows the frame taken; then its place is free, as after a take() that returned 0."""
        state = self.state
        if state[_NEXT] != state[_FILL]:
            return False
        state[_FILL] = state[_SCAN] = _START
        state[_NEXT] = 0
        return True


class FrameWriter:
    """Encodes one frame at a time into a buffer of its own.

    Args:
        padded: bool, True fills up to a whole number of blocks: a host does.

    Attributes:
        fields: uint32 [frame_index.count], the header of the next frame.
    """

    def __init__(self, padded):
        self._buffer = bytearray(_BLOCK * (_LONGEST // _BLOCK + 2))
        self._view = memoryview(self._buffer)
        self._block = _BLOCK if padded else 1
        self.fields = array("I", [0] * spec.FRAME_INDEX_COUNT)

    def seal(self, payload):
        """Return a frame as it goes over the wire: a memoryview, valid until the next call.

        Its header is in self.fields; sequence is counted up.

        Args:
            payload: buffer of at most spec.FRAME_PAYLOAD bytes.
        """
        size = native.frame_seal(self._buffer, self.fields, payload, self._block)
        if size < 0:
            raise ValueError("a payload of %d bytes" % len(payload))
        return self._view[:size]

    def encode(self, kind, number, ack, piece, ack_piece, tag, payload):
        """The same, and fill the header's fields first.

        Args:
            kind, number, ack, piece, ack_piece, tag: int, layout.frame.
            payload: see seal.
        """
        header = array("I", [number, ack, piece, ack_piece, tag])
        self.fields[_TYPE] = kind
        for k in range(len(header)):
            self.fields[_NUMBER + k] = header[k]
        return self.seal(payload)
