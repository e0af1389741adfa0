"""Frames of the link, board side: COBS(header, payload, CRC-32), then a zero byte.

The host pads every frame with zero bytes to a whole number of blocks, so that a board can read
block by block; on most boards `readinto` of standard input waits until the buffer is full.
After damage the reader finds the next frame by itself: frames begin where zeros end.
"""

import binascii
import struct

import stapes_spec as spec

from stapes import cobs

_HEADER = spec.FRAME_BYTES
_CRC = 4
_PAYLOAD = spec.FRAME_BOARD_PAYLOAD
_BLOCK = spec.FRAME_BLOCK_BYTES
_START = 3  # of the code byte: puts the header, and so the payload, on a multiple of 4
_LONGEST = 1 + _HEADER + _PAYLOAD + _CRC + _PAYLOAD // 254 + 2
_BLOCKS = _LONGEST // _BLOCK + 1


class FrameReader:
    """Takes frames from a stream into one buffer. receive() allocates next to nothing.

    Args:
        stream: has readinto(buffer) -> bytes read; fewer than asked for only at its end.

    Attributes:
        buffer: bytearray; the last frame's payload is buffer[PAYLOAD : payload_end], 4-byte aligned
            in the buffer.
        payload_end: int.
    """

    PAYLOAD = _START + 1 + _HEADER

    def __init__(self, stream):
        self.buffer = bytearray(_START + _BLOCK * _BLOCKS)
        self.payload_end = self.PAYLOAD
        self._view = memoryview(self.buffer)
        self._blocks = [self._view[_START + _BLOCK * k : _START + _BLOCK * (k + 1)] for k in range(_BLOCKS)]
        self._stream = stream
        self._sequence = 0
        self._left = self._left_end = 0

    def receive(self):
        """Wait for a frame.

        Returns:
            int: its type; 0 at the end of the stream; the negative of an error code if it is
            damaged, out of sequence or of another protocol version.
        """
        if not self._begin():
            return 0
        block = 0
        lost = False
        while True:
            first = _START + _BLOCK * block
            zero = self.buffer.find(b"\0", first, first + _BLOCK)
            if zero >= 0:
                break
            lost = lost or block + 1 == _BLOCKS
            block = min(block + 1, _BLOCKS - 1)
            if self._stream.readinto(self._blocks[block]) != _BLOCK:
                return 0
        self._left, self._left_end = zero + 1, first + _BLOCK
        return -spec.ERROR_LINK_FRAME if lost else self._open(zero)

    def _begin(self):
        """Fill the first block, beginning with the first byte that is not zero."""
        while True:
            while self._left < self._left_end and self.buffer[self._left] == 0:
                self._left += 1
            count = self._left_end - self._left
            if count:
                self.buffer[_START : _START + count] = self.buffer[self._left : self._left_end]
                self._left = self._left_end
                rest = self._view[_START + count : _START + _BLOCK]
                return count == _BLOCK or self._stream.readinto(rest) == _BLOCK - count
            if self._stream.readinto(self._blocks[0]) != _BLOCK:
                return False
            self._left, self._left_end = _START, _START + _BLOCK
            if self.buffer[_START]:
                self._left = self._left_end
                return True

    def _open(self, zero):
        """Check the frame in buffer[_START:zero] and return its type."""
        end = cobs.decode(self.buffer, _START, zero) - _CRC
        if end < self.PAYLOAD:
            return -spec.ERROR_LINK_FRAME
        (crc,) = struct.unpack_from("<I", self.buffer, end)
        if binascii.crc32(self._view[_START + 1 : end]) & 0xFFFFFFFF != crc:
            return -spec.ERROR_LINK_FRAME
        kind, version, sequence = struct.unpack_from(spec.FRAME_STRUCT, self.buffer, _START + 1)
        expected = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        if version != spec.VERSION_PROTOCOL:
            return -spec.ERROR_LINK_VERSION
        if sequence != expected and kind != spec.FRAME_TYPE_HELLO:
            return -spec.ERROR_LINK_FRAME
        self.payload_end = end
        return kind


class FrameWriter:
    """Sends frames to a stream.

    Args:
        stream: has write(buffer).
    """

    def __init__(self, stream):
        self._buffer = bytearray(_LONGEST + 1)
        self._view = memoryview(self._buffer)
        self._stream = stream
        self._sequence = 0

    def send(self, kind, *parts):
        """Send one frame.

        Args:
            kind: int, a type of spec.toml's frame_type.
            parts: buffers, the payload; at most board_payload bytes together.
        """
        buffer = self._buffer
        struct.pack_into(spec.FRAME_STRUCT, buffer, 1, kind, spec.VERSION_PROTOCOL, self._sequence)
        self._sequence = (self._sequence + 1) & 0xFFFF
        end = 1 + _HEADER
        for part in parts:
            self._view[end : end + len(part)] = part
            end += len(part)
        struct.pack_into("<I", buffer, end, binascii.crc32(self._view[1:end]) & 0xFFFFFFFF)
        end = cobs.encode(buffer, 0, end + _CRC)
        buffer[end] = 0
        self._stream.write(self._view[: end + 1])
