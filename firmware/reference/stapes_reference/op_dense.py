"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: the twin of op_conv.c, op_dense_weights.c,
op_fully_connected.c, st_dense.c and st_dense_int4.c. Packed weights: zero_skip.py."""

import struct

import stapes_spec as spec

from . import float32, scale, zero_skip
from .fixed import clamp, multiply_by_quantized_multiplier, wrap_i32
from .plan import align8
from .tensor import INT4, INT8, INT32

CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED = 3, 4, 9
# A record's kind only.
CONV_2D_INT4 = 1 << 16 | CONV_2D
ZERO_SKIP_INT8 = 2 << 16 | CONV_2D
ZERO_SKIP_INT4 = 3 << 16 | CONV_2D
MAX_DEPTH = 65536
MAX_STEP = 1024
MAX_SHIFT = 30
# Fused activations.
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3

_OPTIONS = {CONV_2D: 1, DEPTHWISE_CONV_2D: 2, FULLY_CONNECTED: 8}
# By the type of the options: what an operator with packed weights stands for.
STOCK = {1: CONV_2D, 8: FULLY_CONNECTED}


class Window:
    """The fields of st_record_conv_t, in its order."""

    NAMES = (
        "kind next x y scratch weights bias multipliers shifts step batches x_height x_width x_depth "
        "kernel_height kernel_width y_height y_width y_depth stride_height stride_width dilation_height "
        "dilation_width pad_height pad_width x_zero y_zero y_low y_high"
    ).split()

    def __init__(self, words=None):
        for i, name in enumerate(self.NAMES):
            setattr(self, name, words[i] if words else 0)

    def words(self):
        """Return the fields as a list."""
        return [getattr(self, name) for name in self.NAMES]


RECORD_WORDS = len(Window.NAMES)
RECORD_BYTES = 4 * RECORD_WORDS


def activation(plan, field, y):
    """Return the limits of an int8 output with a fused activation."""
    fused = plan.fb.get_i8(plan.options, field)
    zero = y.zero_point
    if fused == RELU:
        return zero, 127
    if fused == RELU6:
        return zero, min(127, zero + float32.quotient(float32.SIX, y.scale))
    if fused == RELU_N1_TO_1:
        one = float32.quotient(float32.ONE, y.scale)
        return max(-128, zero - one), min(127, zero + one)
    if fused != 0:
        plan.refuse_option()
    return -128, 127


def options(plan, kind):
    """Require the operator's option table."""
    if not plan.options or plan.options_type != kind:
        plan.refuse_option()


def multiplier(plan, tensor, numerator, denominator, max_shift):
    """Return (multiplier, shift) of a ratio; a shift that is too large is refused."""
    result = scale.quantize_ratio(numerator, denominator)
    if result[1] > max_shift:
        plan.refuse_type(tensor)
    return result


