"""Integers and their scales: activations of 8 bits, weights of 8 or 4, int32 biases.

Reference: TensorFlow Lite 8-bit quantization specification; its INT4 weights are the same with
the limits -7 and 7.
"""

from dataclasses import dataclass

import numpy as np

from stapes_tools.errors import UserError

# The largest weight, by bits; the smallest is its negative.
WEIGHT_MAX = {8: 127, 4: 7}
ACTIVATION_MIN, ACTIVATION_MAX = -128, 127
# Biases stay below this, so that bias + accumulator cannot overflow an int32.
_BIAS_LIMIT = 1 << 30


@dataclass(frozen=True)
class Scale:
    """Quantisation of one activation: real = scale x (integer - zero_point)."""

    scale: float
    zero_point: int

    def quantise(self, values: np.ndarray) -> np.ndarray:
        integers = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(integers, ACTIVATION_MIN, ACTIVATION_MAX).astype(np.int8)

    def dequantise(self, integers: np.ndarray) -> np.ndarray:
        return (integers.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def round_trip(self, values: np.ndarray) -> np.ndarray:
        return self.dequantise(self.quantise(values))


@dataclass
class Weights:
    """int8 weights with one scale per output channel (last axis if depthwise, else the first).

    bits: 8 or 4; with 4 the integers are -7 to 7 and go into the file two per byte.
    """

    integers: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    bits: int = 8


def scale_for_range(low: float, high: float) -> Scale:
    """The int8 scale that covers low to high, both widened to hold zero exactly."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = float(np.float32(max(high - low, 1e-6) / (ACTIVATION_MAX - ACTIVATION_MIN)))
    zero_point = round(ACTIVATION_MIN - low / scale)
    return Scale(scale, int(np.clip(zero_point, ACTIVATION_MIN, ACTIVATION_MAX)))


def _along(scales: np.ndarray, rank: int, channel_axis: int) -> np.ndarray:
    """Scales [channels] shaped so that they multiply weights of a rank along their channel axis."""
    shape = [1] * rank
    shape[channel_axis] = -1
    return scales.reshape(shape)


def _rounded(weight: np.ndarray, scales: np.ndarray, channel_axis: int, bits: int) -> np.ndarray:
    integers = np.rint(weight / _along(scales, weight.ndim, channel_axis))
    return np.clip(integers, -WEIGHT_MAX[bits], WEIGHT_MAX[bits]).astype(np.int8)


def quantise_weights(
    weight: np.ndarray, bias: np.ndarray, input_scale: float, channel_axis: int = 0, bits: int = 8
) -> Weights:
    """Per-channel symmetric weights and their int32 biases.

    Args:
        weight: float32, any rank.
        bias: float32 [channels].
        input_scale: of the layer's input.
        channel_axis: the output channel's axis.
        bits: of a weight, 8 or 4.
    """
    axes = tuple(axis for axis in range(weight.ndim) if axis != channel_axis % weight.ndim)
    by_weight = np.abs(weight).max(axis=axes) / WEIGHT_MAX[bits]
    by_bias = np.abs(bias) / (input_scale * _BIAS_LIMIT)
    scales = np.maximum(np.maximum(by_weight, by_bias), 1e-9).astype(np.float32)
    weights = Weights(_rounded(weight, scales, channel_axis, bits), scales, np.zeros(len(bias), np.int32), bits)
    set_bias(weights, bias, input_scale)
    return weights


def weights_on_grid(
    weight: np.ndarray,
    bias: np.ndarray,
    scales: np.ndarray,
    input_scale: float,
    *,
    channel_axis: int = 0,
    bits: int = 8,
) -> Weights:
    """Weights whose scales are given: numpy.rint(weight / scale) in float32, clipped.

    Args:
        scales: float32 [channels].
        weight, bias, input_scale, channel_axis, bits: as quantise_weights takes them.
    Raises:
        UserError: a bias is too large for its scale.
    """
    if np.any(np.abs(bias) > _BIAS_LIMIT * np.float64(input_scale) * scales):
        raise UserError("the given weight scales are too small for the biases")
    weights = Weights(_rounded(weight, scales, channel_axis, bits), scales, np.zeros(len(bias), np.int32), bits)
    set_bias(weights, bias, input_scale)
    return weights


def set_bias(weights: Weights, bias: np.ndarray, input_scale: float) -> None:
    """Round a float bias [channels] to the layer's int32 bias."""
    steps = np.rint(bias / (np.float64(input_scale) * weights.scales))
    weights.bias = np.clip(steps, -_BIAS_LIMIT, _BIAS_LIMIT).astype(np.int32)


def dequantise_weights(weights: Weights, input_scale: float, channel_axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The float weight and bias that a quantised layer stands for."""
    bias = (weights.bias * np.float64(input_scale) * weights.scales).astype(np.float32)
    return weights.integers * _along(weights.scales, weights.integers.ndim, channel_axis), bias
