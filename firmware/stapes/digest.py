"""What tells one file or image from another in a few digits."""

import hashlib

_DIGITS = 16


def hexadecimal(data):
    """Return bytes as hexadecimal digits."""
    return "".join(["%02x" % byte for byte in data])


def digest(data):
    """Return the first digits of the SHA-256 of bytes. Of a model it takes a board longer than a microphone waits."""
    return hexadecimal(hashlib.sha256(data).digest())[:_DIGITS]
