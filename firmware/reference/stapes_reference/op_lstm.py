"""UNIDIRECTIONAL_SEQUENCE_LSTM: the twin of op_lstm.c."""

import struct

from . import scale
from .fixed import clamp, multiply_by_quantized_multiplier, saturate_i16, wrap_i32
from .op_dense import MAX_DEPTH, MAX_SHIFT, dot, multiplier, options
from .plan import align8
from .sigmoid import sigmoid_q15, tanh_q15
from .tensor import INT8, INT16, INT32

GATES = 4
INPUT, FORGET, CELL, OUTPUT = 0, 1, 2, 3
WEIGHTS, RECURRENT, PEEPHOLE, BIAS, PROJECTION, HIDDEN, CELL_STATE, NORM = 1, 5, 9, 12, 16, 18, 19, 20
OPERANDS = 24
SCALE_GATE = 0x39800000  # 2^-12
SCALE_OUTPUT = 0x38000000  # 2^-15
HEAD_WORDS = 22
GATE_WORDS = 8
RECORD_BYTES = 4 * (HEAD_WORDS + GATES * GATE_WORDS)


def _is_absent(plan, first, count):
    return all(plan.fb.i32_at(plan.op_inputs, k) == -1 for k in range(first, first + count))


def _check_options(plan):
    fb = plan.fb
    clip = fb.get_i32(plan.options, 1)
    plain = fb.get_i8(plan.options, 0) == 4 and 0 <= clip < 0x7F800000 and fb.get_i32(plan.options, 2) == 0
    if not plain or plan.op_inputs[1] != OPERANDS:
        plan.refuse_option()
    if not (_is_absent(plan, PEEPHOLE, 3) and _is_absent(plan, PROJECTION, 2) and _is_absent(plan, NORM, 4)):
        plan.refuse_option()


def _load_shapes(plan, x, y):
    """Return (steps, inputs, cells), or None."""
    time = 0 if plan.fb.get_i8(plan.options, 3) else 1
    if x.rank != 3 or y.rank != 3 or x.dims[1 - time] != 1 or y.dims[1 - time] != 1:
        return None
    if x.dims[time] != y.dims[time] or max(x.dims[2], y.dims[2]) > MAX_DEPTH:
        return None
    return x.dims[time], x.dims[2], y.dims[2]


def _quantized_clip(clip, power):
    if not scale.is_valid(clip):
        return 0 if clip else -1
    mantissa, exponent = scale.real(clip)
    shift = exponent - power
    if shift > -9:
        return 32767
    return 0 if shift < -31 else min(mantissa >> -shift, 32767)


def _load_cell_scale(plan, cell, hidden):
    """Return (power, clip, forget, input and hidden multipliers)."""
    output, cell_real = scale.real(SCALE_OUTPUT), scale.real(cell.scale)
    squared = scale.product(output, output)
    power = (cell.scale >> 23) - 127
    if cell.scale & 0x7FFFFF or not -15 <= power <= -9 or not cell.symmetric:
        plan.refuse_type(cell)
    forget = scale.quantize_ratio(scale.product(output, cell_real), cell_real)
    added = scale.quantize_ratio(squared, cell_real)
    clip = _quantized_clip(plan.fb.get_i32(plan.options, 1) & 0xFFFFFFFF, power)
    return power, clip, forget, added, multiplier(plan, cell, squared, scale.real(hidden.scale), MAX_SHIFT)


def _load_matrix(plan, k, cells, columns, x_scale):
    """Return a weight matrix's position and its multiplier into Q3.12."""
    w = plan.constant(k)
    if w.type != INT8 or not w.symmetric or w.scales[1] != 1 or not scale.is_valid(w.scale):
        plan.refuse_type(w)
    if w.dims != [cells, columns]:
        plan.refuse_type(w)
    product = scale.product(scale.real(x_scale), scale.real(w.scale))
    return w.data, multiplier(plan, w, product, scale.real(SCALE_GATE), MAX_SHIFT)


def _load_gates(plan, inputs, cells, x_scale, h_scale):
    words = ()
    for k in range(GATES):
        weights, weights_scale = _load_matrix(plan, WEIGHTS + k, cells, inputs, x_scale)
        recurrent, recurrent_scale = _load_matrix(plan, RECURRENT + k, cells, cells, h_scale)
        bias = plan.constant(BIAS + k)
        if bias.type != INT32 or bias.elements != cells:
            plan.refuse_type(bias)
        words += (weights, recurrent, bias.data, 0) + weights_scale + recurrent_scale
    return words


