"""Utterances that a network of a few hundred weights learns in seconds."""

import numpy as np
from stapes_tools.grammar.graph import Arc, Graph
from stapes_tools.train.commands import CommandGraph, command_graph
from stapes_tools.train.data import FeatureSet


def toy_set() -> FeatureSet:
    """Utterances in which unit 1 is a low bump and unit 2 a high one."""
    rng = np.random.default_rng(0)
    rows, labels, starts = [], [], [0]
    for _ in range(24):
        units = rng.integers(1, 3, rng.integers(2, 8))
        steps = np.zeros((60, 120), np.int8)
        for place, unit in enumerate(units):
            steps[4 + 6 * place : 7 + 6 * place, 60 * (unit - 1) : 60 * unit] = 40
        rows.append(steps + rng.integers(-3, 4, steps.shape).astype(np.int8))
        labels.append(units.astype(np.int32))
        starts.append(starts[-1] + 60)
    return FeatureSet(np.concatenate(rows), np.array(starts[:-1]), np.full(24, 60, np.int32), labels)


def toy_commands(*, hears_context: bool = True) -> CommandGraph:
    """Units 1 and 2 in any order, as long as 1 is the first: about half of the utterances."""
    first, rest = [Arc(1, None, 0, 1)], [Arc(1, None, -700, 1), Arc(2, None, -700, 1)]
    return command_graph(Graph([first, rest], [None, "go"], []), hears_context=hears_context)
