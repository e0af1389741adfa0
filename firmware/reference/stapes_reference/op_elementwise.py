"""ADD and MUL of two int8 tensors: the twin of op_elementwise.c."""

from . import scale
from .fixed import clamp, multiply_by_quantized_multiplier, wrap_i32
from .op_dense import activation, multiplier, options
from .plan import align8
from .tensor import MAX_RANK

ADD, MUL = 0, 18
LEFT_SHIFT = 20
MAX_SHIFT = 30
HEAD_WORDS = 16
RECORD_WORDS = HEAD_WORDS + 3 * MAX_RANK
_OPTIONS = {ADD: 11, MUL: 21}


def _add_scales(plan, a, b, y):
    """Return the multipliers of a, of b and of their sum."""
    largest = scale.real(max(a.scale, b.scale))
    twice_max = (largest[0], largest[1] + 1)
    y_real = scale.real(y.scale)
    a_scale = scale.quantize_ratio(scale.real(a.scale), twice_max)
    b_scale = scale.quantize_ratio(scale.real(b.scale), twice_max)
    return a_scale + b_scale + multiplier(plan, y, twice_max, (y_real[0], y_real[1] + LEFT_SHIFT), 0)


def _mul_scales(plan, a, b, y):
    """Return the multiplier of the product, after two that it does not need."""
    product = scale.product(scale.real(a.scale), scale.real(b.scale))
    return (0, 0, 0, 0) + multiplier(plan, y, product, scale.real(y.scale), MAX_SHIFT)


def _load_loops(a, b, y):
    """Return the loops as [count, step of a, step of b], innermost first; None when a and b do not broadcast to y."""
    loops = []
    a_pitch = b_pitch = 1
    for d in range(MAX_RANK):
        a_dim, b_dim = a.dim(d), b.dim(d)
        dim = max(a_dim, b_dim)
        if a_dim not in (1, dim) or b_dim not in (1, dim) or y.dim(d) != dim:
            return None
        if dim > 1:
            steps = [a_pitch if a_dim > 1 else 0, b_pitch if b_dim > 1 else 0]
            if not loops or steps != [step * loops[-1][0] for step in loops[-1][1:]]:
                loops.append([1] + steps)
            loops[-1][0] *= dim
        a_pitch *= a_dim
        b_pitch *= b_dim
    return loops + [[1, 0, 0]] * (MAX_RANK - len(loops))


def prepare(plan):
    """Plan the operator."""
    options(plan, _OPTIONS[plan.code])
    at = plan.reserve(4 * RECORD_WORDS)
    a, a_ref = plan.operand(0)
    b, b_ref = plan.operand(1)
    y, y_ref = plan.result()
    if not a.is_activation():
        plan.refuse_type(a)
    if not b.is_activation():
        plan.refuse_type(b)
    loops = _load_loops(a, b, y) if y.is_activation() else None
    if loops is None:
        plan.refuse_type(y)
    scales = _add_scales(plan, a, b, y) if plan.code == ADD else _mul_scales(plan, a, b, y)
    limits = activation(plan, 0, y)
    head = (plan.code, align8(plan.used), a_ref, b_ref, y_ref, a.zero_point, b.zero_point, y.zero_point)
    plan.write_words(at, head + limits + scales + tuple(loop[k] for k in range(3) for loop in loops))


def _sum(op, a, b):
    a_value, a_shift, b_value, b_shift = op[10:14]
    total = multiply_by_quantized_multiplier((a - op[5]) << LEFT_SHIFT, a_value, a_shift)
    return total + multiply_by_quantized_multiplier((b - op[6]) << LEFT_SHIFT, b_value, b_shift)


def _product(op, a, b):
    return (a - op[5]) * (b - op[6])


def _length(count, step):
    """Return the elements of a tensor that loops run through."""
    return 1 + sum([(n - 1) * pitch for n, pitch in zip(count, step)])


def invoke(memory, words):
    """Run the operator."""
    y_zero, low, high = words[7:10]
    value, shift = words[14:16]
    count, a_step, b_step = words[16:20], words[20:24], words[24:28]
    a = memory.read(words[2], "b", _length(count, a_step))
    b = memory.read(words[3], "b", _length(count, b_step))
    function = _sum if words[0] == ADD else _product
    out = []
    for i in range(count[3]):
        for j in range(count[2]):
            for k in range(count[1]):
                at_a = i * a_step[3] + j * a_step[2] + k * a_step[1]
                at_b = i * b_step[3] + j * b_step[2] + k * b_step[1]
                for n in range(count[0]):
                    total = function(words, a[at_a + n * a_step[0]], b[at_b + n * b_step[0]])
                    scaled = multiply_by_quantized_multiplier(wrap_i32(total), value, shift)
                    out.append(clamp(scaled, low - y_zero, high - y_zero) + y_zero)
    memory.write(words[4], "b", out)
