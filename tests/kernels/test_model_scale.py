"""Integer multipliers equal TensorFlow Lite's double arithmetic; wide dot products equal the naive one."""

import math

import cffi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes_reference import scale as reference
from stapes_tools.kernels import binding

DECLARATIONS = """
typedef struct { uint64_t mantissa; int32_t exponent; } st_real_t;
typedef struct { int32_t multiplier; int32_t shift; } st_multiplier_t;
st_real_t st_real_from_scale(uint32_t bits);
st_real_t st_real_product(st_real_t a, st_real_t b);
st_multiplier_t st_quantize_ratio(st_real_t numerator, st_real_t denominator);
int32_t st_ratio_most_shift(st_real_t numerator, st_real_t denominator);
int st_scale_is_valid(uint32_t bits);
int32_t st_dense_dot_naive(const int8_t *weights, const int32_t *column, uint32_t depth);
int32_t st_dense_dot_words(const int8_t *weights, const int32_t *column, uint32_t depth);
void st_dense_dot_pair(const int8_t *weights, uint32_t depth, const int32_t *column, int32_t *sums);
int32_t st_dense_dot(const int8_t *weights, const int32_t *column, uint32_t depth);
int32_t st_dense_int4_dot_naive(const uint8_t *weights, uint32_t first, const int32_t *column, uint32_t depth);
const uint32_t *st_dense_int4_pack(int32_t *column, uint32_t depth);
int32_t st_dense_int4_dot(const uint8_t *weights, uint32_t depth, const uint32_t *pairs);
void st_dense_int4_dot_pair(const uint8_t *weights, uint32_t depth, const uint32_t *pairs, int32_t *sums);
"""
FLOATS = st.floats(width=32, min_value=2.0**-126, max_value=2.0**127, allow_subnormal=False)


@pytest.fixture(scope="module")
def c():
    """The kernels' internals."""
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    library = ffi.dlopen(binding.library_path(), ffi.RTLD_LAZY)
    return ffi, library


def quantize_multiplier(value):
    """TensorFlow Lite's QuantizeMultiplier, in Python's doubles."""
    fraction, shift = math.frexp(value)
    fixed = math.floor(fraction * 2**31 + 0.5)
    if fixed == 2**31:
        fixed //= 2
        shift += 1
    return (0, 0) if shift < -31 else (fixed, shift)


def bits_of(value):
    return int(np.float32(value).view(np.uint32))


def compare(c, x, w, y):
    """Compare both implementations with doubles for one triple of float32 scales."""
    library = c[1]
    expected = quantize_multiplier(float(x) * float(w) / float(y))
    a, b, d = (library.st_real_from_scale(bits_of(value)) for value in (x, w, y))
    found = library.st_quantize_ratio(library.st_real_product(a, b), d)
    assert (found.multiplier, found.shift) == expected
    most = library.st_ratio_most_shift(library.st_real_product(a, b), d)
    assert found.multiplier == 0 or found.shift <= most <= found.shift + 4
    ra, rb, rd = (reference.real(bits_of(value)) for value in (x, w, y))
    assert reference.quantize_ratio(reference.product(ra, rb), rd) == expected


@given(FLOATS, FLOATS, FLOATS)
@settings(max_examples=2000, deadline=None)
def test_any_scales(c, x, w, y):
    compare(c, x, w, y)


def test_many_plausible_scales(c):
    """200,000 random triples: C against numpy's doubles."""
    rng = np.random.default_rng(0)
    x, w, y = (2.0 ** rng.uniform(-14, 3, (3, 200_000))).astype(np.float32)
    fraction, shift = np.frexp(x.astype(np.float64) * w / y)
    fixed = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carried = fixed == 2**31
    fixed, shift = np.where(carried, fixed // 2, fixed), shift + carried
    library = c[1]
    real, product, ratio = library.st_real_from_scale, library.st_real_product, library.st_quantize_ratio
    bits = [values.view(np.uint32).tolist() for values in (x, w, y)]
    for a, b, d, m, s in zip(*bits, fixed.tolist(), shift.tolist(), strict=True):
        found = ratio(product(real(a), real(b)), real(d))
        assert found.multiplier == m and found.shift == s


def test_quotients_that_are_ties(c):
    """Products of 32 significant bits, the last one set, over a power of two: exactly between two multipliers."""
    rng = np.random.default_rng(1)
    ties = 0
    for _ in range(3000):
        x, w = int(rng.integers(2**22, 2**23)) * 2 + 1, int(rng.integers(64, 128)) * 2 + 1
        ties += (x * w).bit_length() == 32
        compare(c, np.float32(x), np.float32(w), np.float32(2.0 ** int(rng.integers(-20, 60))))
    assert ties > 500


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, -math.inf, math.nan, 2.0**-127, 1e-45])
def test_refused_scales(c, value):
    assert not c[1].st_scale_is_valid(bits_of(value))
    assert not reference.is_valid(bits_of(value))


