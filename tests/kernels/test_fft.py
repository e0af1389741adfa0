"""The FFT: C equals its twin, and both lie close to float64's."""

import cffi
import numpy as np
import pytest
from stapes_reference import fft
from stapes_tools.kernels import binding

FFI = cffi.FFI()
FFI.cdef("void st_fft_complex(int32_t *data); void st_fft_split_real(int32_t *data);")
RANDOM = np.random.default_rng(11)
POINTS = 256


@pytest.fixture(scope="module")
def library():
    return FFI.dlopen(binding.library_path(), FFI.RTLD_LAZY)


def inputs():
    """Yield int32 [512] real inputs up to the largest that the FFT allows."""
    limit = 2**16
    yield np.zeros(512, np.int32)
    yield np.full(512, limit - 1, np.int32)
    yield np.full(512, -limit, np.int32)
    yield np.where(np.arange(512) % 2, limit - 1, -limit).astype(np.int32)
    yield ((limit - 1) * np.cos(2 * np.pi * 37 / 512 * np.arange(512))).astype(np.int32)
    yield np.where(np.arange(512) == 77, limit - 1, 0).astype(np.int32)
    for scale in (1, 100, limit):
        yield RANDOM.integers(-scale, scale, 512).astype(np.int32)


def shuffled(real):
    data = np.zeros((POINTS, 2), np.int32)
    data[[fft.slot(n) for n in range(POINTS)]] = real.reshape(POINTS, 2)
    return data


def test_slots_are_a_permutation():
    assert sorted(fft.slot(n) for n in range(POINTS)) == list(range(POINTS))


@pytest.mark.parametrize("index", range(9))
def test_equals_reference_and_float64(library, index):
    real = list(inputs())[index]
    data = shuffled(real)
    re, im = [int(v) for v in data[:, 0]], [int(v) for v in data[:, 1]]
    pointer = FFI.from_buffer("int32_t[]", data, require_writable=True)
    library.st_fft_complex(pointer)
    fft.fft_complex(re, im)
    assert data[:, 0].tolist() == re and data[:, 1].tolist() == im
    library.st_fft_split_real(pointer)
    fft.split_real(re, im)
    assert data[:, 0].tolist() == re and data[:, 1].tolist() == im
    expected = 2 * np.fft.rfft(real.astype(float))[1:256] / 64
    error = np.abs(data[1:, 0] + 1j * data[1:, 1] - expected)
    assert error.max() <= 12 + 1e-4 * np.abs(expected).max()
