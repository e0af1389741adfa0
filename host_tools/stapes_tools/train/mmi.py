"""Maximum mutual information over a command grammar: what was said against everything else that could have been.

    loss = log sum over sentences w of P(w) p(w | x)  -  log P(said) p(said | x)

Both sums run over all alignments, with the search's blank penalty and its discount at the start, so that training
sees what the search compares. The sum over the sentences is a forward-backward recursion over the grammar's graph; no
list of hypotheses is made, so none grows old. It runs with probabilities, every step's scaled to a sum of 1, and hands
the arcs' occupations to automatic differentiation as constants, as stapes_tools.train.loss does.

With a margin all sentences but what was said count as if they were so much likelier:

    loss = log(1 + e^margin (e^mmi - 1)),    e^mmi - 1 the odds against what was said

so that an utterance that is understood goes on to teach until it is understood by the margin.

References: D. Povey et al., Purely Sequence-Trained Neural Networks for ASR Based on Lattice-Free MMI, Interspeech 2016
(the idea and the sum over a graph of phones); for the monotonic transducer with a predictor of one unit it is ours.
D. Povey et al., Boosted MMI for Model and Feature-Space Discriminative Training, ICASSP 2008 (the margin; there it
grows with the errors of a path, here all wrong sentences have the same).
"""

import numpy as np
from keras import ops

from stapes_tools.train.commands import CommandGraph
from stapes_tools.train.loss import monotonic_rnnt_loss

# Row weights of utterances that the grammar does not hold: log-weights are never positive.
OUTSIDE = 1.0
# Less likely than this a step does not become, in nats: exp of it is still a float32, squared too.
_LEAST = -40.0
# What a sum is divided by at least: near the least float32.
_TINY = 1e-37


class _SumBy:
    """Sums columns that belong together: float32 [B, A] -> [B, S], column a added to groups[a].

    Most groups have one member or none, so that they are picked and not added; the others go through a small matrix.
    """

    def __init__(self, groups: np.ndarray, size: int):
        count = len(groups)
        sizes = np.bincount(groups, minlength=size)
        many = np.flatnonzero(sizes > 1)
        self._members = np.flatnonzero(sizes[groups] > 1).astype(np.int32)
        self._matrix = (groups[self._members][:, None] == many[None]).astype(np.float32)
        places = np.full(size, count + len(many))
        places[groups] = np.arange(count)
        places[many] = count + np.arange(len(many))
        self._places = places.astype(np.int32)

    def __call__(self, columns):
        added = ops.matmul(ops.take(columns, self._members, axis=1), self._matrix)
        return ops.take(ops.concatenate([columns, added, ops.zeros_like(columns[:, :1])], axis=1), self._places, axis=1)


