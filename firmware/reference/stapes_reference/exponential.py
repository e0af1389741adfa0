"""Exponential, logistic and hyperbolic tangent of 32-bit fixed point: the twin of st_exp.c.

Reference: gemmlowp fixedpoint.h.
"""

from .fixed import INT32_MAX, rounding_divide_by_pot
from .fixed import saturating_rounding_doubling_high_mul as high_mul

_Q29_ONE = 1 << 29
_EXP_MINUS_EIGHTH = 1895147668
_THIRD = 715827883
_SEED_CONSTANT, _SEED_SLOPE = 1515870810, -1010580540
_NEWTON_STEPS = 3
# exp(-1/4), exp(-1/2), exp(-1) ... exp(-16), Q0.31.
_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def _exp_of_quarter(x):
    x += 1 << 28
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4 = high_mul(x2, x2)
    tail = high_mul(rounding_divide_by_pot(x4, 2) + x3, _THIRD) + x2
    return _EXP_MINUS_EIGHTH + high_mul(_EXP_MINUS_EIGHTH, x + rounding_divide_by_pot(tail, 1))


def _exp_of_negative(x, fraction_bits):
    if x == 0:
        return INT32_MAX
    quarter = 1 << (fraction_bits - 2)
    rest = (x & (quarter - 1)) - quarter
    multiple = rest - x
    result = _exp_of_quarter(rest << (31 - fraction_bits))
    for k in range(33 - fraction_bits):
        if multiple >> (fraction_bits - 2 + k) & 1:
            result = high_mul(result, _POWERS[k])
    return result


def exp_q26(x):
    """Return exp(x), Q0.31, of x <= 0, Q5.26."""
    return _exp_of_negative(x, 26)


def _divide(x):
    half = (x + (1 << 31)) >> 1
    y = _SEED_CONSTANT + high_mul(half, _SEED_SLOPE)
    for _ in range(_NEWTON_STEPS):
        y += high_mul(y, _Q29_ONE - high_mul(half, y)) * 4
    return y


def reciprocal_q31(x):
    """Return 1 / (1 + x), Q0.31, of x in [0, 1), Q0.31."""
    return min(_divide(x) * 2, INT32_MAX)


def logistic_q27(x):
    """Return the logistic function of x, Q4.27, as Q0.31."""
    if x == 0:
        return 1 << 30
    positive = reciprocal_q31(_exp_of_negative(-abs(x), 27))
    return positive if x > 0 else INT32_MAX - positive


def tanh_q27(x):
    """Return the hyperbolic tangent of x, Q4.27, as Q0.31."""
    if x == 0:
        return 0
    # The same bits with one fractional bit less are twice the value.
    result = min((_divide(_exp_of_negative(-abs(x), 26)) - _Q29_ONE) * 4, INT32_MAX)
    return result if x > 0 else -result
