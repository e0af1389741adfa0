"""CONCATENATION, RESHAPE, GATHER, STRIDED_SLICE and PAD: the twin of op_concatenation.c, op_copy.c,
op_strided_slice.c and op_pad.c."""

import stapes_spec as spec

from .op_dense import options
from .plan import align8
from .tensor import INT32, MAX_BYTES, MAX_RANK

CONCATENATION, RESHAPE, PAD, GATHER, SQUEEZE, STRIDED_SLICE, PADV2, EXPAND_DIMS = 2, 22, 34, 36, 43, 45, 60, 70
MAX_INPUTS = 8


def _product(values):
    result = 1
    for value in values:
        result *= value
    return result


def _fits(x, y, axis):
    if x.rank != y.rank or x.type != y.type or not x.same_scale(y):
        return False
    return all(i == axis or x.dims[i] == y.dims[i] for i in range(y.rank))


def _load_inputs(plan, y, rows, axis):
    refs, runs = [], []
    total = 0
    for k in range(plan.op_inputs[1]):
        x, ref = plan.operand(k)
        if not _fits(x, y, axis):
            plan.refuse_type(x)
        refs.append(ref)
        runs.append(x.bytes // rows)
        total += x.dims[axis]
    if total != y.dims[axis]:
        plan.refuse_type(y)
    return refs, runs


def prepare_concatenation(plan):
    """Plan the operator."""
    count = plan.op_inputs[1]
    options(plan, 10)
    if plan.fb.get_i8(plan.options, 1) != 0 or not 1 <= count <= MAX_INPUTS:
        plan.refuse_option()
    at = plan.reserve(4 * (5 + 2 * MAX_INPUTS))
    y, y_ref = plan.result()
    axis = plan.fb.get_i32(plan.options, 0)
    if axis < 0:
        axis += y.rank
    if not 0 <= axis < y.rank:
        plan.refuse_option()
    rows = _product(y.dims[:axis])
    refs, runs = _load_inputs(plan, y, rows, axis)
    unused = [0] * (MAX_INPUTS - count)
    plan.write_words(at, [plan.code, align8(plan.used), y_ref, rows, count] + refs + unused + runs + unused)


def invoke_concatenation(memory, words):
    """Run the operator."""
    y_ref, rows, count = words[2:5]
    refs, runs = words[5 : 5 + count], words[5 + MAX_INPUTS : 5 + MAX_INPUTS + count]
    inputs = [memory.read(ref, "b", rows * run) for ref, run in zip(refs, runs)]
    out = []
    for row in range(rows):
        for values, run in zip(inputs, runs):
            out.extend(values[row * run : (row + 1) * run])
    memory.write(y_ref, "b", out)


def prepare_reshape(plan):
    """Plan the operator."""
    at = plan.reserve(24)
    x, x_ref = plan.operand(0)
    y, y_ref = plan.result()
    if x.type != y.type or x.bytes != y.bytes:
        plan.refuse_type(y)
    plan.write_words(at, (RESHAPE, align8(plan.used), x_ref, y_ref, y.bytes, 0))


def invoke_reshape(memory, words):
    """Run the operator."""
    memory.write(words[3], "b", memory.read(words[2], "b", words[4]))


def prepare_gather(plan):
    """Plan the operator."""
    options(plan, 23)
    at = plan.reserve(40)
    table, table_ref = plan.operand(0)
    indices, indices_ref = plan.operand(1)
    y, y_ref = plan.result()
    axis = plan.fb.get_i32(plan.options, 0)
    if axis < 0:
        axis += table.rank
    if not 0 <= axis < table.rank or plan.fb.get_i32(plan.options, 1) != 0:
        plan.refuse_option()
    if indices.type != INT32:
        plan.refuse_type(indices)
    rows, entries = _product(table.dims[:axis]), table.dims[axis]
    run = table.bytes // rows // entries
    if table.type != y.type or rows * run * indices.elements != y.bytes:
        plan.refuse_type(y)
    refs = (table_ref, indices_ref, y_ref)
    plan.write_words(at, (plan.code, align8(plan.used)) + refs + (rows, entries, indices.elements, run, 0))


def invoke_gather(memory, words):
    """Run the operator; returns -ERROR_ARGUMENT for an index outside the table."""
    table_ref, indices_ref, y_ref, rows, entries, count, run = words[2:9]
    table = memory.read(table_ref, "b", rows * entries * run)
    written = 0
    for row in range(rows):
        for index in memory.read(indices_ref, "i", count):
            if not 0 <= index < entries:
                return -spec.ERROR_ARGUMENT
            at = (row * entries + index) * run
            memory.write(y_ref, "b", table[at : at + run], written)
            written += run
    return 0


def _bound(plan, vector, i, dim):
    value = plan.fb.i32(vector.data + 4 * i)
    if value < 0:
        value = 0 if value < -dim else value + dim
    return min(value, dim)


def _load_bounds(plan, x):
    bounds = []
    for k in range(1, 4):
        vector = plan.constant(k)
        if vector.type != INT32 or vector.elements != x.rank:
            plan.refuse_type(vector)
        bounds.append(vector)
    return bounds


def _load_steps(plan, x, y, element, bounds):
    """Return (start, counts, steps), or None when they do not match y."""
    begin_mask, end_mask = plan.fb.get_i32(plan.options, 0), plan.fb.get_i32(plan.options, 1)
    counts, steps = [1] * MAX_RANK, [0] * MAX_RANK
    start, pitch = 0, element
    for d in range(MAX_RANK):
        if d < x.rank:
            i = x.rank - 1 - d
            dim = x.dims[i]
            begin = 0 if begin_mask >> i & 1 else _bound(plan, bounds[0], i, dim)
            end = dim if end_mask >> i & 1 else _bound(plan, bounds[1], i, dim)
            stride = plan.fb.i32(bounds[2].data + 4 * i)
            if stride <= 0 or end <= begin:
                return None
            stride = min(stride, dim)
            counts[d] = (end - begin - 1) // stride + 1
            steps[d] = stride * pitch
            start += begin * pitch
            pitch *= dim
        if counts[d] != y.dim(d):
            return None
    return start, counts, steps


def prepare_strided_slice(plan):
    """Plan the operator."""
    options(plan, 32)
    if any(plan.fb.get_i32(plan.options, field) for field in (2, 3, 4)) or plan.fb.get_i8(plan.options, 5):
        plan.refuse_option()
    at = plan.reserve(4 * (6 + 2 * MAX_RANK))
    x, x_ref = plan.operand(0)
    bounds = _load_bounds(plan, x)
    y, y_ref = plan.result()
    element = x.bytes // x.elements
    loaded = _load_steps(plan, x, y, element, bounds) if x.type == y.type else None
    if loaded is None:
        plan.refuse_type(y)
    start, counts, steps = loaded
    plan.write_words(at, [plan.code, align8(plan.used), x_ref, y_ref, start, element] + counts + steps)


def invoke_strided_slice(memory, words):
    """Run the operator."""
    x_ref, y_ref, start, element = words[2:6]
    counts, steps = words[6:10], words[10:14]
    written = 0
    for i in range(counts[3]):
        for j in range(counts[2]):
            for k in range(counts[1]):
                at = start + i * steps[3] + j * steps[2] + k * steps[1]
                for _ in range(counts[0]):
                    memory.write(y_ref, "b", memory.read(x_ref, "b", element, at), written)
                    at += steps[0]
                    written += element


def _load_padding(plan, x, y, widths):
    """Return (start, counts, steps), or None when y is not as large as x and its padding."""
    counts, steps = [1] * MAX_RANK, []
    start, pitch = 0, 1
    for d in range(MAX_RANK):
        counts[d] = x.dim(d)
        steps.append(pitch)
        if d < x.rank:
            i = x.rank - 1 - d
            before, after = plan.fb.u32(widths.data + 8 * i), plan.fb.u32(widths.data + 8 * i + 4)
            if before > MAX_BYTES or after > MAX_BYTES or before + x.dims[i] + after != y.dims[i]:
                return None
            start += before * pitch
            pitch *= y.dims[i]
    return start, counts, steps


def prepare_pad(plan):
    """Plan the operator."""
    at = plan.reserve(60)
    x, x_ref = plan.operand(0)
    widths = plan.constant(1)
    value = plan.constant(2, optional=True)
    y, y_ref = plan.result()
    if not x.is_activation():
        plan.refuse_type(x)
    if widths.type != INT32 or widths.elements != 2 * x.rank:
        plan.refuse_type(widths)
    fits = y.is_activation() and y.rank == x.rank and x.same_scale(y)
    loaded = _load_padding(plan, x, y, widths) if fits else None
    if loaded is None:
        plan.refuse_type(y)
    if value and (not value.is_activation() or value.elements != 1 or not value.same_scale(y)):
        plan.refuse_type(value)
    filling = (plan.fb.data[value.data] ^ 0x80) - 0x80 if value else y.zero_point
    start, counts, steps = loaded
    plan.write_words(at, [PAD, align8(plan.used), x_ref, y_ref, y.bytes, filling, start] + counts + steps)


def invoke_pad(memory, words):
    """Run the operator."""
    x_ref, y_ref, size, value, start = words[2:7]
    counts, steps = words[7:11], words[11:15]
    out = [value] * size
    run = counts[0]
    read = 0
    for i in range(counts[3]):
        for j in range(counts[2]):
            for k in range(counts[1]):
                at = start + i * steps[3] + j * steps[2] + k * steps[1]
                out[at : at + run] = memory.read(x_ref, "b", run, read)
                read += run
    memory.write(y_ref, "b", out)
