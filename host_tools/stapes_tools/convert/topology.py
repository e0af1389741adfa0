"""What a Stapes acoustic model is: a causal convolutional RNN-T, and its float parameters.

The network, per 30 ms step (time runs oldest to newest in every kernel)::

    x = relu(front(features))                          front_width steps, 120 -> channels
    for each block i:
        d = depthwise_i(x)                             causal, per channel, width w, dilation
        p = pointwise_i(d)                             1x1, channels -> channels
        x = x + p
    encoder output = projection(x)                     1x1, channels -> joint, linear
    predictor output = sum over k of table[k][label k] label 0 is the oldest; blank before the first
    logits = joint(relu(encoder output + predictor output))

A block's ReLU sits where the topology says (``depthwise_relu`` on d, ``pointwise_relu`` on p,
``sum_relu`` on the sum); the default is the pointwise output alone, ``x + relu(pointwise(depthwise(x)))``.
Batch normalisation is folded into the weights and biases before they come here. States
start at zero: the first step sees zeros before it.

The float input is what the front end's int8 features stand for: int8 x forward.FEATURE_SCALE
(log2 units; feature_fraction_bits of the specification).

Float parameters are a dict of float32 arrays with exactly these names and shapes:

======================== ============================ =========================================
``front.weight``         [channels, front_width, 120] output, time, input
``front.bias``           [channels]
``blockI.depthwise.weight`` [width, channels]         time, channel; I = 0, 1, ...
``blockI.depthwise.bias``   [channels]
``blockI.pointwise.weight`` [channels, channels]      output, input
``blockI.pointwise.bias``   [channels]
``projection.weight``    [joint, channels]            output, input
``projection.bias``      [joint]
``predictor.table``      [context_size, units, joint] label age (0 the oldest), label, output
``joint.weight``         [units, joint]               output, input
``joint.bias``           [units]
======================== ============================ =========================================

Reference: A. Graves, Sequence Transduction with Recurrent Neural Networks, arXiv:1211.3711;
M. Ghodsi et al., RNN-Transducer with Stateless Prediction Network, ICASSP 2020;
S. Kriman et al., QuartzNet, arXiv:1910.10261 (separable residual blocks).
"""

from dataclasses import dataclass

import numpy as np
import stapes_spec

from stapes_tools.errors import UserError

Parameters = dict[str, np.ndarray]


@dataclass(frozen=True)
class Block:
    """One residual block: a causal depthwise convolution, then a pointwise one."""

    width: int = 5
    dilation: int = 1

    @property
    def history(self) -> int:
        """Steps of the past that the depthwise convolution needs."""
        return (self.width - 1) * self.dilation


@dataclass(frozen=True)
class Topology:
    """Sizes of the network; see the module's docstring."""

    channels: int
    blocks: tuple[Block, ...]
    joint: int
    units: int
    context_size: int = 1
    front_width: int = 3
    feature_size: int = stapes_spec.FRONTEND_FEATURE_SIZE
    depthwise_relu: bool = False
    pointwise_relu: bool = True
    sum_relu: bool = False

    def __post_init__(self):
        limits = (
            ("channels", self.channels, 1, 1024),
            ("blocks", len(self.blocks), 0, 64),
            ("joint", self.joint, 1, 1024),
            ("units", self.units, 2, stapes_spec.MODEL_MAX_UNITS),
            ("context_size", self.context_size, 1, stapes_spec.MODEL_MAX_CONTEXT),
            ("front_width", self.front_width, 2, 16),
        )
        for name, value, low, high in limits:
            if not low <= value <= high:
                raise UserError("topology: {} is {}, must be {} to {}".format(name, value, low, high))
        for index, block in enumerate(self.blocks):
            if block.width < 2 or block.dilation < 1:
                raise UserError("topology: block {} needs width >= 2 and dilation >= 1".format(index))

    @property
    def receptive_steps(self) -> int:
        """Steps that one encoder output depends on, its own included."""
        return self.front_width + sum(block.history for block in self.blocks)


def parameter_shapes(topology: Topology) -> dict[str, tuple[int, ...]]:
    """Name and shape of every float parameter, in the order of the computation."""
    c, j, u = topology.channels, topology.joint, topology.units
    shapes: dict[str, tuple[int, ...]] = {
        "front.weight": (c, topology.front_width, topology.feature_size),
        "front.bias": (c,),
    }
    for index, block in enumerate(topology.blocks):
        shapes["block{}.depthwise.weight".format(index)] = (block.width, c)
        shapes["block{}.depthwise.bias".format(index)] = (c,)
        shapes["block{}.pointwise.weight".format(index)] = (c, c)
        shapes["block{}.pointwise.bias".format(index)] = (c,)
    shapes["projection.weight"] = (j, c)
    shapes["projection.bias"] = (j,)
    shapes["predictor.table"] = (topology.context_size, u, j)
    shapes["joint.weight"] = (u, j)
    shapes["joint.bias"] = (u,)
    return shapes


def check_parameters(topology: Topology, parameters: Parameters) -> None:
    """Refuse a parameter set that does not fit the topology or is not finite.

    Raises:
        UserError: a parameter is missing, unknown, of another shape, or holds inf or NaN.
    """
    shapes = parameter_shapes(topology)
    for name in parameters:
        if name not in shapes:
            raise UserError("parameter {} does not belong to this topology".format(name))
    for name, shape in shapes.items():
        if name not in parameters:
            raise UserError("parameter {} is missing".format(name))
        if tuple(parameters[name].shape) != shape:
            raise UserError("parameter {} has shape {}, must be {}".format(name, parameters[name].shape, shape))
        if not np.all(np.isfinite(parameters[name])):
            raise UserError("parameter {} holds values that are not finite".format(name))


def random_parameters(topology: Topology, seed: int) -> Parameters:
    """Float parameters of a plausible size (He initialisation), for tests and size estimates."""
    rng = np.random.default_rng(seed)
    parameters = {}
    for name, shape in parameter_shapes(topology).items():
        if name.endswith("bias"):
            spread = 0.1
        elif name.endswith("depthwise.weight"):
            spread = (1.0 / shape[0]) ** 0.5
        elif name == "predictor.table":
            spread = 0.5
        else:
            spread = (2.0 / float(np.prod(shape[1:]))) ** 0.5
        parameters[name] = rng.normal(0.0, spread, shape).astype(np.float32)
    return parameters
