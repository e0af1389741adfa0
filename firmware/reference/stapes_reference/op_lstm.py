"""UNIDIRECTIONAL_SEQUENCE_LSTM: the twin of op_lstm.c."""

import struct

import stapes_spec as spec

from . import scale, zero_skip
from .fixed import clamp, multiply_by_quantized_multiplier, saturate_i16, wrap_i32
from .op_dense import MAX_DEPTH, MAX_SHIFT, dot, multiplier, options
from .plan import align8
from .sigmoid import sigmoid_q15, tanh_q15
from .tensor import INT8, INT16, INT32

LSTM = 44
ZERO_SKIP_LSTM = 2 << 16 | LSTM  # a record's kind only: packed weights
OPTIONS = 71
GATES = 4
INPUT, FORGET, CELL, OUTPUT = 0, 1, 2, 3
WEIGHTS, RECURRENT, PEEPHOLE, BIAS, PROJECTION, HIDDEN, CELL_STATE, NORM = 1, 5, 9, 12, 16, 18, 19, 20
OPERANDS = 24
PACKED_OPERANDS = spec.ZERO_SKIP_LSTM_BIAS_INPUT + GATES
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
    if not plain or plan.op_inputs[1] != (PACKED_OPERANDS if plan.packed else OPERANDS):
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
    """Return a weight matrix's position, or its packed weights', and its multiplier into Q3.12."""
    w = plan.shape(k) if plan.packed else plan.constant(k)
    if w.type != INT8 or not w.symmetric or w.scales[1] != 1 or not scale.is_valid(w.scale):
        plan.refuse_type(w)
    if w.dims != [cells, columns]:
        plan.refuse_type(w)
    at = w.data
    if plan.packed:
        at = zero_skip.prepare(plan, spec.ZERO_SKIP_LSTM_INPUT + k - WEIGHTS, cells, columns, None)
    product = scale.product(scale.real(x_scale), scale.real(w.scale))
    return at, multiplier(plan, w, product, scale.real(SCALE_GATE), MAX_SHIFT)


def _load_bias(plan, k, cells, optional=False):
    """Return a bias's position, 0 when it is absent."""
    bias = plan.constant(k, optional)
    if not bias:
        return 0
    if bias.type != INT32 or bias.elements != cells:
        plan.refuse_type(bias)
    return bias.data


def _load_gates(plan, inputs, cells, x_scale, h_scale):
    words = ()
    for k in range(GATES):
        weights, weights_scale = _load_matrix(plan, WEIGHTS + k, cells, inputs, x_scale)
        recurrent, recurrent_scale = _load_matrix(plan, RECURRENT + k, cells, cells, h_scale)
        bias = _load_bias(plan, BIAS + k, cells)
        h_bias = _load_bias(plan, spec.ZERO_SKIP_LSTM_BIAS_INPUT + k, cells, True) if plan.packed else 0
        words += (weights, recurrent, bias, h_bias) + weights_scale + recurrent_scale
    return words


def prepare(plan):
    """Plan the operator."""
    options(plan, OPTIONS)
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
    size = 1 if plan.packed else 4
    columns = (plan.scratch(size * inputs), plan.scratch(size * cells))
    gate_scratch = plan.scratch(2 * zero_skip.sum_bytes(cells) + 2 * GATES * cells) if plan.packed else 0
    head = (ZERO_SKIP_LSTM if plan.packed else LSTM, align8(plan.used), x_ref, y_ref) + columns + (hidden_at, cell_at)
    sizes = (steps, inputs, cells, x.zero_point, y.zero_point, power, clip, gate_scratch)
    plan.write_words(at, head + sizes + forget + added + out + gates)


class Lstm:
    """The record's fields."""

    def __init__(self, words):
        self.packed = words[0] == ZERO_SKIP_LSTM
        self.x, self.y, self.x_column, self.h_column, self.hidden, self.cell = words[2:8]
        self.steps, self.inputs, self.cells, self.x_zero, self.h_zero, self.power, self.clip, self.scratch = words[8:16]
        self.forget, self.added, self.out = words[16:18], words[18:20], words[20:22]
        self.gates = [words[HEAD_WORDS + GATE_WORDS * k :][:GATE_WORDS] for k in range(GATES)]


def reset(memory, words):
    """Recurrent state to zero."""
    op = Lstm(words)
    struct.pack_into("%db" % op.cells, memory.state, op.hidden, *([op.h_zero] * op.cells))
    struct.pack_into("<%dh" % op.cells, memory.state, op.cell, *([0] * op.cells))


def _to_i16(total, value, shift):
    return saturate_i16(multiply_by_quantized_multiplier(wrap_i32(total), value, shift))


def _join_sums(gate, total, carried):
    """Return a gate's pre-activation, Q3.12, from its two sums of products."""
    x_value, x_shift, h_value, h_shift = gate[4:]
    return saturate_i16(_to_i16(total, x_value, x_shift) + _to_i16(carried, h_value, h_shift))


def _bias(memory, at, cells):
    """Return the bias at a position of the file, zeros when it is absent."""
    return struct.unpack_from("<%di" % cells, memory.file, at) if at else [0] * cells


def _gates(memory, op, x, h):
    """Return the pre-activations of all gates, one list of cells each."""
    memory.write(op.x_column, "i", x)
    memory.write(op.h_column, "i", h)
    result = []
    for gate in op.gates:
        weights, recurrent, bias = gate[:3]
        totals = [dot(memory, weights + i * op.inputs, x) + b for i, b in enumerate(_bias(memory, bias, op.cells))]
        carried = [dot(memory, recurrent + i * op.cells, h) for i in range(op.cells)]
        result.append([_join_sums(gate, total, more) for total, more in zip(totals, carried)])
    return result


def _packed_gates(memory, op, x, h):
    """The same of packed weights."""
    # Unsigned: x + 128 is x - zero + zero + 128.
    x = [value + op.x_zero + 128 for value in x]
    h = [value + op.h_zero + 128 for value in h]
    memory.write(op.x_column, "B", x)
    memory.write(op.h_column, "B", h)
    size = zero_skip.sum_bytes(op.cells)
    result = []
    for k, gate in enumerate(op.gates):
        weights, recurrent, bias, h_bias = gate[:4]
        totals = zero_skip.file_sums(memory.file, weights, op.cells, op.inputs, x)
        carried = zero_skip.file_sums(memory.file, recurrent, op.cells, op.cells, h)
        memory.write(op.scratch, "i", totals + carried)
        pairs = zip(totals, _bias(memory, bias, op.cells), carried, _bias(memory, h_bias, op.cells))
        result.append([_join_sums(gate, total + b, more + d) for total, b, more, d in pairs])
        memory.write(op.scratch, "h", result[k], 2 * size + 2 * k * op.cells)
    return result


def _cell_step(op, old, gates):
    """Return (new cell, new hidden) of one cell from its gates' pre-activations."""
    taken, kept, output = [sigmoid_q15(gates[k]) for k in (INPUT, FORGET, OUTPUT)]
    candidate = tanh_q15(gates[CELL], -12)
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
        gates = _packed_gates(memory, op, x, h) if op.packed else _gates(memory, op, x, h)
        old = struct.unpack_from("<%dh" % op.cells, memory.state, op.cell)
        new = [_cell_step(op, old[i], [gate[i] for gate in gates]) for i in range(op.cells)]
        struct.pack_into("<%dh" % op.cells, memory.state, op.cell, *[cell for cell, _ in new])
        hidden = [value for _, value in new]
        struct.pack_into("%db" % op.cells, memory.state, op.hidden, *hidden)
        memory.write(op.y, "b", hidden, t * op.cells)
