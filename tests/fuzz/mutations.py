"""Changes of a file at which readers break: the Python side of fuzz_util.c."""

import struct
import zlib

import stapes_spec as spec

# Integers at limits, and bits of float32 scales: zero, denormal, smallest, huge, infinite, not a number, negative.
WORDS = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 64, 65, 127, 128, 255, 256, 512, 513, 1024, 1025, 65535, 65536, 65537),
    *(1 << 24, (1 << 24) + 1, 1 << 28, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF80, 0xFFFFFFF8),
    *(0x007FFFFF, 0x00800000, 0x01000000, 0x2F800000, 0x39800000, 0x3D800000, 0x3F800000),
    *(0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0xBD800000),
)


def _interesting(rng, size):
    return rng.choice((rng.getrandbits(32), rng.randrange(size), rng.randrange(16), rng.choice(WORDS)))


def _word(data, at):
    return struct.unpack_from("<I", data, at)[0]


def change(rng, data, first, end):
    """Change a byte, half-word, word or reference of data[first:end], a bytearray."""
    size = end - first
    if size < 4:
        return
    at = first + rng.randrange(size - 3)
    word = first + (rng.randrange(size - 3) & ~3)
    kind = rng.randrange(8)
    if kind == 0:
        data[at] = _interesting(rng, size) & 0xFF
    elif kind == 1:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        half = first + (rng.randrange(size - 1) & ~1)
        struct.pack_into("<H", data, half, _interesting(rng, size) & (0xFF if rng.randrange(4) else 0xFFFF))
    elif kind == 3:
        struct.pack_into("<I", data, word, (_word(data, word) + rng.randrange(-8, 9)) & 0xFFFFFFFF)
    elif kind == 4:  # a reference to elsewhere
        target = first + (rng.randrange(size) & ~3)
        struct.pack_into("<I", data, word, (target - word) & 0xFFFFFFFF)
    else:
        struct.pack_into("<I", data, word, _word(data, at) if kind == 5 else _interesting(rng, size))


def _sealed(data, at):
    """The file with the CRC-32 of itself, its own bytes at a position taken as zero."""
    struct.pack_into("<I", data, at, 0)
    struct.pack_into("<I", data, at, zlib.crc32(data))
    return bytes(data)


def seal(data):
    """Return a model, grammar or lattice with a right checksum; anything else as it is."""
    data = bytearray(data)
    places = {spec.MAGIC_GRAPH: spec.GRAPH_CRC_OFFSET, spec.MAGIC_LATTICE: spec.LATTICE_CRC_OFFSET}
    at = places.get(bytes(data[:4]).decode("latin-1"), -1)
    if data[4:8] == b"TFL3":
        found = data.find(spec.MAGIC_METADATA.encode())
        at = -1 if found < 0 else found + spec.METADATA_FILE_CRC_OFFSET
    return _sealed(data, at) if 0 <= at <= len(data) - 4 else bytes(data)


def mutated(rng, data):
    """Return a file with 1 to 4 changes, one time in 32 cut short; sealed 15 times in 16."""
    data = bytearray(data)
    if rng.randrange(32) == 0:
        del data[rng.randrange(len(data) + 1) :]
    for _ in range(rng.randrange(1, 5)):
        change(rng, data, 0, len(data))
    return seal(data) if rng.randrange(16) else bytes(data)
