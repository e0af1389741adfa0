"""LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU, SOFTMAX, QUANTIZE and DEQUANTIZE: the twin of op_lookup.c, op_softmax.c
and op_quantize.c."""

from . import float32, scale
from .exponential import exp_q26, logistic_q27, reciprocal_q31, tanh_q27
from .fixed import clamp, msb32, multiply_by_quantized_multiplier, rounding_divide_by_pot
from .fixed import saturating_rounding_doubling_high_mul as high_mul
from .op_dense import multiplier, options
from .plan import align8
from .tensor import FLOAT32, INT8

DEQUANTIZE, LOGISTIC, RELU, RELU6, SOFTMAX, TANH, LEAKY_RELU, QUANTIZE = 6, 14, 19, 21, 25, 28, 98, 114
# A record's kind only.
LOOKUP = 4 << 16 | LOGISTIC
LOOKUP_WORDS = 6
SOFTMAX_WORDS = 10
QUANTIZE_WORDS = 7
MAX_SHIFT = 30
SCALE_LOGISTIC = 0x3B800000  # 2^-8
SCALE_TANH = 0x3C000000  # 2^-7
SCALE_Q27 = 0x32000000
SCALE_Q26 = 0x32800000
MAX_DEPTH = 4096
_SUM_INTEGER_BITS = 12


def _unary(plan):
    """Return operand 0 and result 0, int8 activations of one shape, and where they are."""
    x, x_ref = plan.operand(0)
    y, y_ref = plan.result()
    if not x.is_activation():
        plan.refuse_type(x)
    if not y.is_activation() or not x.same_shape(y):
        plan.refuse_type(y)
    return x, x_ref, y, y_ref


def _sigmoid(plan, x, y):
    """Return logistic or tanh as a function of x - zero point."""
    logistic = plan.code == LOGISTIC
    if (y.scale, y.zero_point) != ((SCALE_LOGISTIC, -128) if logistic else (SCALE_TANH, 0)):
        plan.refuse_type(y)
    value, shift = multiplier(plan, x, scale.real(x.scale), scale.real(SCALE_Q27), 31)
    if shift < 0 or value == 0:
        plan.refuse_type(x)
    radius = (15 << 27) >> shift

    def function(x):
        if x <= -radius:
            return -128
        if x >= radius:
            return 127
        argument = multiply_by_quantized_multiplier(x, value, shift)
        if logistic:
            return clamp(rounding_divide_by_pot(logistic_q27(argument), 23) - 128, -128, 127)
        return clamp(rounding_divide_by_pot(tanh_q27(argument), 24), -128, 127)

    return function


def _leaky_scales(plan, x, y):
    one = scale.real(float32.ONE)
    alpha = plan.fb.get_i32(plan.options, 0) & 0xFFFFFFFF
    ratio = float32.divide(x.scale, y.scale)
    if alpha != 0 and not scale.is_valid(alpha):
        plan.refuse_option()
    if not scale.is_valid(ratio):
        plan.refuse_type(y)
    positive = multiplier(plan, y, scale.real(ratio), one, MAX_SHIFT)
    product = float32.multiply(x.scale, alpha) if alpha else 0
    ratio = float32.divide(product, y.scale) if product else 0
    return positive, multiplier(plan, y, scale.real(ratio), one, MAX_SHIFT) if ratio else (0, 0)


def _linear(plan, x, y):
    """Return a function that is linear above and below zero, within limits."""
    low, high, zero = -128, 127, y.zero_point
    if plan.code == LEAKY_RELU:
        positive, negative = _leaky_scales(plan, x, y)
    else:
        positive = negative = multiplier(plan, y, scale.real(x.scale), scale.real(y.scale), MAX_SHIFT)
    if plan.code in (RELU, RELU6):
        low = zero
    if plan.code == RELU6:
        high = min(127, zero + float32.quotient(float32.SIX, y.scale))
        if not x.same_scale(y):
            plan.refuse_type(y)

    def function(x):
        scaled = multiply_by_quantized_multiplier(x, *(negative if x < 0 else positive))
        return clamp(scaled, low - zero, high - zero) + zero

    return function


