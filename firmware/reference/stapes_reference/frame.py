"""The link's frames: the twin of st_frame.c and api_frame.c."""

import binascii
import struct

import stapes_spec as spec

from . import cobs
from .buffers import byte_length

_START = spec.FRAME_BUFFER_START
_HEADER = spec.FRAME_BYTES
_PAYLOAD = _START + 1 + _HEADER
_BLOCK = spec.FRAME_BLOCK_BYTES
_CRC = 4
_LEAST_HEADER = 2
_STATE = "<%dI" % spec.FRAME_INDEX_COUNT
_STATE_BYTES = 4 * spec.FRAME_INDEX_COUNT
_FILL, _NEXT, _SCAN, _LOST, _END = range(5)
_TYPE = spec.FRAME_INDEX_TYPE
_FRAME = 1


def _holds_state(buffer):
    return byte_length(buffer) >= _STATE_BYTES


def frame_take(buffer, state):
    """Find, decode and check the next frame: see docs/kernels_api.md."""
    if not _holds_state(state):
        return -spec.ERROR_ARGUMENT
    fields = list(struct.unpack_from(_STATE, state, 0))
    if not _START <= fields[_SCAN] <= fields[_FILL] <= len(buffer) or fields[_NEXT] > fields[_FILL]:
        return -spec.ERROR_ARGUMENT
    found = _take(buffer, fields)
    struct.pack_into(_STATE, state, 0, *fields)
    return found


def _take(buffer, fields):
    _drop(buffer, fields)
    fill = fields[_FILL]
    zero = _find_zero(buffer, fields[_SCAN], fill)
    if zero < 0:
        if fill + _BLOCK > len(buffer):
            fields[_LOST] = 1
            fields[_FILL] = _START
        fields[_SCAN] = fields[_FILL]
        return 0
    following = zero + 1
    while following < fill and buffer[following] == 0:
        following += 1
    fields[_NEXT] = following
    if fields[_LOST]:
        fields[_LOST] = 0
        return -spec.ERROR_LINK_FRAME
    return _open(buffer, zero, fields)


def _find_zero(buffer, start, end):
    if hasattr(buffer, "find"):
        return buffer.find(b"\0", start, end)
    found = bytes(buffer[start:end]).find(b"\0")
    return found if found < 0 else start + found


def _drop(buffer, fields):
    """Move what follows the last frame, and the zeros behind it, to the begin."""
    fill = fields[_FILL]
    at = max(fields[_NEXT], _START)
    while at < fill and buffer[at] == 0:
        at += 1
    if at > _START:
        count = fill - at
        buffer[_START : _START + count] = bytes(buffer[at:fill])
        fields[_FILL] = _START + count
        fields[_SCAN] = _START
    fields[_NEXT] = 0


def _open(buffer, zero, fields):
    """Decode and check the frame in buffer[_START:zero]."""
    frame = bytearray(buffer[_START:zero])
    end = cobs.decode(frame, 0, len(frame))
    if end < 1 + _LEAST_HEADER + _CRC:
        return -spec.ERROR_LINK_FRAME
    end -= _CRC
    view = memoryview(frame)
    if binascii.crc32(view[1:end]) & 0xFFFFFFFF != struct.unpack_from("<I", frame, end)[0]:
        return -spec.ERROR_LINK_FRAME
    if end - 1 < _HEADER or frame[2] != spec.VERSION_PROTOCOL:
        fields[_TYPE], fields[_TYPE + 1] = frame[1], frame[2]
        return -(spec.ERROR_LINK_FRAME if frame[2] == spec.VERSION_PROTOCOL else spec.ERROR_LINK_VERSION)
    fields[_TYPE:] = struct.unpack_from(spec.FRAME_STRUCT, frame, 1)
    fields[_END] = _START + end
    buffer[_START + 1 : _START + end] = view[1:end]
    return _FRAME


def frame_seal(out, fields, payload, block):
    """Write a frame and count its sequence number up: see docs/kernels_api.md."""
    length = byte_length(payload)
    if (
        not _holds_state(fields)
        or length > spec.FRAME_PAYLOAD + spec.FRAME_SEAL_BYTES
        or not 1 <= block <= spec.FRAME_PAYLOAD
    ):
        return -spec.ERROR_ARGUMENT
    count = _HEADER + length + _CRC
    if count + 1 + count // 254 + block > len(out):
        return -spec.ERROR_BUFFER_SMALL
    header = list(struct.unpack_from(_STATE, fields, 0)[_TYPE:])
    header[0] &= 0xFF
    header[1] = spec.VERSION_PROTOCOL
    frame = bytearray(1 + count + 1 + count // 254 + block)
    struct.pack_into(spec.FRAME_STRUCT, frame, 1, *_cut(header))
    frame[1 + _HEADER : 1 + _HEADER + length] = bytes(payload)
    end = 1 + _HEADER + length
    struct.pack_into("<I", frame, end, binascii.crc32(memoryview(frame)[1:end]) & 0xFFFFFFFF)
    end = cobs.encode(frame, 0, end + _CRC)
    padded = (end + block) // block * block
    frame[end:padded] = bytes(padded - end)
    out[:padded] = frame[:padded]
    struct.pack_into("<I", fields, 4 * spec.FRAME_INDEX_SEQUENCE, (header[2] + 1) & 0xFFFF)
    return padded


def _cut(header):
    """Return the header's fields as their places in it can hold them."""
    kind, version, sequence, number, ack, piece, ack_piece, tag = header
    return kind, version, sequence & 0xFFFF, number, ack, piece & 0xFF, ack_piece & 0xFF, tag & 0xFFFF
