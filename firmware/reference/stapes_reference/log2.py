"""Base-2 logarithm of integers: the twin of st_log2.c."""

from .fixed import msb32
from .tables import LOG2

FRACTION_BITS = 15


def log2(value):
    """Return log2 of an integer, Q.15, interpolated in a table of 32 intervals.

    Args:
        value: 1 ... 2^32 - 1.
    """
    exponent = msb32(value)
    mantissa = value << (31 - exponent)
    interval = (mantissa >> 26) & 31
    rest = (mantissa >> 11) & 0x7FFF
    base = LOG2[interval]
    return (exponent << FRACTION_BITS) + base + (((LOG2[interval + 1] - base) * rest + (1 << 14)) >> 15)
