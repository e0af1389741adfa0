"""The float network of topology.py in numpy, whole utterances at a time.

Used to calibrate quantisation, and to check a trainer's own forward pass. Every layer is one
function from its input to its output before the ReLU, so that the quantiser can walk the layers
of the float and of the quantised network side by side.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import stapes_spec

from stapes_tools.convert.topology import Parameters, Topology

FEATURE_SCALE = 2.0**-stapes_spec.FRONTEND_FEATURE_FRACTION_BITS

Linear = Callable[[Parameters, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layer:
    """One layer with weights: name of its output and parameters, ReLU or not, and its function.

    residual: the layer's output is then added to the residual stream, and the sum (name
    ``blockI.sum``, through a ReLU if sum_relu) becomes the stream. A layer with stream_input
    reads the stream, the others read the layer before them.
    """

    name: str
    relu: bool
    linear: Linear
    stream_input: bool
    residual: bool = False
    sum_relu: bool = False

    @property
    def sum_name(self) -> str:
        return self.name.split(".")[0] + ".sum"

    def apply(self, parameters: Parameters, x: np.ndarray) -> np.ndarray:
        """The layer's output, after its ReLU if it has one."""
        y = self.linear(parameters, x)
        return np.maximum(y, 0.0) if self.relu else y

    def join(self, stream: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The residual stream after the layer, whose output is y."""
        if self.residual:
            return np.maximum(stream + y, 0.0) if self.sum_relu else stream + y
        return y if self.name == "front" else stream


def _shifted(x: np.ndarray, steps: int) -> np.ndarray:
    """x delayed by steps, zeros before its start. x: [T, channels]."""
    if steps == 0:
        return x
    delayed = np.zeros_like(x)
    delayed[steps:] = x[:-steps]
    return delayed


def _convolution(name: str, width: int) -> Linear:
    def linear(parameters: Parameters, x: np.ndarray) -> np.ndarray:
        weight = parameters[name + ".weight"]
        total = parameters[name + ".bias"] + x @ weight[:, width - 1].T
        for k in range(width - 1):
            total += _shifted(x, width - 1 - k) @ weight[:, k].T
        return total

    return linear


def _depthwise(name: str, width: int, dilation: int) -> Linear:
    def linear(parameters: Parameters, x: np.ndarray) -> np.ndarray:
        weight = parameters[name + ".weight"]
        total = parameters[name + ".bias"] + x * weight[width - 1]
        for k in range(width - 1):
            total += _shifted(x, (width - 1 - k) * dilation) * weight[k]
        return total

    return linear


def _pointwise(name: str) -> Linear:
    def linear(parameters: Parameters, x: np.ndarray) -> np.ndarray:
        return x @ parameters[name + ".weight"].T + parameters[name + ".bias"]

    return linear


def encoder_layers(topology: Topology) -> list[Layer]:
    """The encoder's layers in order: front, blockI.depthwise, blockI.pointwise, projection."""
    layers = [Layer("front", True, _convolution("front", topology.front_width), True)]
    for index, block in enumerate(topology.blocks):
        depthwise = "block{}.depthwise".format(index)
        pointwise = "block{}.pointwise".format(index)
        linear = _depthwise(depthwise, block.width, block.dilation)
        layers.append(Layer(depthwise, topology.depthwise_relu, linear, True))
        layers.append(Layer(pointwise, topology.pointwise_relu, _pointwise(pointwise), False, True, topology.sum_relu))
    layers.append(Layer("projection", False, _pointwise("projection"), True))
    return layers


def light_layers(topology: Topology) -> list[Layer]:
    """The light branch's own layers in order: light.front, light.blockI.pointwise, light.projection."""
    layers = []
    for name in topology.light_matrices:
        front = name == "light.front"
        linear = _convolution(name, topology.front_width) if front else _pointwise(name)
        pointwise = name.endswith("pointwise")
        layers.append(Layer(name, front or (pointwise and topology.pointwise_relu), linear, not pointwise, pointwise))
    return layers


def arbitrator_layers(topology: Topology) -> list[Layer]:
    """The arbitrator's layers in order: arbitrator.front, arbitrator.depthwise, arbitrator.output."""
    assert topology.branching is not None, "a topology with branches"
    return [
        Layer("arbitrator.front", True, _pointwise("arbitrator.front"), True),
        Layer(
            "arbitrator.depthwise",
            True,
            _depthwise("arbitrator.depthwise", topology.branching.arbitrator_width, 1),
            False,
        ),
        Layer("arbitrator.output", False, _pointwise("arbitrator.output"), False),
    ]


def dequantise_features(features: np.ndarray) -> np.ndarray:
    """int8 features [T, 120] as float32; floats are passed through."""
    scale = FEATURE_SCALE if features.dtype == np.int8 else 1.0
    return np.asarray(features, np.float32) * np.float32(scale)


def encode(topology: Topology, parameters: Parameters, features: np.ndarray) -> np.ndarray:
    """Encode one utterance from the zero state.

    Args:
        features: int8 [T, 120] as the front end gives them, or float32 already times FEATURE_SCALE.
    Returns:
        float32 [T, joint].
    """
    stream = x = dequantise_features(features)
    for layer in encoder_layers(topology):
        x = layer.apply(parameters, stream if layer.stream_input else x)
        stream = layer.join(stream, x)
    return x


def arbitrate(topology: Topology, parameters: Parameters, features: np.ndarray) -> np.ndarray:
    """The arbitrator's logits over one utterance, in nats: float32 [T]. features: as encode takes them."""
    for layer in arbitrator_layers(topology):
        features = layer.apply(parameters, dequantise_features(features))
    return features[:, 0]


def encode_branching(
    topology: Topology, parameters: Parameters, features: np.ndarray, threshold: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Encode one utterance with the branch that the arbitrator chooses at every step.

    Args:
        features: as encode takes them.
        threshold: nats; the heavy branch runs where the arbitrator's logit is at least that.
    Returns:
        (float32 [T, joint], int8 [T]: 0 where the heavy branch ran, 1 where the light one did).
    """
    branching = topology.branching
    assert branching is not None, "a topology with branches"
    x = dequantise_features(features)
    heavy = (arbitrate(topology, parameters, x) >= threshold)[:, None]
    light = {layer.name.removeprefix("light."): layer for layer in light_layers(topology)}
    stream = x
    for layer in encoder_layers(topology):
        source = stream if layer.stream_input else x
        y = layer.apply(parameters, source)
        if not layer.name.endswith("depthwise"):
            other = light[layer.name].apply(parameters, source) if layer.name in light else np.zeros_like(y)
            y = np.where(heavy, y, other)
        x = y
        stream = layer.join(stream, x)
    return x, np.where(heavy[:, 0], 0, 1).astype(np.int8)


def predict(parameters: Parameters, labels: np.ndarray) -> np.ndarray:
    """Prediction network. labels: int [n, context_size], oldest first. Returns float32 [n, joint]."""
    table = parameters["predictor.table"]
    return np.sum([table[age][labels[:, age]] for age in range(table.shape[0])], axis=0)


def hidden(encoded: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The joint's hidden layer. encoded, predicted: float32 [n, joint]."""
    return np.maximum(encoded + predicted, 0.0)


def logits(parameters: Parameters, encoded: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Joint network. encoded, predicted: float32 [n, joint]. Returns float32 [n, units]."""
    return hidden(encoded, predicted) @ parameters["joint.weight"].T + parameters["joint.bias"]


def greedy_contexts(
    parameters: Parameters, encoded: np.ndarray, max_per_step: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Greedy decoding of one utterance: the pairs of step and context that the joint meets.

    Args:
        encoded: float32 [T, joint].
        max_per_step: labels emitted in one step at most.
    Returns:
        steps int [n], contexts int [n, context_size], one row per evaluation of the joint.
    """
    context = [0] * parameters["predictor.table"].shape[0]
    steps, contexts = [], []
    for step, row in enumerate(encoded):
        for _ in range(max_per_step):
            steps.append(step)
            contexts.append(tuple(context))
            scores = logits(parameters, row[None], predict(parameters, np.array([context])))[0]
            label = int(np.argmax(scores))
            if label == stapes_spec.MODEL_BLANK_UNIT:
                break
            context = [*context[1:], label]
    return np.array(steps, np.int64), np.array(contexts, np.int64).reshape(-1, len(context))