def prepare_lookup(plan):
    """Plan the operator."""
    if plan.code == LEAKY_RELU:
        options(plan, 75)
    at = plan.reserve(4 * LOOKUP_WORDS)
    x, x_ref, y, y_ref = _unary(plan)
    function = (_sigmoid if plan.code in (LOGISTIC, TANH) else _linear)(plan, x, y)
    table = plan.reserve(256)
    if plan.state is not None:
        plan.write(table, "b", *[function((byte ^ 0x80) - 0x80 - x.zero_point) for byte in range(256)])
    plan.write_words(at, (LOOKUP, align8(plan.used), x_ref, y_ref, table, y.elements))


def invoke_lookup(memory, words):
    """Run the operator."""
    x_ref, y_ref, table, count = words[2:6]
    memory.write(y_ref, "B", [memory.state[table + byte] for byte in memory.read(x_ref, "B", count)])


def prepare_softmax(plan):
    """Plan the operator."""
    options(plan, 9)
    at = plan.reserve(4 * SOFTMAX_WORDS)
    beta = plan.fb.get_i32(plan.options, 0) & 0xFFFFFFFF
    x, x_ref, y, y_ref = _unary(plan)
    if not scale.is_valid(beta):
        plan.refuse_option()
    if x.rank < 1 or x.dims[-1] > MAX_DEPTH:
        plan.refuse_type(x)
    if (y.scale, y.zero_point) != (SCALE_LOGISTIC, -128):
        plan.refuse_type(y)
    product = scale.product(scale.real(x.scale), scale.real(beta))
    value, shift = multiplier(plan, x, product, scale.real(SCALE_Q26), MAX_SHIFT)
    if shift < 1:
        plan.refuse_type(x)
    depth = x.dims[-1]
    scratch = plan.scratch(4 * depth)
    sizes = (x.elements // depth, depth, (31 << 26) >> shift, value, shift)
    plan.write_words(at, (plan.code, align8(plan.used), x_ref, y_ref, scratch) + sizes)


def _softmax_row(row, most_below, value, shift):
    """Return the exponentials and the outputs of a row."""
    most = max(row)
    exponentials = []
    for x in row:
        near = most - x <= most_below
        exponentials.append(exp_q26(multiply_by_quantized_multiplier(x - most, value, shift)) if near else 0)
    total = sum([rounding_divide_by_pot(value, _SUM_INTEGER_BITS) for value in exponentials])
    headroom = 31 - msb32(total)
    reciprocal = reciprocal_q31((total << headroom) & 0x7FFFFFFF)
    drop = _SUM_INTEGER_BITS - headroom + 23
    shares = [high_mul(reciprocal, value) for value in exponentials]
    return exponentials, [min((0 if drop > 31 else rounding_divide_by_pot(s, drop)) - 128, 127) for s in shares]


def invoke_softmax(memory, words):
    """Run the operator."""
    x_ref, y_ref, scratch, rows, depth, most_below, value, shift = words[2:10]
    for row in range(rows):
        values = memory.read(x_ref, "b", depth, row * depth)
        exponentials, out = _softmax_row(values, most_below, value, shift)
        memory.write(scratch, "i", exponentials)
        memory.write(y_ref, "b", out, row * depth)


def _prepare_floats(plan):
    at = plan.reserve(4 * QUANTIZE_WORDS)
    x, x_ref = plan.operand(0)
    y, y_ref = plan.result()
    quantize = plan.code == QUANTIZE
    if not (x.type == FLOAT32 if quantize else x.is_activation()):
        plan.refuse_type(x)
    if not (y.is_activation() if quantize else y.type == FLOAT32) or not x.same_shape(y):
        plan.refuse_type(y)
    quantized = y if quantize else x
    head = (plan.code, align8(plan.used), x_ref, y_ref, y.elements)
    plan.write_words(at, head + (quantized.zero_point, quantized.scale))


def prepare_quantize(plan):
    """Plan the operator."""
    if plan.operand(0)[0].type == INT8:
        prepare_lookup(plan)
    else:
        _prepare_floats(plan)


def invoke_quantize(memory, words):
    """Run the operator."""
    x_ref, y_ref, count, zero, bits = words[2:7]
    values = memory.read(x_ref, "I", count)
    memory.write(y_ref, "b", [clamp(float32.quotient(value, bits) + zero, -128, 127) for value in values])


def prepare_dequantize(plan):
    """Plan the operator."""
    _prepare_floats(plan)


def invoke_dequantize(memory, words):
    """Run the operator."""
    x_ref, y_ref, count, zero, bits = words[2:7]
    memory.write(y_ref, "I", [float32.scaled(value - zero, bits) for value in memory.read(x_ref, "b", count)])
