"""What the predictor sees while a transducer is trained: the last unit, a blank in its place now and then, or never.

A predictor learns the training text: which phone follows which. Where a grammar says that already, the encoder is to
say alone what was heard, and the search evaluates the joint once per step (docs/training.md).
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from stapes_tools.convert.topology import Parameters

_DRAWS_SEED = 7


def is_context_free(dropout: float) -> bool:
    """Whether no utterance's predictor ever sees a unit: every step then has one distribution, whatever was said."""
    return dropout >= 1.0


def units_before(labels, known=None):
    """What the predictor sees before every label and after the last: int32 [B, U] -> [B, U+1], 0 at the start.

    Args:
        labels: int32 [B, U], padded with 0.
        known: float32 [B], 0 for an utterance whose predictor sees no label, as at the start; None: all see them.
    """
    before = ops.pad(labels, ((0, 0), (1, 0)))
    return before if known is None else before * ops.cast(known, before.dtype)[:, None]


def known_contexts(dropout: float, batch: int, rows: int) -> list[float]:
    """Of every utterance of a batch 1 if its predictor sees the last unit, 0 where that is dropped.

    Args:
        dropout: share to drop; with 0 or 1 there is nothing to draw, and the list is empty.
        batch: its number, which the draws depend on.
        rows: utterances of the batch.
    """
    if not dropout or is_context_free(dropout):
        return []
    draws = np.random.default_rng([_DRAWS_SEED, batch]).random(rows)
    return [float(draw >= dropout) for draw in draws]


def lattice_of(scores, labels):
    """The lattice of a network that sees no context; a small part of the work of one that does.

    Args:
        scores: float32 [B, T, V], log-probabilities of every unit at every step.
        labels: int32 [B, U], padded with 0.
    Returns:
        (blank, emit): float32 [B, T, U+1] each, as stapes_tools.train.net.Transducer.lattice gives them.
    """
    ahead = ops.one_hot(ops.pad(labels, ((0, 0), (0, 1))), scores.shape[-1])
    emit = ops.matmul(scores, ops.transpose(ahead, (0, 2, 1)))
    return scores[..., :1] + ops.zeros_like(emit), emit


def outcomes_of(scores, pairs):
    """What the discriminative loss compares, of a network that sees no context.

    Args:
        scores: float32 [B, T, V], log-probabilities of every unit at every step.
        pairs: int32 [P, 2], (0, unit) of a graph without context.
    Returns:
        (blank float32 [B, T, 1], emit float32 [B, T, P]), see stapes_tools.train.mmi.MmiLoss.
    """
    return scores[..., :1], ops.take(scores, pairs[:, 1], axis=2)


def divergence(student, teacher, steps):
    """Kullback-Leibler divergence of a context-free student from such a teacher, step by step.

    Args:
        student, teacher: float32 [B, T, V], log-probabilities.
        steps: int32 [B], of each utterance.
    Returns:
        float32 [B], in nats: the sum over the steps inside each utterance.
    """
    inside = ops.arange(ops.shape(student)[1])[None] < steps[:, None]
    each = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    return ops.sum(each * ops.cast(inside, "float32"), axis=1)


def averaged(scores: Sequence):
    """Log of the mean of several networks' probabilities: a list of float32 [B, T, V] -> [B, T, V]."""
    if len(scores) == 1:
        return scores[0]
    return ops.logsumexp(ops.stack(scores), axis=0) - np.float32(np.log(len(scores)))


def without_context(parameters: Parameters) -> Parameters:
    """Parameters to train on without context: the predictor says after a blank what it said on average of the units."""
    table = parameters["predictor.table"]
    return parameters | {"predictor.table": _everywhere(table, table[:, 1:].mean(axis=1))}


def settled(parameters: Parameters) -> Parameters:
    """Parameters of a network that was trained without context: after every unit the predictor says the same.

    So the network is the same whether a search hears the context or not.
    """
    table = parameters["predictor.table"]
    return parameters | {"predictor.table": _everywhere(table, table[:, 0])}


def _everywhere(table: np.ndarray, row: np.ndarray) -> np.ndarray:
    """float32 [contexts, units, joint] with one row, [contexts, joint], for all units."""
    return np.broadcast_to(row[:, None], table.shape).astype(np.float32)
