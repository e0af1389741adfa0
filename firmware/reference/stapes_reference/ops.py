"""Operators: which module plans and runs which, and the memory they run in. Twin of st_op.c."""

import struct

import stapes_spec as spec

from . import op_add, op_copy, op_dense, op_lstm
from .plan import REF_ARENA, REF_FILE, REF_REGION

LSTM, CUSTOM = op_lstm.LSTM, 32

_PREPARE = {
    0: op_add.prepare,
    op_copy.CONCATENATION: op_copy.prepare_concatenation,
    op_dense.CONV_2D: op_dense.prepare,
    op_dense.DEPTHWISE_CONV_2D: op_dense.prepare,
    op_dense.FULLY_CONNECTED: op_dense.prepare,
    op_copy.RESHAPE: op_copy.prepare_reshape,
    op_copy.GATHER: op_copy.prepare_gather,
    LSTM: op_lstm.prepare,
    op_copy.STRIDED_SLICE: op_copy.prepare_strided_slice,
}

# Function and words of the record, per kind.
_INVOKE = {
    0: (op_add.invoke, op_add.RECORD_BYTES // 4),
    op_copy.CONCATENATION: (op_copy.invoke_concatenation, 5 + 2 * op_copy.MAX_INPUTS),
    op_dense.CONV_2D: (op_dense.invoke, op_dense.RECORD_WORDS),
    op_dense.CONV_2D_INT4: (op_dense.invoke, op_dense.RECORD_WORDS),
    op_dense.ZERO_SKIP_INT8: (op_dense.invoke, op_dense.RECORD_WORDS),
    op_dense.ZERO_SKIP_INT4: (op_dense.invoke, op_dense.RECORD_WORDS),
    op_dense.DEPTHWISE_CONV_2D: (op_dense.invoke, op_dense.RECORD_WORDS),
    op_copy.RESHAPE: (op_copy.invoke_reshape, 6),
    op_copy.GATHER: (op_copy.invoke_gather, 10),
    LSTM: (op_lstm.invoke, op_lstm.RECORD_BYTES // 4),
    op_lstm.ZERO_SKIP_LSTM: (op_lstm.invoke, op_lstm.RECORD_BYTES // 4),
    op_copy.STRIDED_SLICE: (op_copy.invoke_strided_slice, 14),
}


class Memory:
    """State, arena and file that an invocation's references point into."""

    def __init__(self, state, arena, file):
        self.state = state
        self.arena = arena
        self.file = file

    def _place(self, ref):
        ref &= 0xFFFFFFFF
        region, offset = ref & REF_REGION, ref & ~REF_REGION
        if region == REF_FILE:
            return self.file, offset
        return self.state, offset + (self.arena if region == REF_ARENA else 0)

    def read(self, ref, code, count, skip=0):
        """Return count integers of a struct code, skip bytes after a reference."""
        buffer, offset = self._place(ref)
        return struct.unpack_from("<%d%s" % (count, code), buffer, offset + skip)

    def write(self, ref, code, values, skip=0):
        """Store integers, skip bytes after a reference."""
        buffer, offset = self._place(ref)
        struct.pack_into("<%d%s" % (len(values), code), buffer, offset + skip, *values)


def prepare(plan):
    """Plan the plan's current operator."""
    if plan.code == CUSTOM and plan.custom_code == spec.ZERO_SKIP_OPERATOR.encode():
        # Our operator with packed weights goes by the stock operator whose options it has.
        stock = LSTM if plan.options_type == op_lstm.OPTIONS else op_dense.STOCK.get(plan.options_type)
        plan.packed = stock is not None
        plan.code = stock if plan.packed else CUSTOM
    function = _PREPARE.get(plan.code)
    if function is None:
        plan.refuse_option()
    function(plan)


def _words(state, offset):
    kind = struct.unpack_from("<i", state, offset)[0]
    return struct.unpack_from("<%di" % _INVOKE[kind][1], state, offset)


def invoke(memory, offset):
    """Run the record at a state offset. Returns (status, offset of the next record)."""
    words = _words(memory.state, offset)
    status = _INVOKE[words[0]][0](memory, words)
    return status or 0, words[1]


def reset(memory, offset):
    """Reset the record's recurrent state. Returns the offset of the next record."""
    words = _words(memory.state, offset)
    if words[0] in (LSTM, op_lstm.ZERO_SKIP_LSTM):
        op_lstm.reset(memory, words)
    return words[1]
