"""The interpreter for int8 .tflite models: the twin of st_model.c, of api_model.c and of st_branch.c's step.

The state holds the same bytes as the native interpreter's, so either can go on with the other's.
"""

import struct

import stapes_spec as spec

from . import branch, metadata, ops
from .flatbuffer import Flatbuffer
from .plan import MAX_FILE, SLOT_BYTES, SUBGRAPH_BYTES, Plan, align8
from .tensor import INT8, RefusedError

__all__ = [
    "encoder_step",
    "model_init",
    "model_invoke",
    "model_reset",
    "model_size",
    "model_subgraph",
    "model_tensor",
    "model_tensor_size",
]

PLAN_MAGIC = 0x4D535453
HEAD_BYTES = 32
HEAD = "<8I"  # magic, state bytes, file bytes, CRC position, CRC, arena, its bytes, subgraphs
SCHEMA_VERSION = 3


def _open(model):
    """Return (flatbuffer, root table); raises RefusedError."""
    if len(model) < 8:
        raise RefusedError(spec.ERROR_MODEL_TRUNCATED, len(model))
    if bytes(model[4:8]) != b"TFL3":
        raise RefusedError(spec.ERROR_MODEL_MAGIC, struct.unpack_from("<i", model, 4)[0])
    if len(model) > MAX_FILE:
        raise RefusedError(spec.ERROR_MODEL_MEMORY, len(model))
    fb = Flatbuffer(model)
    root = fb.follow(0)
    version = fb.get_i32(root, 0)
    if fb.damaged:
        raise RefusedError(spec.ERROR_MODEL_TRUNCATED, fb.damaged_at)
    if version != SCHEMA_VERSION:
        raise RefusedError(spec.ERROR_MODEL_VERSION, version)
    return fb, root


def _plan_subgraphs(plan, subgraphs):
    records = plan.reserve(subgraphs[1] * SUBGRAPH_BYTES)
    for i in range(subgraphs[1]):
        table = plan.fb.table_at(subgraphs, i)
        plan.info[spec.INFO_INDEX_SUBGRAPH] = i
        plan.is_branch = i in plan.branches
        plan.write_words(records + i * SUBGRAPH_BYTES, plan.subgraph(table))


def _plan_model(plan, root):
    """Plan head, subgraphs and arena. Returns the words of the head from state bytes on."""
    fb = plan.fb
    subgraphs = fb.get_vector(root, 2, 4)
    plan.opcodes = fb.get_vector(root, 1, 4)
    plan.buffers = fb.get_vector(root, 4, 4)
    if fb.damaged:
        plan.refuse_damage()
    if not 1 <= subgraphs[1] <= spec.MODEL_MAX_SUBGRAPHS:
        plan.refuse(spec.ERROR_MODEL_SUBGRAPH, subgraphs[1])
    plan.branches = branch.find(plan, subgraphs)
    plan.reserve(HEAD_BYTES)
    _plan_subgraphs(plan, subgraphs)
    arena = plan.reserve(plan.arena_bytes)
    return align8(plan.used), arena, plan.arena_bytes, subgraphs[1]


def _plan_file(state, model, info):
    """Check and plan; returns the bytes of state. Raises RefusedError."""
    fb, root = _open(model)
    entry = metadata.find(fb, root)
    if state is None:
        if fb.damaged:
            raise RefusedError(spec.ERROR_MODEL_TRUNCATED, fb.damaged_at)
        metadata.check(fb, entry)
    plan = Plan(fb, state, info, ops.prepare)
    size, arena, arena_bytes, count = _plan_model(plan, root)
    if state is not None:
        crc_at = entry[0] + spec.METADATA_FILE_CRC_OFFSET if entry[1] >= spec.METADATA_BYTES else 0
        crc = struct.unpack_from("<I", model, crc_at)[0]
        struct.pack_into(HEAD, state, 0, PLAN_MAGIC, size, len(model), crc_at, crc, arena, arena_bytes, count)
    info[spec.INFO_INDEX_SUBGRAPH] = -1
    return size


def _run(state, model, info):
    words = [-1] * spec.INFO_INDEX_COUNT
    try:
        status = _plan_file(state, memoryview(model), words)
    except RefusedError as refused:
        words[spec.INFO_INDEX_DETAIL] = (refused.detail + 0x80000000) % 0x100000000 - 0x80000000
        status = -refused.code
    struct.pack_into("<%di" % spec.INFO_INDEX_COUNT, info, 0, *words)
    return status


def model_size(model, info):
    """Check a model and return the bytes of its state, or -error; info says where it is wrong."""
    return _run(None, model, info)


def model_init(state, model, info):
    """Plan a model into its state and reset it. Returns 0 or -error."""
    if len(state) < HEAD_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    for i in range(len(state)):
        state[i] = 0
    status = _run(state, model, info)
    return status if status < 0 else model_reset(state, model)


