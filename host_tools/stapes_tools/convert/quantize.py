"""From float parameters and calibration features to int8 tensors.

Weights are symmetric, one scale per output channel, values -127 to 127. Activations have one
scale and zero point each; an activation after a ReLU spends all 256 values on 0 to its maximum.
A range that clips a few large values may cost less than one that holds them all: of a ladder of
ranges the one with the least squared error on the calibration set is taken. Biases are int32
at (input scale x weight scale), and corrected for the mean error of the layer's quantised
inputs and weights. What all logits have in common, and the softmax removes anyway, is taken out
of them where that lowers the divergence from the float network. Before all this, channels that
share a scale are given like ranges (equalise.py).

Reference: B. Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, arXiv:1712.05877; M. Nagel et al., Data-Free Quantization
through Weight Equalization and Bias Correction, arXiv:1906.04721 (section 4.2, with data).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stapes_tools.convert import forward
from stapes_tools.convert.equalise import equalise
from stapes_tools.convert.topology import Parameters, Topology, check_parameters
from stapes_tools.errors import UserError

WEIGHT_MAX = 127
ACTIVATION_MIN, ACTIVATION_MAX = -128, 127
# Biases stay below this, so that bias + accumulator cannot overflow an int32.
_BIAS_LIMIT = 1 << 30
# Parts of the full range that are tried for every activation.
_CLIP_LADDER = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
# Values of one activation on which a range is chosen.
_RANGE_SAMPLE = 200_000
# Steps of the calibration set with which the joint's ranges are chosen.
_JOINT_SAMPLE = 8_000
# Penalties that are tried when the logits are centred.
_RIDGES = (10.0, 1.0, 0.1, 0.01, 0.001)
# Logits this many nats below the best of their step need not be told apart: beyond every beam.
_LOGIT_DEPTH_NATS = 14.0


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
    """int8 weights with one scale per output channel (last axis if depthwise, else the first)."""

    integers: np.ndarray
    scales: np.ndarray
    bias: np.ndarray


@dataclass
class Quantised:
    """Everything that the file holds: activations by name, layers by name, predictor tables."""

    topology: Topology
    activations: dict[str, Scale] = field(default_factory=dict)
    layers: dict[str, Weights] = field(default_factory=dict)
    tables: list[np.ndarray] = field(default_factory=list)


def scale_for_range(low: float, high: float) -> Scale:
    """The int8 scale that covers low to high, both widened to hold zero exactly."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = float(np.float32(max(high - low, 1e-6) / (ACTIVATION_MAX - ACTIVATION_MIN)))
    zero_point = round(ACTIVATION_MIN - low / scale)
    return Scale(scale, int(np.clip(zero_point, ACTIVATION_MIN, ACTIVATION_MAX)))


