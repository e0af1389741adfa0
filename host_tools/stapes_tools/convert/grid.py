"""What the caller fixes before quantisation: bits per layer, and the grid a network was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import stapes_spec

from stapes_tools.convert import forward
from stapes_tools.convert.scales import ACTIVATION_MAX, ACTIVATION_MIN, WEIGHT_MAX, Scale
from stapes_tools.convert.topology import Topology
from stapes_tools.errors import UserError

# Of the arbitrator's output, in nats: the board compares it with thresholds on this scale.
LOGIT_SCALE = Scale(2.0**-stapes_spec.ARBITRATOR_LOGIT_FRACTION_BITS, 0)
ARBITRATOR_LAYERS = ("arbitrator.front", "arbitrator.depthwise", "arbitrator.output")

# The smallest float32 that is not denormal: the board takes no scale below it.
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Grid:
    """Scales of a network that was trained with simulated quantisation.

    The integers of a layer whose weight scales are given are numpy.rint(weight / scale), clipped to
    the layer's bits, and its bias is rounded and not corrected. Activations whose scale is given have
    that scale; no range is searched. With a grid no channel is equalised. What the grid leaves out
    is chosen on the calibration set, in the network in which everything given is already rounded.

    Args:
        weight_scales: float32 [channels], above zero, by layer: front, blockI.depthwise, blockI.pointwise, projection,
            logits (the joint's output layer), light.front and the like, arbitrator.front and the like.
        activations: by name: front, blockI.depthwise, blockI.pointwise, blockI.sum, projection, predicted
            (with two labels of context also row0, row1), hidden, logits; with branches light.blockI.pointwise,
            arbitrator.front, arbitrator.depthwise, arbitrator.output. The features' scale is the
            front end's and cannot be given.
    """

    weight_scales: Mapping[str, np.ndarray] = field(default_factory=dict)
    activations: Mapping[str, Scale] = field(default_factory=dict)


def layer_channels(topology: Topology) -> dict[str, int]:
    """Output channels of every layer with weights, by the layer's name."""
    channels = {layer.name: topology.channels for layer in forward.encoder_layers(topology)}
    channels |= {"projection": topology.joint, "logits": topology.units}
    if topology.branching:
        channels |= {name: channels[name.removeprefix("light.")] for name in topology.light_matrices}
        hidden = topology.branching.arbitrator_channels
        channels |= {"arbitrator.front": hidden, "arbitrator.depthwise": hidden, "arbitrator.output": 1}
    return channels


def activation_names(topology: Topology) -> list[str]:
    """Every activation that has a scale of its own, the features apart.

    The light branch's front, sums and projection have the heavy one's; the arbitrator's output has LOGIT_SCALE.
    """
    names = []
    for layer in forward.encoder_layers(topology):
        names += [layer.name, layer.sum_name] if layer.residual else [layer.name]
    rows = [] if topology.context_size == 1 else ["row{}".format(age) for age in range(topology.context_size)]
    light = [name for name in topology.light_matrices if name.endswith("pointwise")]
    arbitrator = ARBITRATOR_LAYERS if topology.branching else ()
    return [*names, *light, *arbitrator, *rows, "predicted", "hidden", "logits"]


def encoder_matrices(topology: Topology) -> list[str]:
    """The encoders' layers that are matrices: front, blockI.pointwise, projection, the light branch's own; nearly all
    of the weights."""
    heavy = [layer.name for layer in forward.encoder_layers(topology) if not is_depthwise(layer.name)]
    return [*heavy, *topology.light_matrices]


def four_bits(topology: Topology) -> dict[str, int]:
    """weight_bits with 4 for every matrix of the encoder."""
    return dict.fromkeys(encoder_matrices(topology), 4)


def is_depthwise(layer: str) -> bool:
    """Whether a layer's weights have their output channel last."""
    return layer.endswith("depthwise")


def check_bits(topology: Topology, weight_bits: Mapping[str, int]) -> None:
    """Refuse bits per layer that the file format or the board does not have.

    Raises:
        UserError: a layer that the topology lacks, bits other than 8 and 4, or 4 in a depthwise layer.
    """
    layers = layer_channels(topology)
    for name, bits in weight_bits.items():
        if name not in layers:
            raise UserError("weight bits: layer {} does not belong to this topology".format(name))
        if bits not in WEIGHT_MAX:
            raise UserError("weight bits of layer {}: {}, must be 8 or 4".format(name, bits))
        if bits != 8 and is_depthwise(name):
            raise UserError("weight bits of layer {}: a depthwise layer must have 8".format(name))


def _check_scale(what: str, scale: float) -> None:
    if not _SMALLEST_SCALE <= np.float32(scale) < np.inf:
        raise UserError("grid: a scale of {} is {}, must be above zero and finite".format(what, scale))


def check_grid(topology: Topology, grid: Grid) -> None:
    """Refuse a grid that does not fit the topology.

    Raises:
        UserError: a layer or an activation that the topology lacks, another number of channels, a
            scale that is not above zero and finite, or a zero point that is not an int8.
    """
    layers = layer_channels(topology)
    for name, scales in grid.weight_scales.items():
        if name not in layers:
            raise UserError("grid: layer {} does not belong to this topology".format(name))
        if np.shape(scales) != (layers[name],):
            raise UserError("grid: layer {} has scales {}, must be [{}]".format(name, np.shape(scales), layers[name]))
        for scale in np.asarray(scales):
            _check_scale("layer {}".format(name), float(scale))
    known = activation_names(topology)
    for name, activation in grid.activations.items():
        if name not in known:
            raise UserError("grid: activation {} does not belong to this topology".format(name))
        _check_scale("activation {}".format(name), activation.scale)
        if name == "arbitrator.output" and activation != LOGIT_SCALE:
            raise UserError("grid: the arbitrator's output has scale {}, must be {}".format(activation, LOGIT_SCALE))
        if not ACTIVATION_MIN <= activation.zero_point <= ACTIVATION_MAX:
            raise UserError("grid: activation {} has zero point {}".format(name, activation.zero_point))


def is_complete(topology: Topology, grid: Grid) -> bool:
    """Whether nothing is left to be chosen on a calibration set."""
    return set(layer_channels(topology)) <= set(grid.weight_scales) and set(activation_names(topology)) <= set(
        grid.activations
    )
