"""From float parameters and calibration features to int8 tensors.

Weights are symmetric, one scale per output channel, values -127 to 127, or -7 to 7 in layers of
4 bits. Activations have one scale and zero point each; an activation after a ReLU spends all 256
values on 0 to its maximum. A range that clips a few large values may cost less than one that holds
them all: of a ladder of ranges the one with the least squared error on the calibration set is
taken. Biases are int32 at (input scale x weight scale), and corrected for the mean error of the
layer's quantised inputs and weights. What all logits have in common, and the softmax removes
anyway, is taken out of them where that lowers the divergence from the float network. Before all
this, channels that share a scale are given like ranges (equalise.py). A network that was trained
with simulated quantisation brings its scales along (grid.py): its integers are those it was
trained with.

Reference: B. Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, arXiv:1712.05877; M. Nagel et al., Data-Free Quantization
through Weight Equalization and Bias Correction, arXiv:1906.04721 (section 4.2, with data).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stapes_tools.convert import forward
from stapes_tools.convert.equalise import equalise
from stapes_tools.convert.grid import (
    ARBITRATOR_LAYERS,
    LOGIT_SCALE,
    Grid,
    activation_names,
    check_bits,
    check_grid,
    is_complete,
    is_depthwise,
)
from stapes_tools.convert.scales import (
    Scale,
    Weights,
    dequantise_weights,
    quantise_weights,
    scale_for_range,
    set_bias,
    weights_on_grid,
)
from stapes_tools.convert.topology import Parameters, Topology, check_parameters
from stapes_tools.errors import UserError

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


@dataclass
class Quantised:
    """Everything that the file holds: activations by name, layers by name, predictor tables."""

    topology: Topology
    activations: dict[str, Scale] = field(default_factory=dict)
    layers: dict[str, Weights] = field(default_factory=dict)
    tables: list[np.ndarray] = field(default_factory=list)


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


def _relu(values: np.ndarray, active: bool) -> np.ndarray:
    return np.maximum(values, 0.0) if active else values


def _axis(layer: str) -> int:
    """The output channel's axis of a layer's weights."""
    return -1 if is_depthwise(layer) else 0


def _on_grid(
    grid: Grid, name: str, layer: tuple[np.ndarray, np.ndarray], input_scale: float, weight_bits: Mapping[str, int]
) -> Weights:
    """A layer, (weight, bias), at its given scales."""
    scales = np.asarray(grid.weight_scales[name], np.float32)
    try:
        return weights_on_grid(*layer, scales, input_scale, channel_axis=_axis(name), bits=weight_bits.get(name, 8))
    except UserError as error:
        raise UserError("layer {}: {}".format(name, error.what)) from None


class _Walk:
    """The float network and the network quantised so far, side by side over the calibration set.

    exact and coarse hold, for every utterance, the same activation in the two networks. What the
    grid gives is rounded in both: a network trained with simulated quantisation has no other form.
    """

    def __init__(
        self,
        result: Quantised,
        parameters: Parameters,
        calibration: Sequence[np.ndarray],
        weight_bits: Mapping[str, int],
        grid: Grid,
    ):
        self.result = result
        self.parameters = dict(parameters)
        self.weight_bits = weight_bits
        self.grid = grid
        self.features = features = [forward.dequantise_features(utterance) for utterance in calibration]
        self.exact = self.coarse = features
        self.exact_stream = self.coarse_stream = features
        self.scale = self.stream_scale = Scale(forward.FEATURE_SCALE, 0)
        result.activations["features"] = self.scale

    def layer(self, layer: forward.Layer) -> None:
        """Quantise one layer, correct its bias, and take both networks through it."""
        if layer.stream_input:
            self.exact, self.coarse, self.scale = self.exact_stream, self.coarse_stream, self.stream_scale
        given = layer.name in self.grid.weight_scales
        exact, coarse = self._given(layer) if given else self._chosen(layer)
        exact, coarse = ([_relu(x, layer.relu) for x in side] for side in (exact, coarse))
        self.exact, self.coarse, self.scale = self._rounded(layer.name, exact, coarse)
        self.exact_stream = [layer.join(*pair) for pair in zip(self.exact_stream, self.exact, strict=True)]
        self.coarse_stream = [layer.join(*pair) for pair in zip(self.coarse_stream, self.coarse, strict=True)]
        if layer.residual:
            self.exact_stream, self.coarse_stream, self.stream_scale = self._rounded(
                layer.sum_name, self.exact_stream, self.coarse_stream
            )
        elif layer.name == "front":
            self.stream_scale = self.scale

    def _given(self, layer: forward.Layer) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Round a layer to the grid; returns its outputs in the two networks, before the ReLU."""
        weights = _on_grid(self.grid, layer.name, self._float(layer), self.scale.scale, self.weight_bits)
        self.result.layers[layer.name] = weights
        rounded = self._named(layer, *dequantise_weights(weights, self.scale.scale, _axis(layer.name)))
        return [layer.linear(rounded, x) for x in self.exact], [layer.linear(rounded, x) for x in self.coarse]

    def _chosen(self, layer: forward.Layer) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Choose a layer's scales and correct its bias; returns as _given does."""
        axis = _axis(layer.name)
        weight, bias = self._float(layer)
        weights = quantise_weights(weight, bias, self.scale.scale, axis, self.weight_bits.get(layer.name, 8))
        exact = [layer.linear(self.parameters, x) for x in self.exact]
        rounded_weight, before = dequantise_weights(weights, self.scale.scale, axis)
        coarse = [layer.linear(self._named(layer, rounded_weight, before), x) for x in self.coarse]
        shift = np.concatenate(coarse).mean(axis=0) - np.concatenate(exact).mean(axis=0)
        set_bias(weights, bias - shift, self.scale.scale)
        correction = dequantise_weights(weights, self.scale.scale, axis)[1] - before
        self.result.layers[layer.name] = weights
        return exact, [x + correction for x in coarse]

    def _float(self, layer: forward.Layer) -> tuple[np.ndarray, np.ndarray]:
        return self.parameters[layer.name + ".weight"], self.parameters[layer.name + ".bias"]

    def _named(self, layer: forward.Layer, weight: np.ndarray, bias: np.ndarray) -> Parameters:
        return {layer.name + ".weight": weight, layer.name + ".bias": bias}

    def _rounded(
        self, name: str, exact: list[np.ndarray], coarse: list[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray], Scale]:
        given = self.grid.activations.get(name)
        scale = given or choose_scale(np.concatenate(coarse))
        self.result.activations[name] = scale
        exact = [scale.round_trip(x) for x in exact] if given else exact
        return exact, [scale.round_trip(x) for x in coarse], scale


