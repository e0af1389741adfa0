"""The integer grids of quantisation inside a float network: simulated activations, weights pulled to levels.

Reference: H. D. Nguyen, A. Alexandridis, A. Mouchtaris, Quantization Aware Training with
Absolute-Cosine Regularization for Automatic Speech Recognition, Interspeech 2020 (the penalty, here
with the levels on the multiples of the step, so that its cosine is shifted by half a period);
Y. Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, arXiv:1308.3432
(the straight-through gradient).
"""

import math

import numpy as np
from keras import ops

from stapes_tools.convert.scales import ACTIVATION_MAX, ACTIVATION_MIN, WEIGHT_MAX

# Parts of a row's largest weight that are tried as the grid's end.
_CLIP_LADDER = np.linspace(1.0, 0.4, 25)


def weight_steps(weight: np.ndarray, bits: int) -> np.ndarray:
    """The step of every output row's grid with the least squared error.

    Args:
        weight: float32 [outputs, inputs].
        bits: of a weight.
    Returns:
        float32 [outputs], above zero.
    """
    limit = WEIGHT_MAX[bits]
    largest = np.maximum(np.abs(weight).max(axis=1), 1e-6)
    if bits >= 8:
        return (largest / limit).astype(np.float32)
    steps = (largest[None] * _CLIP_LADDER[:, None] / limit).astype(np.float32)
    errors = [
        np.sum((np.clip(np.rint(weight / step[:, None]), -limit, limit) * step[:, None] - weight) ** 2, axis=1)
        for step in steps
    ]
    return steps[np.argmin(errors, axis=0), np.arange(len(weight))]


def round_through(x, rounded):
    """The value of rounded with the gradient of x."""
    return x + ops.stop_gradient(rounded - x)


def simulate_activation(x, scale, zero_point):
    """x as an int8 tensor would hold it; the gradient passes where the range does not clip.

    Args:
        x: float32, any shape.
        scale: float32 scalar, > 0.
        zero_point: float32 scalar, -128 to 127.
    """
    inside = ops.clip(x, (ACTIVATION_MIN - zero_point) * scale, (ACTIVATION_MAX - zero_point) * scale)
    return round_through(inside, ops.round(inside / scale) * scale)


def round_weight(weight, step, bits: int):
    """weight [outputs, inputs] on its grid (step [outputs]), with a straight-through gradient."""
    limit, step = WEIGHT_MAX[bits], step[:, None]
    return round_through(weight, ops.clip(ops.round(weight / step), -limit, limit) * step)


def grid_penalty(weight, step):
    """Absolute-cosine penalty: zero on the levels, largest half-way; every weight is pulled with the slope |cos|.

    Args:
        weight: float32 [outputs, inputs].
        step: float32 [outputs].
    Returns:
        float32 scalar, summed over the weights.
    """
    step = step[:, None]
    return ops.sum(step / math.pi * ops.abs(ops.sin(math.pi * weight / step)))
