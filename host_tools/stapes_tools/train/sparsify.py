"""Which weights stay: masks of whole blocks, chosen by what each block contributes, and their schedule.

A block is `rows` neighbouring outputs of one input, the shape that zero-skip kernels like: one
activation is loaded once and multiplied by `rows` weights.

Reference: M. Zhu, S. Gupta, To Prune, or Not to Prune, arXiv:1710.01878 (gradual, cubic);
M. Sun et al., A Simple and Effective Pruning Approach for Large Language Models,
arXiv:2306.11695 (weights are judged by their size times that of their input).
"""

import numpy as np


def zeros_wanted(progress: float, start: float, end: float, final: float) -> float:
    """Share of zeros at a point of the training, rising along a cubic from start to end.

    Args:
        progress: part of the training that is done, 0 to 1.
        start, end: where the rise starts and ends, on the same scale; both 0: all zeros are there from the beginning.
        final: share from `end` on.
    """
    if progress >= end:
        return final
    if progress <= start:
        return 0.0
    return final * (1.0 - (1.0 - (progress - start) / (end - start)) ** 3)


def block_mask(weight: np.ndarray, input_rms: np.ndarray, zeros: float, rows: int) -> np.ndarray:
    """Keep the blocks that contribute most.

    Args:
        weight: float32 [outputs, inputs].
        input_rms: float32 [inputs], root mean square of every input.
        zeros: share of the blocks to leave out, 0 to 1.
        rows: outputs per block; a last incomplete block is judged by its mean like the others.
    Returns:
        float32 [outputs, inputs]: 1 for a weight that stays, 0 for one that goes.
    """
    outputs, inputs = weight.shape
    groups = -(-outputs // rows)
    energy = np.zeros((groups * rows, inputs))
    energy[:outputs] = (weight * input_rms) ** 2
    members = np.minimum(rows, outputs - rows * np.arange(groups))[:, None]
    score = energy.reshape(groups, rows, inputs).sum(axis=1) / members
    dropped = round(zeros * score.size)
    keep = np.ones(score.size, np.float32)
    keep[np.argsort(score, axis=None, kind="stable")[:dropped]] = 0.0
    return np.repeat(keep.reshape(groups, inputs), rows, axis=0)[:outputs]