def _branches(walk: _Walk) -> None:
    """Quantise the light branch and the arbitrator, once the heavy branch has its scales.

    What the light branch shares with the heavy one, its scales included, stays; its own activations and the
    arbitrator's are chosen on the float network, each branch heard alone, if the grid does not give them.
    """
    result, parameters = walk.result, walk.parameters
    topology = result.topology
    seen = _light_activations(topology, parameters, walk.features) if walk.features else {}
    for name, values in seen.items():
        result.activations[name] = choose_scale(values)
    known = {name: walk.grid.activations[name] for name in activation_names(topology) if name in walk.grid.activations}
    result.activations |= {**known, "arbitrator.output": LOGIT_SCALE}
    for name in [*topology.light_matrices, *ARBITRATOR_LAYERS]:
        layer = parameters[name + ".weight"], parameters[name + ".bias"]
        scale, bits = result.activations[branch_input(topology, name)].scale, walk.weight_bits
        given = name in walk.grid.weight_scales
        chosen = None if given else quantise_weights(*layer, scale, _axis(name), bits.get(name, 8))
        result.layers[name] = chosen or _on_grid(walk.grid, name, layer, scale, bits)


def branch_input(topology: Topology, name: str) -> str:
    """The activation that a layer of the light branch or of the arbitrator reads."""
    if name.endswith(".front"):
        return "features"
    if name == "light.projection":
        return "block{}.sum".format(len(topology.blocks) - 1) if topology.blocks else "front"
    if name.startswith("light."):
        return name.removeprefix("light.").replace("pointwise", "depthwise")
    return {"arbitrator.depthwise": "arbitrator.front", "arbitrator.output": "arbitrator.depthwise"}[name]


