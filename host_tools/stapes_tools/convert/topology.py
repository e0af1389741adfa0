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

With ``branching`` there are two encoders, and an arbitrator that says per step which of them runs::

    a = relu(arbitrator.depthwise(relu(arbitrator.front(features))))    causal, over arbitrator_width steps
    the heavy branch runs if arbitrator.output(a), a logit in nats, is at least the threshold (0 by default)

The heavy branch is the network above. The light one has its own front and projection, the heavy branch's
depthwise layers, and pointwise layers of its own in ``light_blocks``; in the other blocks the stream goes by
unchanged, p = 0. Both read and write the same states, so that either may run at any step: what a state
remembers of a step is what the branch that ran gave.

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

and, with ``branching`` (I in ``light_blocks``), the same shapes again as ``light.front.*``,
``light.blockI.pointwise.*``, ``light.projection.*``, and the arbitrator's:

=============================== ============================ ==================================
``arbitrator.front.weight``     [hidden, 120]                output, input; this step's features
``arbitrator.front.bias``       [hidden]
``arbitrator.depthwise.weight`` [width, hidden]              time, channel
``arbitrator.depthwise.bias``   [hidden]
``arbitrator.output.weight``    [1, hidden]                  output, input
``arbitrator.output.bias``      [1]
=============================== ============================ ==================================

Reference: A. Graves, Sequence Transduction with Recurrent Neural Networks, arXiv:1211.3711;
M. Ghodsi et al., RNN-Transducer with Stateless Prediction Network, ICASSP 2020;
S. Kriman et al., QuartzNet, arXiv:1910.10261 (separable residual blocks);
J. Macoskey et al., Amortized Neural Networks for Low-Latency Speech Recognition, arXiv:2108.01553.
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
class Branching:
    """A light encoder beside the heavy one, and the arbitrator between them.

    light_blocks: blocks that the light branch computes, ascending.
    arbitrator_channels: of the arbitrator's hidden layers.
    arbitrator_width: steps that it hears.
    """

    light_blocks: tuple[int, ...] = ()
    arbitrator_channels: int = 16
    arbitrator_width: int = 8


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
    branching: Branching | None = None

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
        if self.branching:
            self._check_branching(self.branching)

    def _check_branching(self, branching: Branching) -> None:
        light = branching.light_blocks
        if list(light) != sorted(set(light) & set(range(len(self.blocks)))):
            raise UserError(
                "topology: light blocks are {}, must ascend from 0 to {}".format(light, len(self.blocks) - 1)
            )
        if not 1 <= branching.arbitrator_channels <= 256 or not 2 <= branching.arbitrator_width <= 32:
            raise UserError("topology: the arbitrator has 1 to 256 channels and hears 2 to 32 steps")

    @property
    def light_matrices(self) -> list[str]:
        """The light branch's own layers, none without branches."""
        if self.branching is None:
            return []
        blocks = ("light.block{}.pointwise".format(index) for index in self.branching.light_blocks)
        return ["light.front", *blocks, "light.projection"]

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
    if topology.branching:
        names = ["{}.{}".format(layer, kind) for layer in topology.light_matrices for kind in ("weight", "bias")]
        shapes |= {name: shapes[name.removeprefix("light.")] for name in names}
        shapes |= _arbitrator_shapes(topology.branching, topology.feature_size)
    return shapes


def _arbitrator_shapes(branching: Branching, features: int) -> dict[str, tuple[int, ...]]:
    hidden = branching.arbitrator_channels
    return {
        "arbitrator.front.weight": (hidden, features),
        "arbitrator.front.bias": (hidden,),
        "arbitrator.depthwise.weight": (branching.arbitrator_width, hidden),
        "arbitrator.depthwise.bias": (hidden,),
        "arbitrator.output.weight": (1, hidden),
        "arbitrator.output.bias": (1,),
    }


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