def test_wide_dot_product_equals_the_naive_one(c):
    ffi, library = c
    rng = np.random.default_rng(2)
    for depth in (4, 8, 64, 192, 576, 65536):
        for extreme in (False, True):
            weights = np.full(depth, -128, np.int8) if extreme else rng.integers(-128, 128, depth, dtype=np.int8)
            column = np.full(depth, -255, np.int32) if extreme else rng.integers(-255, 256, depth, dtype=np.int32)
            arguments = (ffi.from_buffer("int8_t[]", weights), ffi.from_buffer("int32_t[]", column), depth)
            expected = int(weights.astype(np.int64) @ column)
            assert library.st_dense_dot_naive(*arguments) == expected
            assert library.st_dense_dot_words(*arguments) == expected
            assert library.st_dense_dot(*arguments) == expected


def test_two_rows_at_once_equal_the_naive_product(c):
    ffi, library = c
    rng = np.random.default_rng(3)
    sums = ffi.new("int32_t[2]")
    for depth in (4, 8, 192):
        weights = rng.integers(-128, 128, 2 * depth, dtype=np.int8)
        column = rng.integers(-255, 256, depth, dtype=np.int32)
        library.st_dense_dot_pair(
            ffi.from_buffer("int8_t[]", weights), depth, ffi.from_buffer("int32_t[]", column), sums
        )
        assert list(sums) == (weights.reshape(2, depth).astype(np.int64) @ column).tolist()


def int4_bytes(weights):
    """Two values per byte, the first in the low nibble."""
    nibbles = np.append(weights, np.zeros(len(weights) % 2, np.int8)).astype(np.uint8) & 15
    return np.ascontiguousarray(nibbles[0::2] | nibbles[1::2] << 4)


@pytest.mark.parametrize("first", [0, 1, 7, 64])
@pytest.mark.parametrize("depth", [1, 2, 5, 33, 65536])
def test_naive_int4_product(c, depth, first):
    ffi, library = c
    rng = np.random.default_rng(depth)
    weights = rng.integers(-8, 8, first + depth, dtype=np.int8)
    column = rng.integers(-255, 256, depth, dtype=np.int32)
    found = library.st_dense_int4_dot_naive(
        ffi.from_buffer("uint8_t[]", int4_bytes(weights)), first, ffi.from_buffer("int32_t[]", column), depth
    )
    assert found == int(weights[first:].astype(np.int64) @ column)


# What makes the packed sums largest, in either half, of either sign; and what leaves them nothing to round.
INT4_COLUMNS = {
    "random": lambda rng, depth: rng.integers(-255, 256, depth),
    "least": lambda rng, depth: np.full(depth, -255),
    "greatest": lambda rng, depth: np.full(depth, 255),
    "extremes": lambda rng, depth: rng.choice([-255, 255], depth),
    "upper": lambda rng, depth: np.where(np.arange(depth) % 8 < 4, 255, -255),
    "lower": lambda rng, depth: np.where(np.arange(depth) % 8 < 4, -255, 255),
    "zero": lambda rng, depth: np.zeros(depth),
}
INT4_WEIGHTS = {
    "random": lambda rng, count: rng.integers(-8, 8, count),
    "least": lambda rng, count: np.full(count, -8),
    "greatest": lambda rng, count: np.full(count, 7),
    "extremes": lambda rng, count: rng.choice([-8, 7], count),
    "zero": lambda rng, count: np.zeros(count),
}


@pytest.mark.parametrize("weights", INT4_WEIGHTS)
@pytest.mark.parametrize("column", INT4_COLUMNS)
def test_wide_int4_products_equal_the_naive_one(c, column, weights):
    ffi, library = c
    rng = np.random.default_rng(5)
    sums = ffi.new("int32_t[2]")
    for depth in (8, 16, 24, 96, 256, 360, 65536):
        values = INT4_WEIGHTS[weights](rng, 2 * depth).astype(np.int8)
        inputs = INT4_COLUMNS[column](rng, depth).astype(np.int32)
        data = int4_bytes(values)
        rows = ffi.from_buffer("uint8_t[]", data)
        expected = (values.reshape(2, depth).astype(np.int64) @ inputs).tolist()
        naive = [
            library.st_dense_int4_dot_naive(rows, k * depth, ffi.from_buffer("int32_t[]", inputs), depth)
            for k in range(2)
        ]
        packed = inputs.copy()
        pairs = library.st_dense_int4_pack(ffi.from_buffer("int32_t[]", packed), depth)
        library.st_dense_int4_dot_pair(rows, depth, pairs, sums)
        singles = [library.st_dense_int4_dot(rows + k * depth // 2, depth, pairs) for k in range(2)]
        assert expected == naive == list(sums) == singles