def _light_activations(
    topology: Topology, parameters: Parameters, features: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """What passes in the light branch alone and in the arbitrator, by the names of their activations."""
    found: dict[str, list[np.ndarray]] = {}
    light = {layer.name.removeprefix("light."): layer for layer in forward.light_layers(topology)}
    for x in features:
        stream = y = x
        for layer in forward.encoder_layers(topology):
            source = stream if layer.stream_input else y
            if layer.name.endswith("depthwise"):
                y = layer.apply(parameters, source)
            elif layer.name in light:
                y = light[layer.name].apply(parameters, source)
                found.setdefault("light." + layer.name, []).append(y)
            else:
                y = np.zeros_like(stream)
            stream = layer.join(stream, y)
        y = x
        for layer in forward.arbitrator_layers(topology):
            y = layer.apply(parameters, y)
            found.setdefault(layer.name, []).append(y)
    own = set(activation_names(topology))
    return {name: np.concatenate(values) for name, values in found.items() if name in own}


def _predictor(result: Quantised, parameters: Parameters, grid: Grid) -> np.ndarray:
    """Quantise the predictor; returns what it then gives for every context, [contexts, joint]."""
    tables = parameters["predictor.table"]
    names = ["predicted"] if len(tables) == 1 else ["row{}".format(age) for age in range(len(tables))]
    scales = [
        grid.activations.get(name) or scale_for_range(table.min(), table.max())
        for name, table in zip(names, tables, strict=True)
    ]
    result.activations |= zip(names, scales, strict=True)
    result.tables = [scale.quantise(table) for scale, table in zip(scales, tables, strict=True)]
    rounded = [scale.round_trip(table) for scale, table in zip(scales, tables, strict=True)]
    if len(tables) == 1:
        return rounded[0]
    sums = (rounded[0][:, None] + rounded[1][None]).reshape(-1, tables.shape[2])
    scale = grid.activations.get("predicted") or scale_for_range(sums.min(), sums.max())
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
class _Hidden:
    """The joint's hidden layer in the float and in the quantised network, float32 [n, joint]."""

    exact: np.ndarray
    coarse: np.ndarray
    scale: Scale


@dataclass
class _Output:
    """One candidate for the output layer, and what it costs in nats."""

    weights: Weights
    logits: Scale
    divergence: float


def _output(hidden: _Hidden, weight: np.ndarray, bias: np.ndarray, given: Scale | None, bits: int) -> _Output:
    """Quantise the output layer, and measure it. given: the logits' scale, if it is."""
    exact, coarse, scale = hidden.exact, hidden.coarse, hidden.scale
    weights = quantise_weights(weight, bias, scale.scale, bits=bits)
    float_logits = exact @ weight.T + bias
    rounded_weight, rounded_bias = dequantise_weights(weights, scale.scale)
    shift = (coarse @ rounded_weight.T + rounded_bias).mean(axis=0) - float_logits.mean(axis=0)
    set_bias(weights, bias - shift, scale.scale)
    rounded_bias = dequantise_weights(weights, scale.scale)[1]
    logits = given or _logit_scale(float_logits)
    found = log_softmax(logits.round_trip(coarse @ rounded_weight.T + rounded_bias))
    expected = log_softmax(float_logits)
    return _Output(weights, logits, float((np.exp(expected) * (expected - found)).sum(axis=1).mean()))


def _hidden(walk: _Walk, contexts_exact: np.ndarray, contexts_coarse: np.ndarray) -> _Hidden:
    steps, contexts = _joint_pairs(walk.parameters, walk.exact, walk.result.topology.units)
    exact = forward.hidden(np.concatenate(walk.exact)[steps], contexts_exact[contexts])
    coarse = forward.hidden(np.concatenate(walk.coarse)[steps], contexts_coarse[contexts])
    given = walk.grid.activations.get("hidden")
    scale = given or choose_scale(coarse)
    return _Hidden(scale.round_trip(exact) if given else exact, scale.round_trip(coarse), scale)


def _joint(walk: _Walk, contexts_exact: np.ndarray, contexts_coarse: np.ndarray) -> None:
    """Quantise the joint. contexts_exact, contexts_coarse: the predictor's outputs, [contexts, joint]."""
    result, grid, bits = walk.result, walk.grid, walk.weight_bits
    layer = walk.parameters["joint.weight"], walk.parameters["joint.bias"]
    given = grid.activations.get("logits")
    if is_complete(result.topology, grid):
        result.activations |= {name: grid.activations[name] for name in ("hidden", "logits")}
        result.layers["logits"] = _on_grid(grid, "logits", layer, grid.activations["hidden"].scale, bits)
        return
    hidden = _hidden(walk, contexts_exact, contexts_coarse)
    result.activations["hidden"] = hidden.scale
    if "logits" in grid.weight_scales:
        weights = _on_grid(grid, "logits", layer, hidden.scale.scale, bits)
        weight, bias = dequantise_weights(weights, hidden.scale.scale)
        result.layers["logits"] = weights
        result.activations["logits"] = given or _logit_scale(hidden.exact @ weight.T + bias)
        return
    # Centred logits have another range: a range that is given belongs to the logits as they are.
    layers = [layer, *(centred_output(hidden.exact, *layer, ridge) for ridge in _RIDGES if not given)]
    outputs = (_output(hidden, *candidate, given, bits.get("logits", 8)) for candidate in layers)
    best = min(outputs, key=lambda output: output.divergence)
    result.layers["logits"], result.activations["logits"] = best.weights, best.logits


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


def quantise(
    topology: Topology,
    parameters: Parameters,
    calibration: Sequence[np.ndarray],
    *,
    weight_bits: Mapping[str, int] | None = None,
    grid: Grid | None = None,
) -> Quantised:
    """Quantise a network.

    Args:
        topology: its sizes.
        parameters: float32 arrays as topology.py names them, batch normalisation folded.
        calibration: utterances of features, int8 [T, 120] each, as the front end gives them; may be
            empty if the grid gives every scale.
        weight_bits: 8 or 4 by layer (grid.layer_channels); layers not named have 8, and depthwise layers must.
        grid: scales that the network was trained on; None chooses all of them.
    Returns:
        Quantised: integers and scales of every tensor in the file.
    Raises:
        UserError: parameters, calibration, bits or grid do not fit the topology.
    """
    weight_bits = weight_bits or {}
    check_parameters(topology, parameters)
    check_bits(topology, weight_bits)
    check_grid(topology, grid or Grid())
    if calibration or not (grid and is_complete(topology, grid)):
        _check_calibration(topology, calibration)
    if grid is None:
        parameters = equalise(topology, parameters, calibration)
    result = Quantised(topology)
    walk = _Walk(result, parameters, calibration, weight_bits, grid or Grid())
    for layer in forward.encoder_layers(topology):
        walk.layer(layer)
    if topology.branching:
        _branches(walk)
    contexts_coarse = _predictor(result, parameters, walk.grid)
    tables = parameters["predictor.table"]
    exact = tables[0] if len(tables) == 1 else (tables[0][:, None] + tables[1][None]).reshape(-1, topology.joint)
    _joint(walk, contexts_coarse if "predicted" in walk.grid.activations else exact, contexts_coarse)
    return result