def _sample(values: np.ndarray) -> np.ndarray:
    """About _RANGE_SAMPLE of the values: whole rows, evenly spread over the calibration set."""
    rows = values.reshape(-1, values.shape[-1])
    count = max(1, min(len(rows), _RANGE_SAMPLE // values.shape[-1]))
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def choose_scale(values: np.ndarray) -> Scale:
    """The scale of the clipping ladder with the least squared error on values [n, channels]."""
    low, high = float(values.min()), float(values.max())
    sample = _sample(values)
    candidates = [scale_for_range(part * low, part * high) for part in _CLIP_LADDER]
    errors = [float(np.mean((candidate.round_trip(sample) - sample) ** 2)) for candidate in candidates]
    return candidates[int(np.argmin(errors))]


def _logit_scale(values: np.ndarray) -> Scale:
    """Holds every step's best logit, and each _LOGIT_DEPTH_NATS below it. values: [n, units]."""
    best = values.max(axis=1)
    low = max(float(values.min()), float(best.min()) - _LOGIT_DEPTH_NATS)
    return scale_for_range(low, float(best.max()))


def quantise_weights(weight: np.ndarray, bias: np.ndarray, input_scale: float, channel_axis: int = 0) -> Weights:
    """Per-channel symmetric int8 weights and their int32 biases.

    Args:
        weight: float32, any rank.
        bias: float32 [channels].
        input_scale: of the layer's input.
        channel_axis: the output channel's axis.
    """
    axes = tuple(axis for axis in range(weight.ndim) if axis != channel_axis % weight.ndim)
    by_weight = np.abs(weight).max(axis=axes) / WEIGHT_MAX
    by_bias = np.abs(bias) / (input_scale * _BIAS_LIMIT)
    scales = np.maximum(np.maximum(by_weight, by_bias), 1e-9).astype(np.float32)
    shape = [1] * weight.ndim
    shape[channel_axis] = -1
    integers = np.clip(np.rint(weight / scales.reshape(shape)), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)
    weights = Weights(integers, scales, np.zeros(len(bias), np.int32))
    set_bias(weights, bias, input_scale)
    return weights


def set_bias(weights: Weights, bias: np.ndarray, input_scale: float) -> None:
    """Round a float bias [channels] to the layer's int32 bias."""
    steps = np.rint(bias / (np.float64(input_scale) * weights.scales))
    weights.bias = np.clip(steps, -_BIAS_LIMIT, _BIAS_LIMIT).astype(np.int32)


def dequantise_weights(weights: Weights, input_scale: float, channel_axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The float weight and bias that a quantised layer stands for."""
    shape = [1] * weights.integers.ndim
    shape[channel_axis] = -1
    bias = (weights.bias * np.float64(input_scale) * weights.scales).astype(np.float32)
    return weights.integers * weights.scales.reshape(shape), bias


def _relu(values: np.ndarray, active: bool) -> np.ndarray:
    return np.maximum(values, 0.0) if active else values


class _Walk:
    """The float network and the network quantised so far, side by side over the calibration set.

    exact and coarse hold, for every utterance, the same activation in the two networks.
    """

    def __init__(self, result: Quantised, parameters: Parameters, calibration: Sequence[np.ndarray]):
        self.result = result
        self.parameters = parameters
        features = [forward.dequantise_features(utterance) for utterance in calibration]
        self.exact = self.coarse = features
        self.exact_stream = self.coarse_stream = features
        self.scale = self.stream_scale = Scale(forward.FEATURE_SCALE, 0)
        result.activations["features"] = self.scale

    def layer(self, layer: forward.Layer) -> None:
        """Quantise one layer, correct its bias, and take both networks through it."""
        if layer.stream_input:
            self.exact, self.coarse, self.scale = self.exact_stream, self.coarse_stream, self.stream_scale
        axis = -1 if layer.name.endswith("depthwise") else 0
        weight, bias = self.parameters[layer.name + ".weight"], self.parameters[layer.name + ".bias"]
        weights = quantise_weights(weight, bias, self.scale.scale, axis)
        exact = [layer.linear(self.parameters, x) for x in self.exact]
        coarse = self._coarse(layer, weights, axis)
        shift = np.concatenate(coarse).mean(axis=0) - np.concatenate(exact).mean(axis=0)
        before = dequantise_weights(weights, self.scale.scale, axis)[1]
        set_bias(weights, bias - shift, self.scale.scale)
        correction = dequantise_weights(weights, self.scale.scale, axis)[1] - before
        coarse = [x + correction for x in coarse]
        self.result.layers[layer.name] = weights
        self.exact = [_relu(x, layer.relu) for x in exact]
        self.coarse, self.scale = self._rounded(layer.name, [_relu(x, layer.relu) for x in coarse])
        self.exact_stream = [layer.join(*pair) for pair in zip(self.exact_stream, self.exact, strict=True)]
        self.coarse_stream = [layer.join(*pair) for pair in zip(self.coarse_stream, self.coarse, strict=True)]
        if layer.residual:
            self.coarse_stream, self.stream_scale = self._rounded(layer.sum_name, self.coarse_stream)
        elif layer.name == "front":
            self.stream_scale = self.scale

    def _coarse(self, layer: forward.Layer, weights: Weights, axis: int) -> list[np.ndarray]:
        weight, bias = dequantise_weights(weights, self.scale.scale, axis)
        rounded = {layer.name + ".weight": weight, layer.name + ".bias": bias}
        return [layer.linear(rounded, x) for x in self.coarse]

    def _rounded(self, name: str, coarse: list[np.ndarray]) -> tuple[list[np.ndarray], Scale]:
        scale = choose_scale(np.concatenate(coarse))
        self.result.activations[name] = scale
        return [scale.round_trip(x) for x in coarse], scale


def _predictor(result: Quantised, parameters: Parameters) -> np.ndarray:
    """Quantise the predictor; returns what it then gives for every context, [contexts, joint]."""
    tables = parameters["predictor.table"]
    scales = [scale_for_range(table.min(), table.max()) for table in tables]
    result.tables = [scale.quantise(table) for scale, table in zip(scales, tables, strict=True)]
    rounded = [scale.round_trip(table) for scale, table in zip(scales, tables, strict=True)]
    if len(tables) == 1:
        result.activations["predicted"] = scales[0]
        return rounded[0]
    for age, scale in enumerate(scales):
        result.activations["row{}".format(age)] = scale
    sums = (rounded[0][:, None] + rounded[1][None]).reshape(-1, tables.shape[2])
    scale = scale_for_range(sums.min(), sums.max())
    result.activations["predicted"] = scale
    return scale.round_trip(sums)


def _joint_pairs(parameters: Parameters, exact: list[np.ndarray], units: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps (rows of all utterances together) and contexts (numbers in base units) the joint meets.

    Half are those of greedy decoding; in the other half the contexts are drawn at random, as the
    search also tries what is not the best.
    """
    total, steps, contexts = 0, [], []
    for encoded in exact:
        if total >= _JOINT_SAMPLE:
            break
        at, labels = forward.greedy_contexts(parameters, encoded)
        steps.append(at + total)
        contexts.append(labels @ units ** np.arange(labels.shape[1] - 1, -1, -1))
        total += len(encoded)
    greedy = np.concatenate(steps)
    context_count = units ** parameters["predictor.table"].shape[0]
    random = np.random.default_rng(0).integers(0, context_count, len(greedy))
    return np.concatenate([greedy, greedy]), np.concatenate([np.concatenate(contexts), random])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Natural-log probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def centred_output(
    hidden: np.ndarray, weight: np.ndarray, bias: np.ndarray, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Take from every unit's weights and bias the same affine function of the hidden layer.

    Log-probabilities stay as they were. The function is the one nearest to the log of the
    softmax's denominator, so that the logits come out near the log-probabilities: their range,
    hence the step between two int8 logits, is smaller. The weights grow, hence the ridge.

    Args:
        hidden: float32 [n, joint], what the layer meets.
        weight: float32 [units, joint].
        bias: float32 [units].
        ridge: penalty on the function's weights, relative to the mean square of hidden.
    Returns:
        the new weight and bias.
    """
    logits = hidden @ weight.T + bias
    total = logits[:, 0] - log_softmax(logits)[:, 0]
    middle, offset = hidden.mean(axis=0), total.mean()
    inputs = (hidden - middle).astype(np.float64)
    square = inputs.T @ inputs
    penalty = ridge * max(float(np.trace(square)), 1e-9) / len(square)
    common = np.linalg.solve(square + penalty * np.eye(len(square)), inputs.T @ (total - offset))
    return (weight - common).astype(np.float32), (bias - (offset - middle @ common)).astype(np.float32)


@dataclass
class _Output:
    """One candidate for the output layer, and what it costs in nats."""

    weights: Weights
    logits: Scale
    divergence: float


def _output(exact: np.ndarray, coarse: np.ndarray, scale: Scale, weight: np.ndarray, bias: np.ndarray) -> _Output:
    """Quantise the output layer, and measure it. exact, coarse: the hidden layer, [n, joint]."""
    weights = quantise_weights(weight, bias, scale.scale)
    float_logits = exact @ weight.T + bias
    rounded_weight, rounded_bias = dequantise_weights(weights, scale.scale)
    shift = (coarse @ rounded_weight.T + rounded_bias).mean(axis=0) - float_logits.mean(axis=0)
    set_bias(weights, bias - shift, scale.scale)
    rounded_bias = dequantise_weights(weights, scale.scale)[1]
    logits = _logit_scale(float_logits)
    found = log_softmax(logits.round_trip(coarse @ rounded_weight.T + rounded_bias))
    expected = log_softmax(float_logits)
    return _Output(weights, logits, float((np.exp(expected) * (expected - found)).sum(axis=1).mean()))


def _joint(result: Quantised, walk: _Walk, contexts_exact: np.ndarray, contexts_coarse: np.ndarray) -> None:
    parameters = walk.parameters
    steps, contexts = _joint_pairs(parameters, walk.exact, result.topology.units)
    exact = forward.hidden(np.concatenate(walk.exact)[steps], contexts_exact[contexts])
    coarse = forward.hidden(np.concatenate(walk.coarse)[steps], contexts_coarse[contexts])
    scale = choose_scale(coarse)
    coarse = scale.round_trip(coarse)
    weight, bias = parameters["joint.weight"], parameters["joint.bias"]
    layers = [(weight, bias), *(centred_output(exact, weight, bias, ridge) for ridge in _RIDGES)]
    best = min((_output(exact, coarse, scale, *layer) for layer in layers), key=lambda output: output.divergence)
    result.activations["hidden"] = scale
    result.layers["logits"] = best.weights
    result.activations["logits"] = best.logits


def _check_calibration(topology: Topology, calibration: Sequence[np.ndarray]) -> None:
    if not calibration:
        raise UserError("quantisation needs at least one utterance of calibration features")
    for index, features in enumerate(calibration):
        fits = features.ndim == 2 and features.shape[1] == topology.feature_size and len(features) > 0
        if not fits or features.dtype != np.int8:
            raise UserError(
                "calibration utterance {} is {} {}, must be int8 [steps, {}]".format(
                    index, features.dtype, list(features.shape), topology.feature_size
                )
            )


def quantise(topology: Topology, parameters: Parameters, calibration: Sequence[np.ndarray]) -> Quantised:
    """Quantise a network.

    Args:
        topology: its sizes.
        parameters: float32 arrays as topology.py names them, batch normalisation folded.
        calibration: utterances of features, int8 [T, 120] each, as the front end gives them.
    Returns:
        Quantised: integers and scales of every tensor in the file.
    Raises:
        UserError: parameters or calibration do not fit the topology.
    """
    check_parameters(topology, parameters)
    _check_calibration(topology, calibration)
    parameters = equalise(topology, parameters, calibration)
    result = Quantised(topology)
    walk = _Walk(result, parameters, calibration)
    for layer in forward.encoder_layers(topology):
        walk.layer(layer)
    contexts_coarse = _predictor(result, parameters)
    tables = parameters["predictor.table"]
    exact = tables[0] if len(tables) == 1 else (tables[0][:, None] + tables[1][None]).reshape(-1, topology.joint)
    _joint(result, walk, exact, contexts_coarse)
    return result
