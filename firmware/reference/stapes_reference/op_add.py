"""ADD of two int8 tensors of one shape: the twin of op_add.c."""

from . import scale
from .fixed import clamp, multiply_by_quantized_multiplier
from .op_dense import activation, multiplier, options
from .plan import align8

OPTIONS = 11
LEFT_SHIFT = 20
RECORD_BYTES = 4 * 16


def prepare(plan):
    """Plan the operator."""
    options(plan, OPTIONS)
    at = plan.reserve(RECORD_BYTES)
    a, a_ref = plan.operand(0)
    b, b_ref = plan.operand(1)
    y, y_ref = plan.result()
    if not a.is_activation():
        plan.refuse_type(a)
    if not b.is_activation() or not a.same_shape(b):
        plan.refuse_type(b)
    if not y.is_activation() or not a.same_shape(y):
        plan.refuse_type(y)
    largest = scale.real(max(a.scale, b.scale))
    twice_max = (largest[0], largest[1] + 1)
    y_real = scale.real(y.scale)
    a_scale = scale.quantize_ratio(scale.real(a.scale), twice_max)
    b_scale = scale.quantize_ratio(scale.real(b.scale), twice_max)
    y_scale = multiplier(plan, y, twice_max, (y_real[0], y_real[1] + LEFT_SHIFT), 0)
    low = activation(plan, 0, y.zero_point)
    zeros = (a.zero_point, b.zero_point, y.zero_point, low)
    head = (plan.code, align8(plan.used), a_ref, b_ref, y_ref, y.elements)
    plan.write_words(at, head + zeros + a_scale + b_scale + y_scale)


def invoke(memory, words):
    """Run the operator."""
    a_ref, b_ref, y_ref, count, a_zero, b_zero, y_zero, low, a_value, a_shift, b_value, b_shift, value, shift = words[
        2:16
    ]
    out = []
    for a, b in zip(memory.read(a_ref, "b", count), memory.read(b_ref, "b", count)):
        total = multiply_by_quantized_multiplier((a - a_zero) << LEFT_SHIFT, a_value, a_shift)
        total += multiply_by_quantized_multiplier((b - b_zero) << LEFT_SHIFT, b_value, b_shift)
        out.append(clamp(multiply_by_quantized_multiplier(total, value, shift) + y_zero, low, 127))
    memory.write(y_ref, "b", out)
