"""Teacher-student training of a transducer: soft targets on the output lattice.

Every node of the lattice (step, units so far) has three ways on: blank, the next unit, anything
else. The student's three probabilities are pulled to the teacher's, each node weighted by the
probability that the teacher passes through it.

Reference: S. Panchapagesan et al., Efficient Knowledge Distillation for RNN-Transducer Models,
ICASSP 2021 (three collapsed outputs); the weights by occupation are ours.
"""

from keras import ops

from stapes_tools.train.loss import lattice_occupation

_LEAST = 1e-6
_NEVER = -20.0


def _outcomes(blank, emit, may_emit):
    """Log-probabilities of (blank, next unit, the rest), bounded below."""
    emit = ops.where(may_emit, emit, _NEVER)
    return blank, emit, ops.log(ops.maximum(1.0 - ops.exp(blank) - ops.exp(emit), _LEAST))


def distillation_loss(student, teacher, steps, units):
    """Divergence of the student's lattice from the teacher's.

    Args:
        student, teacher: (blank, emit), float32 [B, T, U+1] log-probabilities each; see
            stapes_tools.train.net.Transducer.lattice.
        steps, units: int32 [B], of each utterance.
    Returns:
        float32 [B], in nats: the sum over the nodes of occupation x Kullback-Leibler divergence.
    """
    stay, move = lattice_occupation(teacher[0], teacher[1], steps, units)
    # In the last column no unit is left to emit: only blank and the rest are told apart there.
    may_emit = ops.arange(ops.shape(student[0])[2])[None, None, :] < units[:, None, None]
    outcomes = [_outcomes(blank, emit, may_emit) for blank, emit in (teacher, student)]
    divergence = sum(ops.exp(p) * (p - q) for p, q in zip(*outcomes, strict=True))
    weight = ops.stop_gradient(stay + move)
    return ops.sum(weight * divergence, axis=(1, 2))