def pad_before(x, y, kernel, stride, dilation, same):
    """Return the padding before, for one dimension; -1 when the output's size is not what it must be."""
    reach = (kernel - 1) * dilation + 1
    valid = (x - reach) // stride + 1 if x >= reach else 0
    if y != ((x - 1) // stride + 1 if same else valid):
        return -1
    missing = (y - 1) * stride + reach - x
    return missing // 2 if same and missing > 0 else 0


def _load_window(plan, op, y):
    fb, table = plan.fb, plan.options
    moved = 1 if plan.code == DEPTHWISE_CONV_2D else 0
    same = fb.get_i8(table, 0) == 0
    op.stride_width = fb.get_i32(table, 1)
    op.stride_height = fb.get_i32(table, 2)
    op.dilation_width = fb.get_i32(table, 4 + moved, 1)
    op.dilation_height = fb.get_i32(table, 5 + moved, 1)
    steps = (op.stride_width, op.stride_height, op.dilation_width, op.dilation_height, op.kernel_width)
    if not all(1 <= step <= MAX_STEP for step in steps + (op.kernel_height,)):
        plan.refuse_option()
    op.pad_height = pad_before(op.x_height, op.y_height, op.kernel_height, op.stride_height, op.dilation_height, same)
    op.pad_width = pad_before(op.x_width, op.y_width, op.kernel_width, op.stride_width, op.dilation_width, same)
    op.y_low, op.y_high = activation(plan, 3 + moved, y)


def _load_shapes(op, x, w, y):
    if x.rank != 4 or w.rank != 4 or y.rank != 4 or x.dims[0] != y.dims[0]:
        return False
    op.batches, op.x_height, op.x_width, op.x_depth = x.dims
    op.kernel_height, op.kernel_width = w.dims[1:3]
    op.y_height, op.y_width, op.y_depth = y.dims[1:]
    if op.kind == DEPTHWISE_CONV_2D:
        return w.dims[0] == 1 and w.dims[3] == op.y_depth and op.y_depth % op.x_depth == 0
    return w.dims[0] == op.y_depth and w.dims[3] == op.x_depth


def _prepare_conv(plan, op):
    x, op.x = plan.operand(0)
    w = plan.shape(1) if plan.packed else plan.constant(1)
    y, op.y = plan.result()
    if not x.is_activation():
        plan.refuse_type(x)
    if not y.is_activation() or not _load_shapes(op, x, w, y):
        plan.refuse_type(y)
    if plan.code == CONV_2D and w.type == INT4:
        op.kind = CONV_2D_INT4
    op.x_zero, op.y_zero = x.zero_point, y.zero_point
    _load_window(plan, op, y)
    if op.pad_height < 0 or op.pad_width < 0:
        plan.refuse_type(y)
    return x, w, y


def _prepare_fully_connected(plan, op):
    x, op.x = plan.operand(0)
    w = plan.shape(1) if plan.packed else plan.constant(1)
    y, op.y = plan.result()
    if not x.is_activation():
        plan.refuse_type(x)
    if w.rank != 2 or x.elements % w.dims[1] != 0:
        plan.refuse_type(w)
    op.batches = x.elements // w.dims[1]
    op.y_depth, op.x_depth = w.dims
    if not y.is_activation() or y.elements != op.y_depth * op.batches:
        plan.refuse_type(y)
    op.x_zero, op.y_zero = x.zero_point, y.zero_point
    op.y_low, op.y_high = activation(plan, 0, y)
    return x, w, y


def _channel(plan, weights, k, x, y):
    bits = plan.fb.u32(weights.scales[0] + 4 * k)
    if bits == 0 and weights.scales[1] > 1:
        return (0, 0)
    if not scale.is_valid(bits):
        plan.refuse_type(weights)
    product = scale.product(scale.real(x.scale), scale.real(bits))
    return multiplier(plan, weights, product, scale.real(y.scale), MAX_SHIFT)


def _is_served(plan, op, kind):
    """Return whether weights may be of a type; FULLY_CONNECTED has int4 weights only when they are packed."""
    if plan.packed:
        return kind in (INT8, INT4)
    return kind == (INT4 if op.kind == CONV_2D_INT4 else INT8)


def _load_weights(plan, op, x, w, y):
    count = w.scales[1]
    axis = 3 if op.kind == DEPTHWISE_CONV_2D else 0
    if not _is_served(plan, op, w.type) or not w.symmetric or count not in (1, op.y_depth):
        plan.refuse_type(w)
    if (count > 1 and w.axis != axis) or w.elements // op.y_depth > MAX_DEPTH:
        plan.refuse_type(w)
    bias = plan.constant(2, optional=True)
    if bias and (bias.type != INT32 or bias.elements != op.y_depth):
        plan.refuse_type(bias)
    op.weights = w.data
    op.bias = bias.data if bias else 0
    if plan.packed:
        bits = 4 if w.type == INT4 else 8
        op.weights = zero_skip.prepare(plan, spec.ZERO_SKIP_PACKED_INPUT, op.y_depth, w.elements // op.y_depth, bits)
        op.kind = ZERO_SKIP_INT4 if bits == 4 else ZERO_SKIP_INT8
    op.step = 1 if count > 1 else 0
    _load_channels(plan, op, x, w, y)


def _load_channels(plan, op, x, w, y):
    """Compute the multipliers, or take those of a layer of the other encoder with equal scales."""
    count, scales = w.scales[1], (w.scales[0], x.scale, y.scale)
    shared = plan.shared_multipliers(scales)
    if shared is not None:
        op.multipliers, op.shifts = shared, align8(shared + 4 * count)
        return
    op.multipliers = plan.reserve(4 * count)
    op.shifts = plan.reserve(count)
    for k in range(count):
        value, shift = _channel(plan, w, k, x, y)
        plan.write(op.multipliers + 4 * k, "i", value)
        plan.write(op.shifts + k, "b", shift)
    if plan.code == DEPTHWISE_CONV_2D:
        plan.keep_multipliers(scales, op.multipliers)


def prepare(plan):
    """Plan one of the three operators."""
    op = Window()
    op.kind = plan.code
    dense = plan.code == FULLY_CONNECTED
    if dense:
        op.kind = CONV_2D
        op.x_height = op.x_width = op.y_height = op.y_width = op.kernel_height = op.kernel_width = 1
        op.stride_height = op.stride_width = op.dilation_height = op.dilation_width = 1
    options(plan, _OPTIONS[plan.code])
    if dense and plan.fb.get_i8(plan.options, 1) != 0:
        plan.refuse_option()
    at = plan.reserve(RECORD_BYTES)
    x, w, y = _prepare_fully_connected(plan, op) if dense else _prepare_conv(plan, op)
    _load_weights(plan, op, x, w, y)
    depth = op.y_depth if op.kind == DEPTHWISE_CONV_2D else w.elements // op.y_depth
    op.scratch = plan.scratch(zero_skip.scratch_bytes(op.y_depth, depth) if plan.packed else 4 * depth)
    op.next = align8(plan.used)
    plan.write_words(at, op.words())


def dot(memory, at, column):
    """Return the dot product of int8 weights in the file with a list."""
    weights = struct.unpack_from("%db" % len(column), memory.file, at)
    return sum([w * x for w, x in zip(weights, column)])


def dot_int4(memory, at, first, column):
    """Return the dot product of int4 weights, from element first on after at in the file, with a list."""
    skipped = first // 2
    count = (first + len(column) + 1) // 2 - skipped
    nibbles = []
    for byte in struct.unpack_from("%dB" % count, memory.file, at + skipped):
        nibbles += [byte & 15, byte >> 4]
    return sum([((w ^ 8) - 8) * x for w, x in zip(nibbles[first % 2 :], column)])


def _pack_int4(column):
    """Return what the kernel makes of a column for its wide dot product: st_dense_int4.c says why."""
    pairs = []
    for i in range(0, len(column), 8):
        pairs += [column[i + k + 4] + (column[i + k] << 16) for k in range(4)]
    return pairs + [0x8000, -8 * sum(column)]


def requantize(total, value, shift, op):
    """Return an accumulator as int8."""
    scaled = multiply_by_quantized_multiplier(wrap_i32(total), value, shift)
    return clamp(scaled, op.y_low - op.y_zero, op.y_high - op.y_zero) + op.y_zero


def _input_row(op, values, top, left):
    """Return x - zero of one input position, None in the padding."""
    if not (0 <= top < op.x_height and 0 <= left < op.x_width):
        return None
    at = (top * op.x_width + left) * op.x_depth
    return [value - op.x_zero for value in values[at : at + op.x_depth]]


def _rows(op, values, top, left):
    """Return the inputs under the kernel, one row per tap."""
    rows = []
    for i in range(op.kernel_height):
        for j in range(op.kernel_width):
            rows.append(_input_row(op, values, top + i * op.dilation_height, left + j * op.dilation_width))
    return rows


def _dense_position(memory, op, rows):
    column = []
    for row in rows:
        column.extend(row or [0] * op.x_depth)
    memory.write(op.scratch, "i", column)
    depth = len(column)
    if op.kind == CONV_2D_INT4:
        if depth % 8 == 0 and op.weights % 4 == 0:
            memory.write(op.scratch, "i", _pack_int4(column))
        return [dot_int4(memory, op.weights, c * depth, column) for c in range(op.y_depth)]
    return [dot(memory, op.weights + c * depth, column) for c in range(op.y_depth)]


def _packed_position(memory, op, rows):
    column = []
    for row in rows:
        # Unsigned: x + 128 is x - zero + zero + 128; what is padded is the zero point.
        column += [x + op.x_zero + 128 for x in row or [0] * op.x_depth]
    sums = zero_skip.file_sums(memory.file, op.weights, op.y_depth, len(column), column)
    memory.write(op.scratch, "i", sums)
    memory.write(op.scratch, "B", column, 4 * len(sums))
    return sums[: op.y_depth]


def _position(op):
    """Return the function that makes one position's sums from the rows of its inputs."""
    if op.kind == DEPTHWISE_CONV_2D:
        return _depthwise_position
    return _packed_position if op.kind in (ZERO_SKIP_INT8, ZERO_SKIP_INT4) else _dense_position


def _depthwise_position(memory, op, rows):
    repeat = op.y_depth // op.x_depth
    sums = [0] * op.y_depth
    for tap, row in enumerate(rows):
        if row:
            weights = struct.unpack_from("%db" % op.y_depth, memory.file, op.weights + tap * op.y_depth)
            sums = [total + w * row[c // repeat] for c, (total, w) in enumerate(zip(sums, weights))]
    return sums


def invoke(memory, words):
    """Run a planned operator of the three."""
    op = Window(words)
    size = op.x_height * op.x_width * op.x_depth
    count = op.y_depth if op.step else 1
    multipliers = struct.unpack_from("<%di" % count, memory.state, op.multipliers)
    shifts = struct.unpack_from("<%db" % count, memory.state, op.shifts)
    bias = struct.unpack_from("<%di" % op.y_depth, memory.file, op.bias) if op.bias else [0] * op.y_depth
    position = _position(op)
    out = []
    for batch in range(op.batches):
        values = memory.read(op.x, "b", size, batch * size)
        for i in range(op.y_height):
            for j in range(op.y_width):
                rows = _rows(op, values, i * op.stride_height - op.pad_height, j * op.stride_width - op.pad_width)
                sums = position(memory, op, rows)
                if op.kind == DEPTHWISE_CONV_2D:
                    memory.write(op.scratch, "i", [wrap_i32(total) for total in sums])
                sums = [wrap_i32(total + b) for total, b in zip(sums, bias)]
                for c, total in enumerate(sums):
                    out.append(requantize(total, multipliers[c * op.step], shifts[c * op.step], op))
    memory.write(op.y, "b", out)
