"""The CRC-32 equals zlib's, whole and in pieces."""

import random
import zlib

import cffi
import pytest
from stapes_tools.kernels import binding


@pytest.mark.parametrize("length", [0, 1, 3, 9, 64, 1000])
def test_equals_zlib(length):
    ffi = cffi.FFI()
    ffi.cdef("uint32_t st_crc32(uint32_t crc, const uint8_t *data, uint32_t length);")
    library = ffi.dlopen(binding.library_path(), ffi.RTLD_LAZY)
    data = random.Random(length).randbytes(length)
    assert library.st_crc32(0, data, length) == zlib.crc32(data)
    for first in range(1, min(4, length)):  # off the word's boundary
        buffer = ffi.from_buffer(data)
        assert library.st_crc32(0, buffer + first, length - first) == zlib.crc32(data[first:])
    half = length // 2
    assert library.st_crc32(library.st_crc32(0, data, half), data[half:], length - half) == zlib.crc32(data)
