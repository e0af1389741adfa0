"""Buffers of any kind as little-endian integers, on CPython and MicroPython alike."""

import struct


def byte_length(buffer):
    """Return the bytes that a bytes, bytearray, memoryview or array holds."""
    return len(bytes(buffer))


def read(buffer, code, count, offset=0):
    """Return count integers of a struct code ("b", "h", "H", "i", ...) from a byte offset on."""
    return struct.unpack_from("<%d%s" % (count, code), buffer, offset)


def write(buffer, code, values, offset=0):
    """Store integers under a struct code from a byte offset on."""
    struct.pack_into("<%d%s" % (len(values), code), buffer, offset, *values)
