"""Monotonic RNN-T and CTC losses in log space, written with keras.ops.

Monotonic means: each step emits blank or one unit, and both advance the time, so an utterance
of T steps holds at most T units. The search on the board walks exactly these paths.

Both losses run the forward and the backward recursion in one scan over time, with vectors over
the label positions, and hand the occupation probabilities to automatic differentiation as
constants: the gradient of -log Z with respect to an arc's log-probability is minus the arc's
occupation.

Reference: A. Tripathi et al., Monotonic Recurrent Neural Network Transducer and Decoding
Strategies, ASRU 2019; A. Graves et al., Connectionist Temporal Classification, ICML 2006.
"""

from keras import ops

IMPOSSIBLE = -1e30


def _log_add(a, b):
    """log(exp a + exp b) that stays finite when both are IMPOSSIBLE."""
    return ops.maximum(a, b) + ops.log1p(ops.exp(-ops.abs(a - b)))


def _shift(x, by: int):
    """Move the last axis by 1 or 2 positions to the right (by > 0) or left, filling with IMPOSSIBLE."""
    fill = ops.full_like(x[:, : abs(by)], IMPOSSIBLE)
    return ops.concatenate([fill, x[:, :-by]] if by > 0 else [x[:, -by:], fill], axis=1)


def _scan(step, first, arrays):
    """Run step over axis 1 of arrays; returns the states before each step and the last one, [B, T + 1, S]."""
    time_major = [ops.moveaxis(array, 1, 0) for array in arrays]

    def body(state, now):
        state = step(state, now)
        return state, state

    _, states = ops.scan(body, first, time_major)
    return ops.moveaxis(ops.concatenate([first[None], states], axis=0), 0, 1)


def _with_occupation_gradient(log_z, arcs):
    """Scalars -log Z per utterance whose gradient is minus the given occupation of every arc."""
    surrogate = sum(ops.sum(ops.stop_gradient(occupation) * log_prob, axis=(1, 2)) for occupation, log_prob in arcs)
    return ops.stop_gradient(surrogate - log_z) - surrogate


def monotonic_rnnt_loss(blank, emit, steps, units):
    """Negative log-likelihood of the labels under the monotonic RNN-T.

    alpha[t+1, u] = logadd(alpha[t, u] + blank[t, u], alpha[t, u-1] + emit[t, u-1])

    Args:
        blank: float32 [B, T, U+1], log-probability of blank at step t after u units.
        emit: float32 [B, T, U+1], log-probability of unit u there; the last column is not used.
        steps: int32 [B], steps of each utterance, <= T.
        units: int32 [B], units of each utterance, <= U and <= steps.
    Returns:
        float32 [B], in nats.
    """
    inside, may_emit = _reachable(blank, steps, units)
    log_z, stay, move = _forward_backward(blank, emit, steps, units)
    kept = ops.where(inside, blank, 0.0), ops.where(may_emit, emit, 0.0)
    return _with_occupation_gradient(log_z, [(stay, kept[0]), (move, kept[1])])


def lattice_occupation(blank, emit, steps, units):
    """Probabilities, given the labels, that a path takes each arc of the lattice.

    Args:
        blank, emit, steps, units: as monotonic_rnnt_loss takes them.
    Returns:
        (stay, move): float32 [B, T, U+1] each, without a gradient; every step's sum is 1.
    """
    return _forward_backward(blank, emit, steps, units)[1:]


def _reachable(blank, steps, units):
    """bool masks: [B, T, 1] steps inside the utterance, [B, T, U+1] nodes where a unit is left to emit."""
    inside = ops.arange(ops.shape(blank)[1])[None, :, None] < steps[:, None, None]
    left = ops.arange(ops.shape(blank)[2])[None, None, :] < units[:, None, None]
    return inside, ops.logical_and(inside, left)


