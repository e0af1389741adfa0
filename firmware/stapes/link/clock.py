"""Milliseconds that may wrap around, as MicroPython's ticks_ms does."""

_MASK = 0x3FFFFFFF


def elapsed(now, then):
    """Return the milliseconds from then to now, less than 2^30.

    Args:
        now, then: int, of any clock in milliseconds, modulo 2^30 or not.
    """
    return (now - then) & _MASK
