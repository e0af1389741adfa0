"""Consistent overhead byte stuffing, in place: frames without zero bytes, so that zero ends a frame.

Both functions leave the payload where it is, one byte after `start`, and allocate only for runs
of 254 bytes without a zero.

Reference: Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM ToN 7(2), 1999.
"""

_FULL = 255  # a group of 254 bytes with no zero after it


def encode(buffer, start, end):
    """Encode buffer[start + 1 : end]; the code words come to lie in buffer[start : the result].

    Args:
        buffer: bytearray with room for 1 byte per 254 bytes of payload behind end.
        start: int, position of the first code byte, overwritten.
        end: int, end of the payload.
    Returns:
        int: end of the encoded frame.
    """
    code_at = start
    at = start + 1
    while at < end:
        if buffer[at] == 0:
            buffer[code_at] = at - code_at
            code_at = at
        elif at - code_at == _FULL - 1 and at + 1 < end:
            buffer[code_at] = _FULL
            buffer[at + 2 : end + 1] = buffer[at + 1 : end]
            end += 1
            at += 1
            code_at = at
        at += 1
    buffer[code_at] = end - code_at
    return end


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
