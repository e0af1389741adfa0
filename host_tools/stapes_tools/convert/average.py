"""The mean of networks that were trained on from one: often better than each of them, at the cost of one.

Reference: M. Wortsman et al., Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time, ICML 2022.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stapes_tools.convert.checkpoint import Saved
from stapes_tools.convert.grid import Grid
from stapes_tools.convert.topology import Parameters
from stapes_tools.errors import UserError

# Between all weights of two networks: 0.96 after some 20 minutes apart, 0.55 after hours, next to 0 between strangers.
_LEAST_CORRELATION = 0.3


def average(checkpoints: Sequence[tuple[Path, Saved]]) -> Saved:
    """Average float parameters.

    Args:
        checkpoints: each with the path that errors name.
    Raises:
        UserError: they are not of one shape, hear through different priors, have weights on a grid, or have nothing
            to do with each other.
    """
    (_, first), *others = checkpoints
    for path, saved in checkpoints:
        if saved.grid.weight_scales:
            advice = "a mean lies between the steps of a grid: average checkpoints in float"
            raise UserError("its weights are on an integer grid", path, advice)
    for path, saved in others:
        if saved.topology != first.topology:
            raise UserError("its topology is not that of the first checkpoint", path, "average what one recipe started")
        if not np.array_equal(saved.prior, first.prior):
            raise UserError("its front end's prior is not that of the first", path, "average what has one base")
        if (found := correlation(first.parameters, saved.parameters)) < _LEAST_CORRELATION:
            what = f"its weights have nothing to do with those of the first (a correlation of {found:.2f})"
            raise UserError(what, path, "average networks that were trained on from one")
    mean = {
        name: np.asarray(np.mean([saved.parameters[name] for _, saved in checkpoints], axis=0), np.float32)
        for name in first.parameters
    }
    return replace(first, parameters=mean, grid=Grid())


def correlation(one: Parameters, other: Parameters) -> float:
    """Of all weights (not the biases) of two networks of one shape, without a mean: -1 to 1."""
    names = [name for name in one if name.endswith(".weight")]
    a, b = (np.concatenate([network[name].ravel() for name in names]) for network in (one, other))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))
