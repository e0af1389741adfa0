"""From the Keras model to the float parameters of stapes_tools.convert.topology, and to a model file."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from keras import ops

from stapes_tools.convert.grid import Grid
from stapes_tools.convert.metadata import Metadata
from stapes_tools.convert.topology import Parameters, Topology, check_parameters
from stapes_tools.convert.write import write_model
from stapes_tools.train.data import FeatureSet
from stapes_tools.train.net import Transducer


def float_parameters(net: Transducer) -> Parameters:
    """Read a network's weights, batch normalisation folded into the layer before it."""
    topology = net.topology
    scale, shift = _norm(net.front_norm)
    kernel, bias = (np.asarray(value) for value in net.front.get_weights())
    parameters = {
        "front.weight": (kernel * scale).T.reshape(topology.channels, topology.front_width, -1),
        "front.bias": bias * scale + shift,
    }
    for index, (depthwise, pointwise, norm) in enumerate(zip(net.depthwise, net.pointwise, net.norms, strict=True)):
        scale, shift = _norm(norm)
        name = f"block{index}"
        parameters[f"{name}.depthwise.weight"] = ops.convert_to_numpy(depthwise.weight)
        parameters[f"{name}.depthwise.bias"] = ops.convert_to_numpy(depthwise.bias)
        parameters[f"{name}.pointwise.weight"] = (np.asarray(pointwise.get_weights()[0]) * scale).T
        parameters[f"{name}.pointwise.bias"] = shift
    kernel, bias = net.projection.get_weights()
    parameters |= {"projection.weight": kernel.T, "projection.bias": bias}
    kernel, bias = net.output_layer.get_weights()
    parameters |= {"joint.weight": kernel.T, "joint.bias": bias}
    parameters["predictor.table"] = np.asarray(net.table.get_weights()[0])[None]
    parameters = {name: np.ascontiguousarray(value, np.float32) for name, value in parameters.items()}
    check_parameters(topology, parameters)
    return parameters


def _norm(norm) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift) of a batch normalisation at inference."""
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale


def export_model(
    path: Path,
    topology: Topology,
    parameters: Parameters,
    examples: FeatureSet,
    *,
    metadata: Metadata,
    description: str,
    weight_bits: Mapping[str, int] = MappingProxyType({}),
    grid: Grid | None = None,
) -> int:
    """Quantise and write a model file, calibrated on 200 utterances spread over a feature set.

    Args:
        weight_bits: by layer, 8 where nothing is said.
        grid: of a network trained with simulated quantisation.
    Returns:
        int: bytes written.
    """
    spread = np.linspace(0, len(examples.labels) - 1, 200).astype(int)
    calibration = [np.array(examples.example(int(index))[0]) for index in spread]
    return write_model(
        path,
        topology,
        parameters,
        calibration,
        metadata,
        description=description,
        weight_bits=weight_bits,
        grid=grid,
        # No interpreter reads them, and the file must stay below 400 KB.
        bias_scales=False,
    )
