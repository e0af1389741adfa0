"""AVERAGE_POOL_2D, MAX_POOL_2D and MEAN: the twin of op_pool.c and op_mean.c."""

from . import scale
from .fixed import clamp, msb32, multiply_by_quantized_multiplier
from .op_dense import MAX_STEP, activation, multiplier, options, pad_before
from .plan import align8
from .tensor import INT32, MAX_RANK

AVERAGE_POOL_2D, MAX_POOL_2D, MEAN = 1, 17, 40
POOL_WORDS = 18
MEAN_WORDS = 18
MAX_COUNT = 1 << 23
MAX_SHIFT = 30


def _load_window(plan, x, y):
    """Return the words from the window's height on."""
    fb, table = plan.fb, plan.options
    same = fb.get_i8(table, 0) == 0
    stride_width, stride_height, width, height = [fb.get_i32(table, field) for field in range(1, 5)]
    if not all(1 <= step <= MAX_STEP for step in (stride_width, stride_height, width, height)):
        plan.refuse_option()
    pad_height = pad_before(x.dims[1], y.dims[1], height, stride_height, 1, same)
    pad_width = pad_before(x.dims[2], y.dims[2], width, stride_width, 1, same)
    if pad_height < 0 or pad_width < 0:
        plan.refuse_type(y)
    limits = activation(plan, 5, y)
    return (height, width, stride_height, stride_width, pad_height, pad_width) + limits


def prepare_pool(plan):
    """Plan the operator."""
    options(plan, 5)
    at = plan.reserve(4 * POOL_WORDS)
    x, x_ref = plan.operand(0)
    y, y_ref = plan.result()
    if not x.is_activation() or x.rank != 4:
        plan.refuse_type(x)
    if not y.is_activation() or y.rank != 4 or not x.same_scale(y):
        plan.refuse_type(y)
    if y.dims[0] != x.dims[0] or y.dims[3] != x.dims[3]:
        plan.refuse_type(y)
    window = _load_window(plan, x, y)
    sizes = (x.dims[0], x.dims[3], x.dims[1], x.dims[2], y.dims[1], y.dims[2])
    plan.write_words(at, (plan.code, align8(plan.used), x_ref, y_ref) + sizes + window)


def _average(values):
    count = len(values)
    total = sum(values)
    # C's division truncates towards zero.
    return (total + count // 2) // count if total > 0 else -((count // 2 - total) // count)


def _pool_position(op, values, top, left):
    """Return the outputs of one position."""
    depth, height, width = op[5], op[6], op[7]
    low, high = op[16:18]
    rows = []
    for i in range(max(top, 0), min(top + op[10], height)):
        for j in range(max(left, 0), min(left + op[11], width)):
            rows.append(values[(i * width + j) * depth : (i * width + j + 1) * depth])
    function = _average if op[0] == AVERAGE_POOL_2D else max
    return [clamp(function([row[c] for row in rows]), low, high) for c in range(depth)]


def invoke_pool(memory, words):
    """Run the operator."""
    x_ref, y_ref, batches, depth, height, width, y_height, y_width = words[2:10]
    stride_height, stride_width, pad_height, pad_width = words[12:16]
    size = height * width * depth
    out = []
    for batch in range(batches):
        values = memory.read(x_ref, "b", size, batch * size)
        for i in range(y_height):
            for j in range(y_width):
                out.extend(_pool_position(words, values, i * stride_height - pad_height, j * stride_width - pad_width))
    memory.write(y_ref, "b", out)


def _load_axes(plan, axes, rank):
    """Return the dimensions to average over, or None."""
    found = set()
    for i in range(axes.elements):
        axis = plan.fb.i32(axes.data + 4 * i)
        axis += rank if axis < 0 else 0
        if not 0 <= axis < rank:
            return None
        found.add(axis)
    return found


def _load_loops(x, axes):
    """Return (elements of one mean, outputs, counts, steps)."""
    elements = outputs = 1
    counts, steps = [], []
    for d in range(MAX_RANK):
        counts.append(x.dim(d))
        averaged = d < x.rank and x.rank - 1 - d in axes
        steps.append(0 if averaged else outputs)
        if averaged:
            elements *= x.dim(d)
        else:
            outputs *= x.dim(d)
    return elements, outputs, counts, steps


def prepare_mean(plan):
    """Plan the operator."""
    at = plan.reserve(4 * MEAN_WORDS)
    x, x_ref = plan.operand(0)
    axes = plan.constant(1)
    y, y_ref = plan.result()
    if not x.is_activation():
        plan.refuse_type(x)
    dimensions = _load_axes(plan, axes, x.rank) if axes.type == INT32 else None
    if dimensions is None:
        plan.refuse_type(axes)
    elements, outputs, counts, steps = _load_loops(x, dimensions)
    if not y.is_activation() or y.elements != outputs or elements > MAX_COUNT:
        plan.refuse_type(y)
    value, shift = multiplier(plan, y, scale.real(x.scale), scale.real(y.scale), MAX_SHIFT)
    moved = min(msb32(elements), 31 + shift)
    sums = plan.scratch(4 * outputs)
    head = [plan.code, align8(plan.used), x_ref, y_ref, sums, outputs]
    tail = [x.zero_point * elements, y.zero_point, (value << moved) // elements, shift - moved]
    plan.write_words(at, head + counts + steps + tail)


def invoke_mean(memory, words):
    """Run the operator."""
    x_ref, y_ref, sums_ref, outputs = words[2:6]
    counts, steps = words[6:10], words[10:14]
    offset, zero, value, shift = words[14:18]
    values = memory.read(x_ref, "b", counts[0] * counts[1] * counts[2] * counts[3])
    sums = [0] * outputs
    at = 0
    for i in range(counts[3]):
        for j in range(counts[2]):
            for k in range(counts[1]):
                into = i * steps[3] + j * steps[2] + k * steps[1]
                for n in range(counts[0]):
                    sums[into + n * steps[0]] += values[at]
                    at += 1
    memory.write(sums_ref, "i", sums)
    scaled = [multiply_by_quantized_multiplier(total - offset, value, shift) for total in sums]
    memory.write(y_ref, "b", [clamp(total, -128 - zero, 127 - zero) + zero for total in scaled])
