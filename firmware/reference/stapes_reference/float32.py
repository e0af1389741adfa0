"""Arithmetic on the bits of IEEE-754 float32, rounded to nearest, ties to even: the twin of st_float.c."""

SIGN = 0x80000000
INFINITY = 0x7F800000
ONE = 0x3F800000
SIX = 0x40C00000
QUOTIENT_LIMIT = 512
_IMPLICIT_BIT = 1 << 23
_LARGEST_EXPONENT = 254


def _unpack(bits):
    """Return (mantissa in [2^23, 2^24), exponent) of a float that is finite and not zero, its sign apart."""
    mantissa, exponent = bits & 0x7FFFFF, (bits & ~SIGN) >> 23
    if exponent == 0:
        exponent = 1
        while not mantissa & _IMPLICIT_BIT:
            mantissa <<= 1
            exponent -= 1
    return mantissa | _IMPLICIT_BIT, exponent - 150


def _rounded(mantissa, exponent, rest, unit):
    """Round a mantissa that lacks rest / unit."""
    if 2 * rest > unit or (2 * rest == unit and mantissa & 1):
        mantissa += 1
        if mantissa >> 24:
            return mantissa >> 1, exponent + 1
    return mantissa, exponent


def _round_product(product, exponent):
    drop = 0
    while product >> (24 + drop):
        drop += 1
    unit = 1 << drop
    return _rounded(product >> drop, exponent + drop, product & (unit - 1), unit)


def _quotient(a, b):
    value, exponent = a[0], a[1] - b[1] - 23
    if value < b[0]:
        value <<= 1
        exponent -= 1
    mantissa, rest = divmod(value << 23, b[0])
    return _rounded(mantissa, exponent, rest, b[0])


def _pack(value, too_large):
    exponent = value[1] + 150
    if exponent > _LARGEST_EXPONENT:
        return too_large
    return 0 if exponent < 1 else exponent << 23 | value[0] & 0x7FFFFF


def multiply(a, b):
    """Return a * b of two positive normal floats; 0 when the result is not one."""
    left, right = _unpack(a), _unpack(b)
    return _pack(_round_product(left[0] * right[0], left[1] + right[1]), 0)


def divide(a, b):
    """Return a / b of two positive normal floats; 0 when the result is not one."""
    return _pack(_quotient(_unpack(a), _unpack(b)), 0)


def scaled(value, scale):
    """Return an integer of up to 2^24 in magnitude times a positive normal float."""
    if value == 0:
        return 0
    mantissa, exponent = _unpack(scale)
    return (SIGN if value < 0 else 0) | _pack(_round_product(abs(value) * mantissa, exponent), INFINITY)


def _nearest(mantissa, exponent):
    if -exponent > 25:
        return 0
    if -exponent < 15:
        return QUOTIENT_LIMIT
    return (mantissa + (1 << (-exponent - 1))) >> -exponent


def quotient(x, scale):
    """Return x / scale, rounded to float32 and then to an integer, ties away from zero, limited to +-512.

    Args:
        x: any float's bits; not-a-number counts as 0.
        scale: a positive normal float's bits.
    """
    magnitude = x & ~SIGN
    result = 0
    if magnitude == INFINITY:
        result = QUOTIENT_LIMIT
    elif 0 < magnitude < INFINITY:
        result = _nearest(*_quotient(_unpack(magnitude), _unpack(scale)))
    return -result if x & SIGN else result
