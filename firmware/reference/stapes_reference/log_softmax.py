"""Natural-log softmax of int8 logits: the twin of st_log_softmax.c and api_log_softmax.c."""

import stapes_spec as spec

from .buffers import byte_length, read, write
from .fixed import saturate_i16
from .log2 import FRACTION_BITS, log2

ENTRIES = 256
MAX_LOGITS = 256
EXP_BITS = 23
SCALE_BITS = 20
LN2_Q15 = 22713
THIRD_Q31 = 715827883
FLOOR_NATS = 33


def _exp_negative(x):
    """Return exp(-x), Q1.31, of x in Q28, 0 <= x < 8."""
    t = x >> 5
    t2 = (t * t) >> 32
    t3 = (((t2 * t) >> 31) * THIRD_Q31) >> 31
    t4 = (t3 * t) >> 33
    power = (1 << 31) - t + t2 - t3 + t4
    for _ in range(8):
        power = (power * power) >> 31
    return power


def _float_to_q28(bits):
    """Return a float32 given by its bits as Q28; 0 unless it is positive, normal and below 8."""
    exponent = (bits & 0xFFFFFFFF) >> 23
    mantissa = (bits & 0x7FFFFF) | 0x800000
    if exponent == 0 or exponent > 129:
        return 0
    if exponent >= 122:
        return mantissa << (exponent - 122)
    return max(mantissa >> (122 - exponent), 1)


def log_softmax_table(scale_bits, table):
    """Prepare for logits of one scale: see docs/kernels_api.md."""
    if byte_length(table) < 4 * ENTRIES:
        return -spec.ERROR_BUFFER_SMALL
    scale = _float_to_q28(scale_bits)
    if scale == 0:
        return -spec.ERROR_ARGUMENT
    ratio = _exp_negative(scale)
    power = 1 << 31
    entries = [(scale + 128) >> (28 - SCALE_BITS)]
    for _ in range(1, ENTRIES):
        power = (power * ratio) >> 31
        entries.append((power + 128) >> (31 - EXP_BITS))
    write(table, "i", entries)
    return 0


def log_softmax(logits, table, log_probs):
    """Write log(softmax(logits * scale)), natural log, Q5.10: see docs/kernels_api.md."""
    n = byte_length(logits)
    if n > MAX_LOGITS or byte_length(table) < 4 * ENTRIES:
        return -spec.ERROR_ARGUMENT
    if byte_length(log_probs) < 2 * n:
        return -spec.ERROR_BUFFER_SMALL
    if n == 0:
        return 0
    values = read(logits, "b", n)
    entries = read(table, "i", ENTRIES)
    largest = max(values)
    total = sum([entries[largest - value] if value < largest else 1 << EXP_BITS for value in values])
    log2_sum = (log2(total) - (EXP_BITS << FRACTION_BITS)) >> 2
    log_sum = (log2_sum * LN2_Q15 + (1 << 7)) >> 8
    out = []
    for value in values:
        nats = min((largest - value) * entries[0], FLOOR_NATS << SCALE_BITS)
        out.append(saturate_i16((-nats - log_sum + (1 << 9)) >> (SCALE_BITS - 10)))
    write(log_probs, "h", out)
    return 0
