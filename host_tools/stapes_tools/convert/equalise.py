"""Give the channels of an activation like ranges before it is quantised with one scale.

A ReLU commutes with a positive factor, so a channel may be divided by a factor where it is made
and multiplied by it where it is used: the float network stays the same. Three such freedoms:

- the residual stream: made by ``front`` and every ``pointwise`` (per-channel weight scales take the
  factor up without loss), used by every ``depthwise`` (likewise) and by ``projection``;
- each block's ``depthwise`` output, used by its ``pointwise``;
- the joint's inputs and hidden layer: made by ``projection`` and the predictor's tables, used by
  ``joint``.

Reference: M. Nagel et al., Data-Free Quantization through Weight Equalization and Bias
Correction, arXiv:1906.04721, section 4.1; here the activations' ranges are measured.
"""

from collections.abc import Sequence

import numpy as np

from stapes_tools.convert import forward
from stapes_tools.convert.topology import Parameters, Topology

# The range of a channel: what this percentage of its values does not exceed. Single outliers are
# clipped later in any case.
_RANGE_PERCENTILE = 99.9
# No channel is scaled by more than this against the geometric mean.
_MAX_FACTOR = 32.0


def _ranges(values: np.ndarray) -> np.ndarray:
    """float [channels] of values [n, channels]."""
    return np.percentile(np.abs(values), _RANGE_PERCENTILE, axis=0)


def _factors(made: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """What to divide each channel by.

    Args:
        made: range of the channel's activation.
        used: range of the weights that read it, or None where these lose nothing by a factor.
    Returns:
        float32 [channels], geometric mean 1; 1 for a channel that is always zero.
    """
    alive = made > 0 if used is None else (made > 0) & (used > 0)
    factors = np.ones(len(made))
    if alive.any():
        logs = np.log(made[alive]) if used is None else 0.5 * np.log(made[alive] / used[alive])
        logs -= logs.mean()
        factors[alive] = np.exp(np.clip(logs, -np.log(_MAX_FACTOR), np.log(_MAX_FACTOR)))
    return factors.astype(np.float32)


def _column_ranges(weight: np.ndarray) -> np.ndarray:
    """Range of each input's weights [output, input], every output row taken relative to its largest."""
    rows = np.abs(weight).max(axis=1, keepdims=True)
    return (np.abs(weight) / np.maximum(rows, 1e-12)).max(axis=0)


def _observed(
    topology: Topology, parameters: Parameters, calibration: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Ranges of the stream and of every depthwise output, and all encoder outputs."""
    stream_ranges, depthwise_ranges = [], []
    stream = x = [forward.dequantise_features(features) for features in calibration]
    for layer in forward.encoder_layers(topology):
        x = [layer.apply(parameters, item) for item in (stream if layer.stream_input else x)]
        if layer.name.endswith("depthwise"):
            depthwise_ranges.append(_ranges(np.concatenate(x)))
        if layer.name == "front" or layer.residual:
            stream = [layer.join(before, after) for before, after in zip(stream, x, strict=True)]
            stream_ranges.append(_ranges(np.concatenate(stream)))
    return np.max(stream_ranges, axis=0), depthwise_ranges, np.concatenate(x)


def _joint_ranges(parameters: Parameters, encoded: np.ndarray) -> np.ndarray:
    """Ranges of the joint's two inputs, the larger one of each channel. They, and not the hidden
    layer, count: a channel that the ReLU mostly silences is far from small before it."""
    tables = np.abs(parameters["predictor.table"]).max(axis=1)
    return np.maximum(_ranges(encoded), tables.max(axis=0))


def equalise(topology: Topology, parameters: Parameters, calibration: Sequence[np.ndarray]) -> Parameters:
    """Parameters of the same float network that lose less in quantisation.

    Args:
        topology, parameters: the network.
        calibration: utterances of features, int8 [T, 120] each.
    Returns:
        Parameters: new arrays.
    """
    result = {name: np.array(values, np.float32) for name, values in parameters.items()}
    stream_ranges, depthwise_ranges, encoded = _observed(topology, result, calibration)
    joint_ranges = _joint_ranges(result, encoded)

    stream = _factors(stream_ranges, _column_ranges(result["projection.weight"]))
    result["front.weight"] /= stream[:, None, None]
    result["front.bias"] /= stream
    result["projection.weight"] *= stream
    for index, ranges in enumerate(depthwise_ranges):
        depthwise, pointwise = "block{}.depthwise".format(index), "block{}.pointwise".format(index)
        result[depthwise + ".weight"] *= stream
        result[pointwise + ".weight"] /= stream[:, None]
        result[pointwise + ".bias"] /= stream
        factors = _factors(ranges, _column_ranges(result[pointwise + ".weight"]))
        result[depthwise + ".weight"] /= factors
        result[depthwise + ".bias"] /= factors
        result[pointwise + ".weight"] *= factors
        if topology.branching and index in topology.branching.light_blocks:
            light = "light." + pointwise
            result[light + ".weight"] *= factors / stream[:, None]
            result[light + ".bias"] /= stream
    if topology.branching:
        result["light.front.weight"] /= stream[:, None, None]
        result["light.front.bias"] /= stream
        result["light.projection.weight"] *= stream

    joint = _factors(joint_ranges, _column_ranges(result["joint.weight"]))
    result["projection.weight"] /= joint[:, None]
    result["projection.bias"] /= joint
    if topology.branching:
        result["light.projection.weight"] /= joint[:, None]
        result["light.projection.bias"] /= joint
    result["predictor.table"] /= joint
    result["joint.weight"] *= joint
    return result
