"""The branches of a model, found and compared, and the arbitrator's threshold: the twin of st_branch.c."""

import stapes_spec as spec

from .flatbuffer import Flatbuffer
from .log2 import FRACTION_BITS, log2
from .plan import MAX_SLOTS, open_subgraph

HEAVY, LIGHT, ARBITRATOR = NAMES = (b"encoder", b"encoder_light", b"arbitrator")
FULL_EFFORT = 100
LN2 = 5678  # Q.13
THRESHOLD_SHIFT = 13 + FRACTION_BITS - spec.ARBITRATOR_LOGIT_FRACTION_BITS
LOGIT_SCALE = (127 - spec.ARBITRATOR_LOGIT_FRACTION_BITS) << 23  # the float32 2^-logit_fraction_bits


def threshold(effort):
    """Return the least logit, Q.4 nats, that calls for the heavy branch: the logit of 1 - effort, rounded, half up.

    Args:
        effort: per cent; 128 (no int8 reaches it) for 0, -128 for 100.
    """
    if effort <= 0 or effort >= FULL_EFFORT:
        return 128 if effort <= 0 else -128
    odds = log2(FULL_EFFORT - effort) - log2(effort)
    return (odds * LN2 + (1 << (THRESHOLD_SHIFT - 1))) >> THRESHOLD_SHIFT


def _find_part(data, subgraphs, wanted):
    """Return the index of the first subgraph of a name, -1: there is none. A bad table has no name."""
    fb = Flatbuffer(data)
    for index in range(subgraphs[1]):
        at, count = open_subgraph(fb, fb.table_at(subgraphs, index))[0]
        if count == len(wanted) and bytes(data[at : at + count]) == wanted:
            return index
    return -1


class _Part:
    """One of the three subgraphs."""

    def __init__(self, plan, subgraphs, index):
        plan.info[spec.INFO_INDEX_SUBGRAPH] = index
        self.plan = plan
        _, self.tensors, self.inputs, self.outputs, _ = open_subgraph(plan.fb, plan.fb.table_at(subgraphs, index))
        if plan.fb.damaged:
            plan.refuse_damage()
        most = max(self.inputs[1], self.outputs[1])
        if self.inputs[1] == 0 or self.outputs[1] == 0 or most > MAX_SLOTS:
            plan.refuse(spec.ERROR_MODEL_BRANCHES, most)

    def load(self, vector, k):
        """Return tensor k of its inputs or outputs."""
        self.plan.tensors = self.tensors
        return self.plan.load(self.plan.fb.i32_at(vector, k))


def _compare(plan, first, second):
    if first.type != second.type or not first.same_shape(second) or not first.same_scale(second):
        plan.refuse(spec.ERROR_MODEL_BRANCHES, second.index)


def _check_light(plan, heavy, light):
    for one, other in ((heavy.inputs, light.inputs), (heavy.outputs, light.outputs)):
        if one[1] != other[1]:
            plan.refuse(spec.ERROR_MODEL_BRANCHES, other[1])
    for one, other in ((heavy.inputs, light.inputs), (heavy.outputs, light.outputs)):
        for k in range(one[1]):
            _compare(plan, heavy.load(one, k), light.load(other, k))


def _check_arbitrator(plan, heavy, arbitrator):
    if arbitrator.inputs[1] != arbitrator.outputs[1]:
        plan.refuse(spec.ERROR_MODEL_BRANCHES, arbitrator.outputs[1])
    _compare(plan, heavy.load(heavy.inputs, 0), arbitrator.load(arbitrator.inputs, 0))
    logit = arbitrator.load(arbitrator.outputs, 0)
    quantised = (logit.elements, logit.scale, logit.zero_point) == (1, LOGIT_SCALE, 0)
    if not logit.is_activation() or not quantised:
        plan.refuse(spec.ERROR_MODEL_BRANCHES, logit.index)


def find(plan, subgraphs):
    """Find the branches and compare their tensors, before anything is planned.

    Returns:
        (heavy, light), indices of subgraphs; () without branches.
    Raises:
        RefusedError: a part is missing, or they do not fit each other; see st_branch.h.
    """
    indices = [_find_part(plan.fb.data, subgraphs, name) for name in NAMES]
    if indices[1] < 0 and indices[2] < 0:
        return ()
    for part, index in enumerate(indices):
        if index < 0:
            plan.refuse(spec.ERROR_MODEL_SUBGRAPH, part)
    heavy = _Part(plan, subgraphs, indices[0])
    _check_light(plan, heavy, _Part(plan, subgraphs, indices[1]))
    _check_arbitrator(plan, heavy, _Part(plan, subgraphs, indices[2]))
    plan.info[spec.INFO_INDEX_SUBGRAPH] = -1
    return indices[0], indices[1]