class MmiLoss:
    """The loss of one grammar.

    Args:
        graph: of the grammar.
        blank_penalty: nats that the search takes from every blank.
        start_discount: nats by which that is less before the first unit.
        margin: nats by which all but what was said is made likelier.
    """

    def __init__(self, graph: CommandGraph, blank_penalty: float, start_discount: float = 0.0, margin: float = 0.0):
        self.graph, self.blank_penalty, self.start_discount = graph, blank_penalty, start_discount
        self.margin = margin
        self._at_start = np.eye(1, len(graph.before), dtype=np.float32)
        self._weight = np.exp(graph.log_weight)
        states = len(graph.before)
        self._arriving, self._leaving = _SumBy(graph.target, states), _SumBy(graph.source, states)
        self._pair_of_arc = (graph.pair[:, None] == np.arange(len(graph.pairs))[None]).astype(np.float32)

    def __call__(self, said, anything, steps, units, log_weight):
        """The loss.

        Args:
            said: (blank, emit) of the labels' lattice, as monotonic_rnnt_loss takes them.
            anything: (blank, emit): float32 [B, T, V], log-probability of blank after every unit ([B, T, 1] without
                context), and [B, T, P], of the graph's pairs.
            steps, units: int32 [B], of each utterance.
            log_weight: float32 [B], the labels' weight in the grammar, nats, or OUTSIDE.
        Returns:
            float32 [B], in nats; 0 for an utterance outside the grammar.
        """
        nothing_said = ops.cast(ops.arange(ops.shape(said[0])[2]) == 0, "float32")
        waited = said[0] - self.blank_penalty + self.start_discount * nothing_said
        reference = monotonic_rnnt_loss(waited, said[1], steps, units) - log_weight
        blank, emit = anything[0] - self.blank_penalty, anything[1]
        log_z, stay, move = self.occupation(blank, emit, steps)
        surrogate = ops.sum(stay * blank, axis=(1, 2)) + ops.sum(move * emit, axis=(1, 2))
        everything = surrogate + ops.stop_gradient(log_z - surrogate)
        return ops.where(log_weight <= 0.0, self._with_margin(reference + everything), 0.0)

    def _with_margin(self, mmi):
        """See above; as it is without a margin."""
        if not self.margin:
            return mmi
        # Both sums are of hundreds of nats: their difference may round to less than nothing.
        mmi = ops.maximum(mmi, 0.0)
        return self.margin + mmi + ops.log1p(ops.exp(-mmi) * np.expm1(-self.margin))

    def occupation(self, blank, emit, steps):
        """Probabilities that a path of the grammar takes each arc.

        Args:
            blank, emit, steps: see above, the penalty taken from blank.
        Returns:
            (log Z [B], stay [B, T, V] of blank after every unit, move [B, T, P] of every pair), without gradients.
        """
        graph = self.graph
        inside = ops.cast(ops.arange(ops.shape(blank)[1])[:, None] < steps[None], "float32")[..., None]
        stay = ops.exp(ops.maximum(ops.moveaxis(ops.stop_gradient(blank), 1, 0), _LEAST))
        move = ops.exp(ops.maximum(ops.moveaxis(ops.stop_gradient(emit), 1, 0), _LEAST))
        # Beyond the end, paths stay where they are.
        stay, move = inside * stay + (1.0 - inside), inside * move
        waiting = 1.0 + inside * (np.exp(self.start_discount) - 1.0) * self._at_start
        arrays = (ops.take(stay, graph.before, axis=2) * waiting, ops.take(move, graph.pair, axis=2) * self._weight)

        at_end = graph.final.astype(np.float32)
        first = ops.zeros_like(arrays[0][0]) + self._at_start
        alpha = self._forward(first, arrays)
        beta = self._backward(ops.zeros_like(first) + at_end, arrays)
        ended = ops.sum(_scaled(alpha[-1]) * at_end, axis=-1)
        log_z = ops.sum(ops.log(ops.sum(alpha, axis=-1)), axis=0) + ops.log(ops.maximum(ended, _TINY))

        alpha, beta = _scaled(alpha[:-1]), _scaled(beta[1:])
        stays = alpha * arrays[0] * beta
        moves = ops.take(alpha, graph.source, axis=2) * arrays[1] * ops.take(beta, graph.target, axis=2)
        total = ops.maximum(ops.sum(stays, axis=-1) + ops.sum(moves, axis=-1), _TINY)[..., None]
        context = np.eye(blank.shape[2], dtype=np.float32)[graph.before]
        by_unit, by_pair = ops.matmul(stays * inside / total, context), ops.matmul(moves / total, self._pair_of_arc)
        return log_z, ops.moveaxis(by_unit, 0, 1), ops.moveaxis(by_pair, 0, 1)

    def _forward(self, first, arrays):
        """States before each step and the last ones, [T + 1, B, S]; the sum of a row is what its step scaled it by."""

        def step(alpha, now):
            alpha = _scaled(alpha)
            reached = now[0] * alpha + self._arriving(ops.take(alpha, self.graph.source, axis=1) * now[1])
            return reached, reached

        return ops.concatenate([first[None], ops.scan(step, first, arrays)[1]], axis=0)

    def _backward(self, last, arrays):
        """States before each step and the last ones, [T + 1, B, S], looking ahead."""

        def step(beta, now):
            beta = _scaled(beta)
            behind = now[0] * beta + self._leaving(ops.take(beta, self.graph.target, axis=1) * now[1])
            return behind, behind

        return ops.concatenate([ops.scan(step, last, arrays, reverse=True)[1], last[None]], axis=0)


def _scaled(x):
    """With a sum of 1 along the last axis."""
    return x / ops.maximum(ops.sum(x, axis=-1, keepdims=True), _TINY)