def _forward_backward(blank, emit, steps, units):
    """(log Z [B], occupation of the blank arcs, occupation of the emitting arcs), without gradients."""
    inside, may_emit = _reachable(blank, steps, units)
    stay_c = ops.stop_gradient(ops.where(inside, blank, 0.0))
    move_c = ops.stop_gradient(ops.where(may_emit, emit, IMPOSSIBLE))

    positions = ops.arange(ops.shape(blank)[2])[None, :]
    first = ops.where(positions == 0, 0.0, IMPOSSIBLE) + ops.zeros_like(stay_c[:, 0, :])
    alpha = _scan(lambda a, now: _log_add(a + now[0], _shift(a + now[1], 1)), first, (stay_c, move_c))
    last = ops.where(positions == units[:, None], 0.0, IMPOSSIBLE) + ops.zeros_like(first)
    backward = (ops.flip(stay_c, 1), ops.flip(move_c, 1))
    beta = ops.flip(_scan(lambda b, now: _log_add(b + now[0], _shift(b, -1) + now[1]), last, backward), 1)

    log_z = _log_sum_exp(alpha[:, 0] + beta[:, 0])
    scaled = alpha[:, :-1] - log_z[:, None, None]
    stay_occupation = ops.where(inside, ops.exp(scaled + stay_c + beta[:, 1:]), 0.0)
    shifted = ops.concatenate([beta[:, 1:, 1:], ops.full_like(beta[:, 1:, :1], IMPOSSIBLE)], axis=2)
    move_occupation = ops.where(may_emit, ops.exp(scaled + move_c + shifted), 0.0)
    return log_z, stay_occupation, move_occupation


def ctc_loss(log_probs, labels, steps, units):
    """Negative log-likelihood of the labels under CTC (blank is unit 0, repeats collapse).

    Args:
        log_probs: float32 [B, T, V].
        labels: int32 [B, U], padded with 0.
        steps: int32 [B], steps of each utterance.
        units: int32 [B], labels of each utterance.
    Returns:
        float32 [B], in nats; about 1e30 for an utterance with no path.
    """
    size_t, size_u = ops.shape(log_probs)[1], ops.shape(labels)[1]
    between = ops.zeros_like(labels)
    states = ops.concatenate([ops.reshape(ops.stack([between, labels], 2), (-1, 2 * size_u)), between[:, :1]], 1)
    before_last = ops.concatenate([ops.zeros_like(states[:, :2]), states[:, :-2]], 1)
    may_skip = ops.where(ops.logical_and(states != 0, states != before_last), 0.0, IMPOSSIBLE)

    scores = ops.matmul(log_probs, ops.transpose(ops.one_hot(states, log_probs.shape[-1]), (0, 2, 1)))
    inside = ops.arange(size_t)[None, :, None] < steps[:, None, None]
    scores_c = ops.stop_gradient(scores)
    held = ops.cast(ops.logical_and(inside, ops.ones_like(scores) > 0), "float32")

    positions = ops.arange(2 * size_u + 1)[None, :]
    # A step before the first stands on state -1, from which states 0 and 1 are reached: the same
    # as standing on state 0 (a blank) before the first step.
    first = ops.where(positions == 0, 0.0, IMPOSSIBLE) + ops.zeros_like(scores_c[:, 0])

    def forward(a, now):
        score, valid = now
        reached = _log_add(_log_add(a, _shift(a, 1)), _shift(a, 2) + may_skip)
        return ops.where(valid > 0, reached + score, a)

    def backward(b, now):
        score, valid = now
        ahead = b + score
        reached = _log_add(_log_add(ahead, _shift(ahead, -1)), _shift(ahead + may_skip, -2))
        return ops.where(valid > 0, reached, b)

    alpha = _scan(forward, first, (scores_c, held))
    at_end = ops.logical_or(positions == 2 * units[:, None], positions == 2 * units[:, None] - 1)
    last = ops.where(at_end, 0.0, IMPOSSIBLE) + ops.zeros_like(first)
    beta = ops.flip(_scan(backward, last, (ops.flip(scores_c, 1), ops.flip(held, 1))), 1)

    log_z = _log_sum_exp(alpha[:, -1] + last)
    occupation = ops.where(inside, ops.exp(alpha[:, 1:] + beta[:, 1:] - log_z[:, None, None]), 0.0)
    return _with_occupation_gradient(log_z, [(occupation, ops.where(inside, scores, 0.0))])


def _log_sum_exp(x):
    top = ops.max(x, axis=-1)
    return top + ops.log(ops.sum(ops.exp(x - top[:, None]), axis=-1))
