"""The fixed-point primitives: header and twin equal each other and exact rational arithmetic."""

import random
import subprocess
from fractions import Fraction

import cffi
import pytest
from stapes_reference import fixed
from stapes_tools.kernels.build import INCLUDES

SHIM = """
#include "st_fixed.h"
int32_t high_mul(int32_t a, int32_t b) { return st_saturating_rounding_doubling_high_mul(a, b); }
int32_t narrow(int32_t a, int32_t b) { return st_rounding_high_mul_narrow(a, b); }
int32_t divide(int32_t a, int32_t n) { return st_rounding_divide_by_pot(a, n); }
int32_t multiply(int32_t a, int32_t m, int32_t s) { return st_multiply_by_quantized_multiplier(a, m, s); }
int32_t msb(uint32_t a) { return st_msb32(a); }
int32_t shift(int32_t a, int32_t n) { return a >> n; }
"""
EDGES = [0, 1, -1, 2, -2, 2**30, -(2**30), 2**31 - 1, -(2**31), 2**31 - 2, -(2**31) + 1]


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed")
    (folder / "shim.c").write_text(SHIM)
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    command = ["gcc", *flags, *(f"-I{path}" for path in INCLUDES), "shim.c", "-o", "shim.so"]
    subprocess.run(command, cwd=folder, check=True)
    ffi = cffi.FFI()
    ffi.cdef(
        "int32_t high_mul(int32_t, int32_t); int32_t narrow(int32_t, int32_t); int32_t divide(int32_t, int32_t);"
        "int32_t multiply(int32_t, int32_t, int32_t); int32_t msb(uint32_t); int32_t shift(int32_t, int32_t);"
    )
    return ffi.dlopen(str(folder / "shim.so"))


def numbers(count=400):
    source = random.Random(9)
    return EDGES + [source.randint(-(2**31), 2**31 - 1) >> source.randint(0, 31) for _ in range(count)]


def rounded(value):
    """Round a fraction to the nearest integer, ties away from zero."""
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


def test_high_mul(header):
    for a, b in zip(numbers(), reversed(numbers()), strict=True):
        # The original's one departure from true rounding: a negative tie goes towards zero.
        exact = Fraction(a * b, 2**31)
        expected = rounded(exact) if exact > 0 or (2 * exact).denominator > 1 else -int(-exact)
        found = fixed.saturating_rounding_doubling_high_mul(a, b)
        assert found == header.high_mul(a, b) == expected
    assert fixed.saturating_rounding_doubling_high_mul(-(2**31), -(2**31)) == 2**31 - 1
    assert header.high_mul(-(2**31), -(2**31)) == 2**31 - 1


def test_rounding_divide_by_pot(header):
    for value in numbers():
        for exponent in (0, 1, 2, 7, 15, 30, 31):
            expected = rounded(Fraction(value, 2**exponent))
            assert fixed.rounding_divide_by_pot(value, exponent) == header.divide(value, exponent) == expected


def test_multiply_by_quantized_multiplier(header):
    source = random.Random(10)
    for value in numbers():
        multiplier, shift = source.randint(2**30, 2**31 - 1), source.randint(-31, 10)
        found = fixed.multiply_by_quantized_multiplier(value, multiplier, shift)
        assert found == header.multiply(value, multiplier, shift)
        exact = Fraction(value * multiplier, 2**31) * Fraction(2) ** shift
        if abs(value) << max(shift, 0) < 2**31:
            assert abs(found - exact) <= 1


def test_bits_and_limits(header):
    for value in numbers():
        unsigned = value & 0xFFFFFFFF
        assert fixed.msb32(unsigned) == header.msb(unsigned) == unsigned.bit_length() - 1
        assert header.shift(value, 5) == value >> 5, "right shifts of negative values must be arithmetic"
        assert fixed.wrap_i32(value + 2**32) == value
        assert fixed.saturate_i16(value) == max(-32768, min(32767, value))


def test_narrow_high_mul_equals_the_wide_one(header):
    """What cores without a long multiplication use."""
    source = random.Random(10)
    pairs = [(a, b) for a in EDGES for b in EDGES] + [(source.choice(numbers()), b) for b in numbers()]
    pairs += [(a * 2**15, 2**15 * b) for a in (-3, -1, 1, 3) for b in (-1, 1, 5)]  # ties
    for a, b in pairs:
        if (a, b) != (-(2**31), -(2**31)):
            assert header.narrow(a, b) == header.high_mul(a, b) == fixed.saturating_rounding_doubling_high_mul(a, b)
