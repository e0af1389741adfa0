"""Operators: which module plans and runs which, and the memory they run in. Twin of st_op.c."""

import struct

import stapes_spec as spec

from . import op_copy, op_dense, op_elementwise, op_lstm, op_pointwise, op_pool, op_svdf
from .plan import REF_ARENA, REF_FILE, REF_REGION

LSTM, CUSTOM = op_lstm.LSTM, 32

_PREPARE = {
    op_elementwise.ADD: op_elementwise.prepare,
    op_elementwise.MUL: op_elementwise.prepare,
    op_copy.CONCATENATION: op_copy.prepare_concatenation,
    op_dense.CONV_2D: op_dense.prepare,
    op_dense.DEPTHWISE_CONV_2D: op_dense.prepare,
    op_dense.FULLY_CONNECTED: op_dense.prepare,
    op_copy.RESHAPE: op_copy.prepare_reshape,
    op_copy.GATHER: op_copy.prepare_gather,
    LSTM: op_lstm.prepare,
    op_copy.STRIDED_SLICE: op_copy.prepare_strided_slice,
    op_copy.SQUEEZE: op_copy.prepare_reshape,
    op_copy.EXPAND_DIMS: op_copy.prepare_reshape,
    op_copy.PAD: op_copy.prepare_pad,
    op_copy.PADV2: op_copy.prepare_pad,
    op_pool.AVERAGE_POOL_2D: op_pool.prepare_pool,
    op_pool.MAX_POOL_2D: op_pool.prepare_pool,
    op_pool.MEAN: op_pool.prepare_mean,
    op_pointwise.SOFTMAX: op_pointwise.prepare_softmax,
    op_pointwise.LOGISTIC: op_pointwise.prepare_lookup,
    op_pointwise.TANH: op_pointwise.prepare_lookup,
    op_pointwise.RELU: op_pointwise.prepare_lookup,
    op_pointwise.RELU6: op_pointwise.prepare_lookup,
    op_pointwise.LEAKY_RELU: op_pointwise.prepare_lookup,
    op_pointwise.QUANTIZE: op_pointwise.prepare_quantize,
    op_pointwise.DEQUANTIZE: op_pointwise.prepare_dequantize,
    op_svdf.SVDF: op_svdf.prepare,
}

# Function and words of the record, per kind.
_INVOKE = {
    op_elementwise.ADD: (op_elementwise.invoke, op_elementwise.RECORD_WORDS),
    op_elementwise.MUL: (op_elementwise.invoke, op_elementwise.RECORD_WORDS),
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
    op_copy.PAD: (op_copy.invoke_pad, 15),
    op_pool.AVERAGE_POOL_2D: (op_pool.invoke_pool, op_pool.POOL_WORDS),
    op_pool.MAX_POOL_2D: (op_pool.invoke_pool, op_pool.POOL_WORDS),
    op_pool.MEAN: (op_pool.invoke_mean, op_pool.MEAN_WORDS),
    op_pointwise.SOFTMAX: (op_pointwise.invoke_softmax, op_pointwise.SOFTMAX_WORDS),
    op_pointwise.LOOKUP: (op_pointwise.invoke_lookup, op_pointwise.LOOKUP_WORDS),
    op_pointwise.QUANTIZE: (op_pointwise.invoke_quantize, op_pointwise.QUANTIZE_WORDS),
    op_pointwise.DEQUANTIZE: (op_pointwise.invoke_dequantize, op_pointwise.QUANTIZE_WORDS),
    op_svdf.SVDF: (op_svdf.invoke, op_svdf.RECORD_WORDS),
}

_RESET = {LSTM: op_lstm.reset, op_lstm.ZERO_SKIP_LSTM: op_lstm.reset, op_svdf.SVDF: op_svdf.reset}


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
    if words[0] in _RESET:
        _RESET[words[0]](memory, words)
    return words[1]
