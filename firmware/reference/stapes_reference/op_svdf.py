"""SVDF: the twin of op_svdf.c."""

import struct

from . import float32, scale
from .fixed import clamp, multiply_by_quantized_multiplier, wrap_i32
from .op_dense import MAX_DEPTH, MAX_SHIFT, dot, multiplier, options
from .plan import align8
from .tensor import INT8, INT16, INT32

SVDF = 27
OPERANDS = 5
FEATURE, TIME, BIAS, STATE = 1, 2, 3, 4
RECORD_WORDS = 21


def _load_scale(plan, a, b, c):
    """Return the multiplier a * b / c, in float32 as the reference computes it."""
    product = float32.multiply(a.scale, b.scale)
    ratio = float32.divide(product, c.scale) if product else 0
    if ratio == 0:
        plan.refuse_type(b)
    return multiplier(plan, b, scale.real(ratio), scale.real(float32.ONE), MAX_SHIFT)


def _load_matrix(plan, k, kind, rows):
    w = plan.constant(k)
    if w.type != kind or not w.symmetric or w.scales[1] != 1 or not scale.is_valid(w.scale) or w.rank != 2:
        plan.refuse_type(w)
    if (rows and w.dims[0] != rows) or w.dims[1] > MAX_DEPTH:
        plan.refuse_type(w)
    return w


def _load_bias(plan, units):
    """Return the bias's position, 0 when it is absent."""
    bias = plan.constant(BIAS, optional=True)
    if bias and (bias.type != INT32 or bias.elements != units):
        plan.refuse_type(bias)
    return bias.data if bias else 0


def prepare(plan):
    """Plan the operator."""
    options(plan, 6)
    if plan.op_inputs[1] != OPERANDS:
        plan.refuse_option()
    at = plan.reserve(4 * RECORD_WORDS)
    x, x_ref = plan.operand(0)
    y, y_ref = plan.result()
    if not x.is_activation() or x.rank != 2:
        plan.refuse_type(x)
    if not y.is_activation() or y.rank != 2:
        plan.refuse_type(y)
    rank = plan.fb.get_i32(plan.options, 0)
    element = 1 if plan.constant(TIME).type == INT8 else 2
    kind = INT8 if element == 1 else INT16
    feature = _load_matrix(plan, FEATURE, INT8, 0)
    time = _load_matrix(plan, TIME, kind, feature.dims[0])
    filters, inputs = feature.dims
    activation = plan.fb.get_i8(plan.options, 1)
    if rank < 1 or filters % rank != 0 or activation not in (0, 1):
        plan.refuse_option()
    units = filters // rank
    if x.dims[1] != inputs or y.dims != [x.dims[0], units]:
        plan.refuse_type(y)
    bias = _load_bias(plan, units)
    state, state_at = plan.variable(STATE, kind, x.dims[0] * filters * time.dims[1])
    if not state.symmetric:
        plan.refuse_type(state)
    scales = _load_scale(plan, x, feature, state) + _load_scale(plan, state, time, y)
    column = plan.scratch(4 * inputs)
    head = (plan.code, align8(plan.used), x_ref, y_ref, column, state_at, feature.data, time.data, bias, element)
    sizes = (x.dims[0], inputs, filters, time.dims[1], rank, x.zero_point, y.zero_point)
    plan.write_words(at, head + sizes + scales)


def _code(words):
    return "b" if words[9] == 1 else "h"


def reset(memory, words):
    """Recurrent state to zero."""
    count = words[10] * words[12] * words[13]
    struct.pack_into("<%d%s" % (count, _code(words)), memory.state, words[5], *([0] * count))


def _next_state(memory, words, old, column):
    """Return a batch's state, one step later."""
    feature, inputs, filters, depth = words[6], words[11], words[12], words[13]
    value, shift = words[17:19]
    limit = 127 if words[9] == 1 else 32767
    new = list(old)
    for i in range(filters):
        total = wrap_i32(dot(memory, feature + i * inputs, column))
        at = i * depth
        new[at : at + depth - 1] = old[at + 1 : at + depth]
        new[at + depth - 1] = clamp(multiply_by_quantized_multiplier(total, value, shift), -1 - limit, limit)
    return new


def _outputs(memory, words, state):
    """Return a batch's outputs."""
    time, bias = words[7:9]
    filters, depth, rank = words[12:15]
    zero, value, shift = words[16], words[19], words[20]
    weights = struct.unpack_from("<%d%s" % (filters * depth, _code(words)), memory.file, time)
    out = []
    for unit in range(filters // rank):
        total = struct.unpack_from("<i", memory.file, bias + 4 * unit)[0] if bias else 0
        first = unit * rank * depth
        for k in range(first, first + rank * depth):
            total += weights[k] * state[k]
        scaled = multiply_by_quantized_multiplier(wrap_i32(total), value, shift)
        out.append(clamp(scaled, -128 - zero, 127 - zero) + zero)
    return out


def invoke(memory, words):
    """Run the operator."""
    x_ref, y_ref, column_ref, state_at = words[2:6]
    element, batches, inputs, filters, depth = words[9:14]
    code = "<%d%s" % (filters * depth, _code(words))
    size = filters * depth * element
    units = filters // words[14]
    for batch in range(batches):
        column = [value - words[15] for value in memory.read(x_ref, "b", inputs, batch * inputs)]
        memory.write(column_ref, "i", column)
        old = struct.unpack_from(code, memory.state, state_at + batch * size)
        state = _next_state(memory, words, old, column)
        struct.pack_into(code, memory.state, state_at + batch * size, *state)
        memory.write(y_ref, "b", _outputs(memory, words, state), batch * units)
