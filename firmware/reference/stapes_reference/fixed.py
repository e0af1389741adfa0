"""Fixed-point arithmetic of the TensorFlow Lite int8 specification: the twin of st_fixed.h.

Python's integers do not overflow, so every function wraps or saturates where C's int32 does.
Reference: tensorflow/lite/kernels/internal/common.h and gemmlowp fixedpoint.h, double rounding.
"""

INT32_MAX = 0x7FFFFFFF
INT32_MIN = -0x80000000


def wrap_i32(value):
    """Return value reduced to int32, as a C cast does."""
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value & 0x80000000 else value


def clamp(value, low, high):
    """Return value limited to low ... high."""
    if value < low:
        return low
    return high if value > high else value


def saturate_i16(value):
    """Return value limited to int16."""
    return clamp(value, -32768, 32767)


def saturating_rounding_doubling_high_mul(a, b):
    """Return round(a * b / 2^31), ties away from zero; the one overflowing product saturates.

    Args:
        a, b: int32.
    """
    if a == INT32_MIN and b == INT32_MIN:
        return INT32_MAX
    product = a * b
    if product >= 0:
        return (product + (1 << 30)) >> 31
    # C's division truncates towards zero; a shift of the negated value does the same.
    return -((-product - 1 + (1 << 30)) >> 31)


def rounding_divide_by_pot(value, exponent):
    """Return round(value / 2^exponent), ties away from zero.

    Args:
        value: int32.
        exponent: 0 ... 31.
    """
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    return (value >> exponent) + (1 if (value & mask) > threshold else 0)


def multiply_by_quantized_multiplier(value, multiplier, shift):
    """Return value * multiplier * 2^(shift - 31), rounded twice as TensorFlow Lite does.

    Args:
        value: int32.
        multiplier: Q0.31 in [2^30, 2^31).
        shift: -31 ... 30; positive shifts left and wraps on overflow.
    """
    left = shift if shift > 0 else 0
    right = 0 if shift > 0 else -shift
    shifted = wrap_i32(value << left)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)


def msb32(value):
    """Return the position of the highest set bit of a uint32, 0 ... 31; -1 for zero."""
    position = -1
    while value:
        value >>= 1
        position += 1
    return position
