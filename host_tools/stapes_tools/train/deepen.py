"""A deeper network that begins as what a shallower one has learnt: to teach, where it need not fit a board."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from stapes_tools.convert.topology import Block, Parameters, Topology
from stapes_tools.errors import UserError

_WIDTH = 5
_DEPTHWISE_SPREAD = 0.4
# Nothing, but not quite: where the rectifier is shut, nothing is learnt.
_POINTWISE_SPREAD = 0.004
_POINTWISE_BIAS = 0.001
_KINDS = ("depthwise.weight", "depthwise.bias", "pointwise.weight", "pointwise.bias")


def deepened(
    topology: Topology, parameters: Parameters, after: Collection[int], dilation: int, seed: int
) -> tuple[Topology, Parameters]:
    """A residual block that does next to nothing yet after each of some blocks.

    Args:
        topology, parameters: of a network without branches.
        after: numbers of blocks, from 0.
        dilation: of the new blocks, whose width is 5.
        seed: of their first weights.
    Raises:
        UserError: there is no such block, or the network has branches.
    Reference: T. Chen et al., Net2Net: Accelerating Learning via Knowledge Transfer, ICLR 2016 (Net2DeeperNet).
    """
    if topology.branching is not None:
        raise UserError("a network with branches is not made deeper", advice='write base_stage = "dense"')
    if strangers := [number for number in after if not 0 <= number < len(topology.blocks)]:
        advice = f"keep them from 0 to {len(topology.blocks) - 1}"
        raise UserError(f"[training] extra_blocks names block {strangers[0]}", advice=advice)
    rng, channels = np.random.default_rng([seed, 5]), topology.channels
    found = {name: value for name, value in parameters.items() if not name.startswith("block")}
    blocks: list[Block] = []
    for number, block in enumerate(topology.blocks):
        found |= {f"block{len(blocks)}.{kind}": parameters[f"block{number}.{kind}"] for kind in _KINDS}
        blocks.append(block)
        if number in after:
            found |= {f"block{len(blocks)}.{kind}": value for kind, value in _idle(channels, rng).items()}
            blocks.append(Block(_WIDTH, dilation))
    return replace(topology, blocks=tuple(blocks)), found


def _idle(channels: int, rng: np.random.Generator) -> Parameters:
    """Parameters of a block that adds next to nothing to its input, by kind."""
    values = {
        "depthwise.weight": rng.standard_normal((_WIDTH, channels)) * _DEPTHWISE_SPREAD,
        "depthwise.bias": np.zeros(channels),
        "pointwise.weight": rng.standard_normal((channels, channels)) * _POINTWISE_SPREAD,
        "pointwise.bias": np.full(channels, _POINTWISE_BIAS),
    }
    return {kind: value.astype(np.float32) for kind, value in values.items()}