def _head(state, model):
    """Return the head's words, or None when the state is not this model's."""
    if len(state) < HEAD_BYTES:
        return None
    head = struct.unpack_from(HEAD, state, 0)
    if head[0] != PLAN_MAGIC or head[1] > len(state) or head[2] != len(model):
        return None
    return head if struct.unpack_from("<I", model, head[3])[0] == head[4] else None


def _subgraph(state, index):
    return struct.unpack_from("<8I", state, HEAD_BYTES + index * SUBGRAPH_BYTES)


def _slot(state, subgraph, number):
    """Return (offset, bytes, scale, zero point, source, type)."""
    return struct.unpack_from("<IIIiII", state, subgraph[4] + number * SLOT_BYTES)


def _reset_subgraph(state, memory, subgraph):
    inputs, outputs = subgraph[2:4]
    for number in range(inputs - (outputs - 1), inputs):
        offset, size, _, zero_point, _, kind = _slot(state, subgraph, number)
        value = zero_point & 0xFF if kind == INT8 else 0
        for i in range(offset, offset + size):
            state[i] = value
    record = subgraph[5]
    for _ in range(subgraph[6]):
        record = ops.reset(memory, record)


def model_reset(state, model):
    """Set the recurrent state to zero. Returns 0 or -error."""
    head = _head(state, model)
    if head is None:
        return -spec.ERROR_STATE
    memory = ops.Memory(state, head[5], model)
    for index in range(head[7]):
        _reset_subgraph(state, memory, _subgraph(state, index))
    return 0


def model_subgraph(state, model, name):
    """Return the index of the subgraph of a name (bytes), or -error."""
    head = _head(state, model)
    if head is None:
        return -spec.ERROR_STATE
    for index in range(head[7]):
        at, count = _subgraph(state, index)[:2]
        if bytes(model[at : at + count]) == bytes(name):
            return index
    return -spec.ERROR_MODEL_SUBGRAPH


def _find_slot(state, model, subgraph, output, k):
    """Return a slot, or -error."""
    head = _head(state, model)
    if head is None:
        return -spec.ERROR_STATE
    if not 0 <= subgraph < head[7] or output not in (0, 1):
        return -spec.ERROR_ARGUMENT
    record = _subgraph(state, subgraph)
    if not 0 <= k < record[2 + output]:
        return -spec.ERROR_ARGUMENT
    return _slot(state, record, (record[2] if output else 0) + k)


def model_tensor(state, model, subgraph, output, k):
    """Return the offset in the state of input (output=0) or output (1) k, or -error."""
    slot = _find_slot(state, model, subgraph, output, k)
    return slot if isinstance(slot, int) else slot[0]


def model_tensor_size(state, model, subgraph, output, k):
    """Return the bytes of input (output=0) or output (1) k, or -error."""
    slot = _find_slot(state, model, subgraph, output, k)
    return slot if isinstance(slot, int) else slot[1]


def _carry_over(state, memory, subgraph):
    inputs, outputs = subgraph[2:4]
    for k in range(1, outputs):
        offset, size, _, _, source, _ = _slot(state, subgraph, inputs + k)
        if source != offset:
            struct.pack_into("%db" % size, state, offset, *memory.read(source, "b", size))


def model_invoke(state, model, subgraph):
    """Run a subgraph once. Returns 0 or -error."""
    head = _head(state, model)
    if head is None:
        return -spec.ERROR_STATE
    if not 0 <= subgraph < head[7]:
        return -spec.ERROR_ARGUMENT
    memory = ops.Memory(state, head[5], model)
    record = _subgraph(state, subgraph)
    offset = record[5]
    for _ in range(record[6]):
        status, offset = ops.invoke(memory, offset)
        if status < 0:
            return status
    _carry_over(state, memory, record)
    return 0


def _arbitrate(state, model, heavy):
    """Run the arbitrator on the encoder's features; return (status, logit)."""
    arbitrator = model_subgraph(state, model, branch.ARBITRATOR)
    if arbitrator < 0:
        return arbitrator, 0
    source, target = [_find_slot(state, model, subgraph, 0, 0) for subgraph in (heavy, arbitrator)]
    state[target[0] : target[0] + source[1]] = bytes(state[source[0] : source[0] + source[1]])
    status = model_invoke(state, model, arbitrator)
    return status, struct.unpack_from("<b", state, model_tensor(state, model, arbitrator, 1, 0))[0]


def encoder_step(state, model, effort):
    """Run one step of the encoder, or of its light branch: see docs/kernels_api.md."""
    if not 0 <= effort <= branch.FULL_EFFORT:
        return -spec.ERROR_ARGUMENT
    heavy = model_subgraph(state, model, branch.HEAVY)
    if heavy < 0:
        return heavy
    light = model_subgraph(state, model, branch.LIGHT)
    if light < 0:
        return model_invoke(state, model, heavy)
    status, logit = _arbitrate(state, model, heavy)
    if status < 0:
        return status
    chosen = spec.BRANCH_HEAVY if logit >= branch.threshold(effort) else spec.BRANCH_LIGHT
    status = model_invoke(state, model, heavy if chosen == spec.BRANCH_HEAVY else light)
    return status if status < 0 else chosen
