"""Frames: COBS(header, payload, CRC-32), then a zero byte. After damage the next frame is found again.

A host pads its frames with zero bytes to a whole number of blocks, so that a board can read block
by block; on most boards `readinto` of standard input waits until the buffer is full.
"""

import binascii
import struct

import stapes_spec as spec

from stapes import cobs

_HEADER = spec.FRAME_BYTES
_CRC = 4
_BLOCK = spec.FRAME_BLOCK_BYTES
_START = 3  # of the code byte: puts the payload on a multiple of 4
_LONGEST = 1 + _HEADER + spec.FRAME_PAYLOAD + _CRC + spec.FRAME_PAYLOAD // 254 + 2
_BLOCKS = _LONGEST // _BLOCK + 2
_INTERRUPT = 3

FRAME = 1


class FrameParser:
    """Finds frames in a stream of bytes. Fill target(), say received(), then take() until it returns 0.

    Attributes of the frame taken last:
        buffer: bytearray; its payload is buffer[PAYLOAD : payload_end], 4-byte aligned in it.
        kind, version, sequence, number, ack, piece, ack_piece, tag: int, layout.frame.
    """

    PAYLOAD = _START + 1 + _HEADER

    def __init__(self):
        self.buffer = bytearray(_START + _BLOCK * _BLOCKS)
        self.view = memoryview(self.buffer)
        self._blocks = [self.view[_START + _BLOCK * k : _START + _BLOCK * (k + 1)] for k in range(_BLOCKS)]
        self.forget()

    def forget(self):
        """Drop everything received: another connection begins."""
        self.payload_end = self.PAYLOAD
        self.kind = self.version = self.sequence = self.number = 0
        self.ack = self.piece = self.ack_piece = self.tag = 0
        self._fill = self._scan = _START
        self._next = 0  # where what follows the frame taken begins
        self._lost = False

    def target(self):
        """Return the buffer for the next bytes: a whole block where the stream comes in blocks."""
        offset = self._fill - _START
        if offset % _BLOCK == 0 and offset < _BLOCK * _BLOCKS:
            return self._blocks[offset // _BLOCK]
        return self.view[self._fill : _START + (offset // _BLOCK + 1) * _BLOCK]

    def received(self, count):
        """Say that count bytes have been put into target()."""
        self._fill += count

    def put(self, data):
        """Take bytes of data, and return how many; take() must have returned 0."""
        count = min(len(data), len(self.buffer) - self._fill)
        self.buffer[self._fill : self._fill + count] = data[:count]
        self._fill += count
        return count

    @property
    def interrupted(self):
        """bool: what begins here is not a frame but somebody's Ctrl-C."""
        return self._fill > _START + 1 and self.buffer[_START + 1] == _INTERRUPT and not self._next

    def take(self):
        """Look for the next frame.

        Returns:
            int: FRAME; 0 if none is complete; the negative of an error code if it is damaged
            (link_frame) or of another protocol version (link_version; kind and version are set).
        """
        self._drop()
        zero = self.buffer.find(b"\0", self._scan, self._fill)
        if zero < 0:
            if self._fill + _BLOCK > len(self.buffer):
                self._lost = True
                self._fill = _START
            self._scan = self._fill
            return 0
        self._next = zero + 1
        if self._lost:
            self._lost = False
            return -spec.ERROR_LINK_FRAME
        return self._open(zero)

    def _drop(self):
        """Move what follows the last frame, and the zeros behind it, to the begin."""
        buffer, fill = self.buffer, self._fill
        at = self._next or _START
        while at < fill and buffer[at] == 0:
            at += 1
        if at > _START:
            count = fill - at
            if count:
                buffer[_START : _START + count] = buffer[at:fill]
            self._fill = _START + count
            self._scan = _START
        self._next = 0

    def _open(self, zero):
        """Check the frame in buffer[_START:zero]."""
        end = cobs.decode(self.buffer, _START, zero) - _CRC
        if end < self.PAYLOAD:
            if end >= _START + 3 and self._crc_fits(end):
                return self._stranger()
            return -spec.ERROR_LINK_FRAME
        if not self._crc_fits(end):
            return -spec.ERROR_LINK_FRAME
        if self.buffer[_START + 2] != spec.VERSION_PROTOCOL:
            return self._stranger()
        self.payload_end = end
        fields = struct.unpack_from(spec.FRAME_STRUCT, self.buffer, _START + 1)
        self.kind, self.version, self.sequence, self.number, self.ack, self.piece, self.ack_piece, self.tag = fields
        return FRAME

    def _crc_fits(self, end):
        (crc,) = struct.unpack_from("<I", self.buffer, end)
        return binascii.crc32(self.view[_START + 1 : end]) & 0xFFFFFFFF == crc

    def _stranger(self):
        self.kind, self.version = self.buffer[_START + 1], self.buffer[_START + 2]
        return -(spec.ERROR_LINK_VERSION if self.version != spec.VERSION_PROTOCOL else spec.ERROR_LINK_FRAME)


class FrameWriter:
    """Encodes one frame at a time into a buffer of its own.

    Args:
        padded: bool, True fills up to a whole number of blocks: a host does.
    """

    def __init__(self, padded):
        self._buffer = bytearray(_BLOCK * (_LONGEST // _BLOCK + 2))
        self._view = memoryview(self._buffer)
        self._padded = padded
        self._sequence = 0

    def encode(self, kind, number, ack, piece, ack_piece, tag, payload):
        """Return a frame as it goes over the wire: a memoryview, valid until the next call.

        Args:
            kind, number, ack, piece, ack_piece, tag: int, layout.frame.
            payload: buffer of at most spec.FRAME_PAYLOAD bytes.
        """
        buffer = self._buffer
        struct.pack_into(
            spec.FRAME_STRUCT,
            buffer,
            1,
            kind,
            spec.VERSION_PROTOCOL,
            self._sequence,
            number,
            ack,
            piece,
            ack_piece,
            tag,
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        end = 1 + _HEADER + len(payload)
        self._view[1 + _HEADER : end] = payload
        struct.pack_into("<I", buffer, end, binascii.crc32(self._view[1:end]) & 0xFFFFFFFF)
        end = cobs.encode(buffer, 0, end + _CRC)
        buffer[end] = 0
        end += 1
        if self._padded:
            while end % _BLOCK:
                buffer[end] = 0
                end += 1
        return self._view[:end]
