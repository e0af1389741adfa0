"""The float network of topology.py in numpy, whole utterances at a time.

Used to calibrate quantisation, and to check a trainer's own forward pass.
"""

from collections.abc import Callable

import numpy as np
import stapes_spec

from stapes_tools.convert.topology import Parameters, Topology

FEATURE_SCALE = 2.0**-stapes_spec.FRONTEND_FEATURE_FRACTION_BITS

# Sees every activation by name: "features", "front", "blockI.depthwise", "blockI.pointwise",
# "blockI.sum", "projection".
Observer = Callable[[str, np.ndarray], None]


def _ignore(_name: str, _values: np.ndarray) -> None:
    return


def _shifted(x: np.ndarray, steps: int) -> np.ndarray:
    """x delayed by steps, zeros before its start. x: [T, channels]."""
    if steps == 0:
        return x
    delayed = np.zeros_like(x)
    delayed[steps:] = x[:-steps] if steps < len(x) else x[:0]
    return delayed


def _relu(x: np.ndarray, active: bool) -> np.ndarray:
    return np.maximum(x, 0.0) if active else x


def encode(
    topology: Topology, parameters: Parameters, features: np.ndarray, observe: Observer = _ignore
) -> np.ndarray:
    """Encode one utterance from the zero state.

    Args:
        features: int8 [T, 120] as the front end gives them, or float32 already divided by 16.
    Returns:
        float32 [T, joint].
    """
    x = np.asarray(features, np.float32) * (FEATURE_SCALE if features.dtype == np.int8 else 1.0)
    observe("features", x)
    weight = parameters["front.weight"]
    width = topology.front_width
    x = sum(_shifted(x, width - 1 - k) @ weight[:, k].T for k in range(width)) + parameters["front.bias"]
    x = _relu(x, True)
    observe("front", x)
    for index, block in enumerate(topology.blocks):
        name = "block{}.".format(index)
        weight = parameters[name + "depthwise.weight"]
        taps = (_shifted(x, (block.width - 1 - k) * block.dilation) * weight[k] for k in range(block.width))
        d = _relu(sum(taps) + parameters[name + "depthwise.bias"], topology.depthwise_relu)
        observe(name + "depthwise", d)
        p = d @ parameters[name + "pointwise.weight"].T + parameters[name + "pointwise.bias"]
        p = _relu(p, topology.pointwise_relu)
        observe(name + "pointwise", p)
        x = _relu(x + p, topology.sum_relu)
        observe(name + "sum", x)
    x = x @ parameters["projection.weight"].T + parameters["projection.bias"]
    observe("projection", x)
    return x


def predict(parameters: Parameters, labels: np.ndarray) -> np.ndarray:
    """Prediction network. labels: int [n, context_size], oldest first. Returns float32 [n, joint]."""
    table = parameters["predictor.table"]
    return sum(table[age][labels[:, age]] for age in range(table.shape[0]))


def join(parameters: Parameters, encoded: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Joint network. encoded, predicted: float32 [n, joint]. Returns logits float32 [n, units]."""
    hidden = np.maximum(encoded + predicted, 0.0)
    return hidden @ parameters["joint.weight"].T + parameters["joint.bias"]
