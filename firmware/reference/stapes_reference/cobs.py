"""Consistent overhead byte stuffing, in place: frames without zero bytes, so that zero ends a frame.

Both functions leave the payload where it is, one byte after `start`, and allocate only for runs
of 254 bytes without a zero.

Reference: Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM ToN 7(2), 1999.
"""

_FULL = 255  # a group of 254 bytes with no zero after it
_ZERO = b"\0"


def encode(buffer, start, end):
    """Encode buffer[start + 1 : end]; the code words come to lie in buffer[start : the result].

    Args:
        buffer: bytearray with room for 1 byte per 254 bytes of payload behind end.
        start: int, position of the first code byte, overwritten.
        end: int, end of the payload.
    Returns:
        int: end of the encoded frame.
    """
    at = start + 1
    while True:
        zero = buffer.find(_ZERO, at, end)
        stop = end if zero < 0 else zero
        while stop - at >= _FULL - 1 and at + _FULL - 1 < end:
            # 254 bytes without a zero, and more behind them: a code byte more.
            buffer[start] = _FULL
            start = at + _FULL - 1
            buffer[start + 1 : end + 1] = buffer[start:end]
            end += 1
            stop += 1
            at = start + 1
            zero += zero >= 0
        buffer[start] = stop - start
        if zero < 0:
            return end
        start = zero
        at = zero + 1


def decode(buffer, start, end):
    """Decode buffer[start:end]; the payload comes to lie in buffer[start + 1 : the result].

    Args:
        buffer: bytearray.
        start, end: int, the frame without its final zero byte.
    Returns:
        int: end of the payload, or -1 if the frame is damaged.
    """
    if start >= end:
        return -1
    at = start
    code = buffer[at]
    while code and at + code < end:
        at += code
        following = buffer[at]
        if code == _FULL:
            buffer[at : end - 1] = buffer[at + 1 : end]
            end -= 1
            at -= 1
        else:
            buffer[at] = 0
        code = following
    return end if code and at + code == end else -1
