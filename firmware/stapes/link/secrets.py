"""Proving that one knows the device key, once and then with every frame: HMAC-SHA256 over both ends' fresh nonces.

Reference: RFC 2104 (HMAC, and how much of it may be left out); ISO/IEC 9798-4, three-pass mutual authentication.
"""

import hashlib
import struct

import stapes_spec as spec

_BLOCK = 64
_BOARD = b"stapes board"
_HOST = b"stapes host"
_BOARD_FRAMES = b"stapes board frames"
_HOST_FRAMES = b"stapes host frames"
_COUNTER = 4
_SEAL = spec.FRAME_SEAL_BYTES
_TYPE = spec.FRAME_INDEX_TYPE


def hmac_sha256(key, *parts):
    """Return the HMAC-SHA256 of the parts, one behind the other: 32 bytes.

    Args:
        key: bytes, at most 64.
        parts: buffers.
    """
    return _Hmac(key).digest(*parts)


class _Hmac:
    """HMAC-SHA256 with one key, which is made ready once."""

    def __init__(self, key):
        padded = key + bytes(_BLOCK - len(key))
        self._inner = bytes([byte ^ 0x36 for byte in padded])
        self._outer = bytes([byte ^ 0x5C for byte in padded])

    def digest(self, *parts):
        inner = hashlib.sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def same(one, other):
    """Compare two proofs in a time that does not tell where they differ."""
    difference = len(one) ^ len(other)
    for k in range(min(len(one), len(other))):
        difference |= one[k] ^ other[k]
    return difference == 0


def board_proof(key, hello, nonce):
    """Return what a board that knows the key answers to a host's HELLO."""
    return hmac_sha256(key, _BOARD, hello, nonce)


def host_proof(key, hello, nonce):
    """Return what a host that knows the key answers to a board's nonce."""
    return hmac_sha256(key, _HOST, hello, nonce)


class Seal:
    """Lets each end know of every frame that the other one has sent it, in this connection, and never before.

    Behind a payload come a counter and a part of the HMAC-SHA256 of header, payload and counter. Its keys are made of
    the device key and both nonces, one for each direction: nothing of another connection, and nothing of one's own,
    can be sent again. Frames come in order; whatever is not newer than the last one is refused.

    Args:
        key: bytes, the device key.
        hello, nonce: bytes, the host's and the board's, of this connection.
        board: bool, which end this is.
    """

    def __init__(self, key, hello, nonce, board):
        ours = _Hmac(hmac_sha256(key, _BOARD_FRAMES, hello, nonce))
        theirs = _Hmac(hmac_sha256(key, _HOST_FRAMES, hello, nonce))
        self._out, self._in = (ours, theirs) if board else (theirs, ours)
        self._sent = self._heard = 0

    def close(self, fields, payload):
        """Return the payload and its seal.

        Args:
            fields: uint32 [frame_index.count], the frame's header.
            payload: buffer.
        Returns:
            bytes.
        """
        self._sent += 1
        counter = struct.pack("<I", self._sent)
        return bytes(payload) + counter + _part(self._out.digest(_header(fields), payload, counter))

    def open(self, fields, payload):
        """Return the bytes of the payload without its seal, or -1: it is forged, damaged or old.

        Args:
            fields: see close.
            payload: memoryview, with its seal.
        """
        size = len(payload) - _SEAL
        if size < 0:
            return -1
        counter = payload[size : size + _COUNTER]
        expected = _part(self._in.digest(_header(fields), payload[:size], counter))
        if not same(expected, payload[size + _COUNTER :]):
            return -1
        (count,) = struct.unpack("<I", bytes(counter))
        if count <= self._heard:
            return -1
        self._heard = count
        return size


def _header(fields):
    """Return the header of a frame as the seal covers it; the version is one anyway."""
    kind, _, sequence, number, ack, piece, ack_piece, tag = fields[_TYPE:]
    return struct.pack("<BBBBHHII", kind, piece, ack_piece, 0, sequence, tag, number, ack)


def _part(digest):
    return digest[: _SEAL - _COUNTER]


def key_from_hex(text):
    """Return the device key that a line of hexadecimal digits holds.

    Raises:
        ValueError: it is not of key_bytes bytes.
    """
    text = text.strip()
    digits = 2 * spec.LINK_KEY_BYTES
    if len(text) != digits:
        raise ValueError("a device key has %d hexadecimal digits, not %d" % (digits, len(text)))
    return bytes([int(text[at : at + 2], 16) for at in range(0, digits, 2)])