def prepare(plan):
    """Plan the operator."""
    options(plan, 71)
    _check_options(plan)
    at = plan.reserve(RECORD_BYTES)
    x, x_ref = plan.operand(0)
    y, y_ref = plan.result()
    if not x.is_activation():
        plan.refuse_type(x)
    shapes = _load_shapes(plan, x, y) if y.is_activation() else None
    if shapes is None:
        plan.refuse_type(y)
    steps, inputs, cells = shapes
    hidden, hidden_at = plan.variable(HIDDEN, INT8, cells)
    if not hidden.same_scale(y):
        plan.refuse_type(hidden)
    cell, cell_at = plan.variable(CELL_STATE, INT16, cells)
    power, clip, forget, added, out = _load_cell_scale(plan, cell, hidden)
    gates = _load_gates(plan, inputs, cells, x.scale, hidden.scale)
    columns = (plan.scratch(4 * inputs), plan.scratch(4 * cells))
    head = (plan.code, align8(plan.used), x_ref, y_ref) + columns + (hidden_at, cell_at)
    sizes = (steps, inputs, cells, x.zero_point, y.zero_point, power, clip, 0)
    plan.write_words(at, head + sizes + forget + added + out + gates)


class Lstm:
    """The record's fields."""

    def __init__(self, words):
        self.x, self.y, self.x_column, self.h_column, self.hidden, self.cell = words[2:8]
        self.steps, self.inputs, self.cells, self.x_zero, self.h_zero, self.power, self.clip = words[8:15]
        self.forget, self.added, self.out = words[16:18], words[18:20], words[20:22]
        self.gates = [words[HEAD_WORDS + GATE_WORDS * k :][:GATE_WORDS] for k in range(GATES)]


def reset(memory, words):
    """Recurrent state to zero."""
    op = Lstm(words)
    struct.pack_into("%db" % op.cells, memory.state, op.hidden, *([op.h_zero] * op.cells))
    struct.pack_into("<%dh" % op.cells, memory.state, op.cell, *([0] * op.cells))


def _to_i16(total, value, shift):
    return saturate_i16(multiply_by_quantized_multiplier(wrap_i32(total), value, shift))


def _gate(memory, op, k, i, x, h):
    weights, recurrent, bias, _, x_value, x_shift, h_value, h_shift = op.gates[k]
    total = dot(memory, weights + i * op.inputs, x) + struct.unpack_from("<i", memory.file, bias + 4 * i)[0]
    carried = dot(memory, recurrent + i * op.cells, h)
    return saturate_i16(_to_i16(total, x_value, x_shift) + _to_i16(carried, h_value, h_shift))


def _cell_step(memory, op, i, old, x, h):
    """Return (new cell, new hidden) of one cell."""
    taken = sigmoid_q15(_gate(memory, op, INPUT, i, x, h))
    kept = sigmoid_q15(_gate(memory, op, FORGET, i, x, h))
    candidate = tanh_q15(_gate(memory, op, CELL, i, x, h), -12)
    output = sigmoid_q15(_gate(memory, op, OUTPUT, i, x, h))
    cell = saturate_i16(_to_i16(kept * old, *op.forget) + _to_i16(taken * candidate, *op.added))
    if op.clip >= 0:
        cell = clamp(cell, -op.clip, op.clip)
    scaled = multiply_by_quantized_multiplier(output * tanh_q15(cell, op.power), *op.out)
    return cell, clamp(scaled, -128 - op.h_zero, 127 - op.h_zero) + op.h_zero


def invoke(memory, words):
    """Run the operator."""
    op = Lstm(words)
    for t in range(op.steps):
        x = [value - op.x_zero for value in memory.read(op.x, "b", op.inputs, t * op.inputs)]
        h = [value - op.h_zero for value in struct.unpack_from("%db" % op.cells, memory.state, op.hidden)]
        memory.write(op.x_column, "i", x)
        memory.write(op.h_column, "i", h)
        old = struct.unpack_from("<%dh" % op.cells, memory.state, op.cell)
        new = [_cell_step(memory, op, i, old[i], x, h) for i in range(op.cells)]
        struct.pack_into("<%dh" % op.cells, memory.state, op.cell, *[cell for cell, _ in new])
        hidden = [value for _, value in new]
        struct.pack_into("%db" % op.cells, memory.state, op.hidden, *hidden)
        memory.write(op.y, "b", hidden, t * op.cells)
