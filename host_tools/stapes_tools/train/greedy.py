"""Greedy phone recognition with the float network: the quick figure to watch while training."""

from collections.abc import Sequence

import numpy as np

from stapes_tools.convert import forward
from stapes_tools.convert.topology import Parameters, Topology


def greedy_phones(topology: Topology, parameters: Parameters, features: np.ndarray, blank_penalty: float = 0.0) -> list:
    """Best unit of every step, one per step at most (monotonic RNN-T).

    Args:
        features: int8 [T, 120].
        blank_penalty: nats taken from the blank's logit.
    Returns:
        list[int]: units without blanks.
    """
    encoded = forward.encode(topology, parameters, features)
    table, weight = parameters["predictor.table"][0], parameters["joint.weight"].T
    bias = parameters["joint.bias"].copy()
    bias[0] -= blank_penalty
    units, last = [], 0
    for row in encoded:
        best = int(np.argmax(np.maximum(row + table[last], 0.0) @ weight + bias))
        if best:
            units.append(best)
            last = best
    return units


def edit_distance(reference: Sequence, hypothesis: Sequence) -> int:
    """Least insertions, deletions and substitutions between two sequences."""
    found = np.asarray(hypothesis)
    row = np.arange(len(found) + 1)
    for number, unit in enumerate(reference, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (found != unit)) if len(found) else row[1:]
        row = np.concatenate([[number], best])
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])


def phone_error_rate(
    topology: Topology, parameters: Parameters, examples: Sequence[tuple[np.ndarray, np.ndarray]], penalty: float = 0.0
) -> float:
    """Errors per reference phone over examples (features, labels)."""
    errors = total = 0
    for features, labels in examples:
        found = greedy_phones(topology, parameters, np.asarray(features), penalty)
        errors += edit_distance(labels.tolist(), found)
        total += len(labels)
    return errors / max(total, 1)
