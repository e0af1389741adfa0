"""Proving that one knows the device key: HMAC-SHA256 over both ends' fresh nonces.

Reference: RFC 2104 (HMAC); ISO/IEC 9798-4, three-pass mutual authentication.
"""

import hashlib

import stapes_spec as spec

_BLOCK = 64
_BOARD = b"stapes board"
_HOST = b"stapes host"


def hmac_sha256(key, *parts):
    """Return the HMAC-SHA256 of the parts, one behind the other: 32 bytes.

    Args:
        key: bytes, at most 64.
        parts: buffers.
    """
    padded = key + bytes(_BLOCK - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in padded]))
    for part in parts:
        inner.update(part)
    return hashlib.sha256(bytes([byte ^ 0x5C for byte in padded]) + inner.digest()).digest()


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
