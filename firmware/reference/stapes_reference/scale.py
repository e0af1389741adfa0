"""Fixed-point multipliers from float32 scales: the twin of st_scale.c.

A scale is the 32 bits of a float; a real number is (mantissa, exponent), exactly
mantissa * 2^exponent; a multiplier is (Q0.31, shift).
"""


def is_valid(bits):
    """Return whether these bits are a positive, finite, normal float."""
    return 1 <= bits >> 23 <= 254


def real(bits):
    """Return the value of a valid scale; its mantissa is in [2^23, 2^24)."""
    return (bits & 0x7FFFFF | 0x800000, (bits >> 23) - 150)


def product(a, b):
    """Return a * b, exact."""
    return (a[0] * b[0], a[1] + b[1])


def _round_even(value, drop, sticky):
    """Drop bits, rounding to nearest, ties to even; sticky: something non-zero lies below value."""
    half = 1 << (drop - 1)
    rest = value & (2 * half - 1)
    kept = value >> drop
    if rest > half or (rest == half and (sticky or kept & 1)):
        kept += 1
    return kept


def quantize_ratio(numerator, denominator):
    """Return TensorFlow Lite's QuantizeMultiplier of numerator / denominator in doubles.

    The quotient is rounded to 53 bits, ties to even, then to 31 bits, ties away from zero.
    """
    value, exponent = numerator
    while not value >> 63:
        value <<= 1
        exponent -= 1
    quotient, remainder = divmod(value << 16, denominator[0])
    drop = 4 if quotient >> 56 else 3
    mantissa = _round_even(quotient, drop, remainder != 0)
    shift = exponent - denominator[1] - 16 + drop + 53
    if mantissa >> 53:
        mantissa >>= 1
        shift += 1
    fixed = (mantissa + (1 << 21)) >> 22
    if fixed >> 31:
        fixed >>= 1
        shift += 1
    return (0, 0) if shift < -31 else (fixed, shift)
