"""Milliseconds and microseconds that may wrap around, as MicroPython's ticks_ms and ticks_us do."""

try:
    from time import ticks_ms, ticks_us
except ImportError:
    from time import monotonic_ns

    def ticks_ms():
        """Return milliseconds of a clock that only goes forward."""
        return monotonic_ns() // 1000000

    def ticks_us():
        """Return microseconds of a clock that only goes forward."""
        return monotonic_ns() // 1000


_MASK = 0x3FFFFFFF


def elapsed(now, then):
    """Return the time from then to now, less than 2^30.

    Args:
        now, then: int, of any clock, modulo 2^30 or not.
    """
    return (now - then) & _MASK
