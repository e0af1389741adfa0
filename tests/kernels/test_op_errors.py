"""What the operators of model_strategies.py refuse: the code, the operator and the tensor, in C and Python alike."""

import model_builder as mb
import model_strategies as strategies
import numpy as np
import pytest
import stapes_spec as spec
from model_audio import audio_operators
from model_runner import check
from test_model_hostile import assert_changed_bytes_alike

TYPE, OP = spec.ERROR_MODEL_TYPE, spec.ERROR_MODEL_OP
Q = {"scale": 0.1, "zero_point": 3}
OTHER = {"scale": 0.2, "zero_point": 3}
SOFTMAX, TANH = strategies.SOFTMAX_OUTPUT, strategies.TANH_OUTPUT
X = [([2, 4], mb.INT8, Q)]
Y = ([2, 4], mb.INT8, Q)
IMAGE = [([1, 4, 4, 3], mb.INT8, Q)]


def pool(**fields):
    defaults = {"padding": 1, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
    return strategies.options("Pool2DOptions", **{**defaults, **fields})


def widths(values, kind=mb.INT32):
    return ([len(values), 2], kind, {"data": values})


def axes(*values, kind=mb.INT32):
    return ([len(values)], kind, {"data": values})


ADD, MUL = (strategies.options(name) for name in ("AddOptions", "MulOptions"))
MEAN = strategies.options("ReducerOptions")
BETA, NO_BETA = strategies.options("SoftmaxOptions", beta=1.0), strategies.options("SoftmaxOptions")
LEAKY = strategies.options("LeakyReluOptions", alpha=0.1)
C = mb.OP
# Operator, inputs, output, options, constants; the error, and its detail: a tensor, or the operator.
REFUSED = {
    "pool without options": (C.MAX_POOL_2D, IMAGE, ([1, 2, 2, 3], mb.INT8, Q), None, [], OP, C.MAX_POOL_2D),
    "pool of another scale": (C.MAX_POOL_2D, IMAGE, ([1, 2, 2, 3], mb.INT8, OTHER), pool(), [], TYPE, 1),
    "pool to a wrong size": (C.AVERAGE_POOL_2D, IMAGE, ([1, 2, 3, 3], mb.INT8, Q), pool(), [], TYPE, 1),
    "pool to a wrong depth": (C.AVERAGE_POOL_2D, IMAGE, ([1, 2, 2, 4], mb.INT8, Q), pool(), [], TYPE, 1),
    "pool of a window too large": (C.MAX_POOL_2D, IMAGE, ([1, 1, 1, 3], mb.INT8, Q), pool(filterHeight=5), [], TYPE, 1),
    "pool without a stride": (C.MAX_POOL_2D, IMAGE, ([1, 2, 2, 3], mb.INT8, Q), pool(strideW=0), [], OP, 17),
    "pool without a window": (C.MAX_POOL_2D, IMAGE, ([1, 2, 2, 3], mb.INT8, Q), pool(filterWidth=-1), [], OP, 17),
    "pool with tanh": (C.MAX_POOL_2D, IMAGE, ([1, 2, 2, 3], mb.INT8, Q), pool(fusedActivationFunction=4), [], OP, 17),
    "pool of a flat image": (C.MAX_POOL_2D, [([4, 4, 3], mb.INT8, Q)], ([2, 2, 3], mb.INT8, Q), pool(), [], TYPE, 0),
    "pool of int16": (C.MAX_POOL_2D, [([1, 4, 4, 3], mb.INT16, Q)], ([1, 2, 2, 3], mb.INT16, Q), pool(), [], TYPE, 0),
    "mean over no such axis": (C.MEAN, X, ([2], mb.INT8, Q), MEAN, [axes(2)], TYPE, 1),
    "mean over a far axis": (C.MEAN, X, ([2], mb.INT8, Q), MEAN, [axes(-3)], TYPE, 1),
    "mean over axes of int16": (C.MEAN, X, ([2], mb.INT8, Q), MEAN, [axes(1, kind=mb.INT16)], TYPE, 1),
    "mean to a wrong size": (C.MEAN, X, ([4], mb.INT8, Q), MEAN, [axes(1)], TYPE, 2),
    "mean without axes": (C.MEAN, X, ([2], mb.INT8, Q), MEAN, [], TYPE, C.MEAN),
    "softmax without beta": (C.SOFTMAX, X, ([2, 4], mb.INT8, SOFTMAX), NO_BETA, [], OP, C.SOFTMAX),
    "softmax to another scale": (C.SOFTMAX, X, Y, BETA, [], TYPE, 1),
    "softmax to another zero point": (C.SOFTMAX, X, ([2, 4], mb.INT8, {"scale": 1 / 256}), BETA, [], TYPE, 1),
    "softmax of a tiny scale": (
        *(C.SOFTMAX, [([2, 4], mb.INT8, {"scale": 2.0**-27})], ([2, 4], mb.INT8, SOFTMAX), BETA, [], TYPE, 0),
    ),
    "softmax of a huge scale": (
        *(C.SOFTMAX, [([2, 4], mb.INT8, {"scale": 16.0})], ([2, 4], mb.INT8, SOFTMAX), BETA, [], TYPE, 0),
    ),
    "softmax of a long row": (
        *(C.SOFTMAX, [([1, 4097], mb.INT8, Q)], ([1, 4097], mb.INT8, SOFTMAX), BETA, [], TYPE, 0),
    ),
    "logistic to another scale": (C.LOGISTIC, X, ([2, 4], mb.INT8, TANH), None, [], TYPE, 1),
    "tanh to another scale": (C.TANH, X, ([2, 4], mb.INT8, SOFTMAX), None, [], TYPE, 1),
    "tanh of a tiny scale": (
        *(C.TANH, [([2, 4], mb.INT8, {"scale": 2.0**-29})], ([2, 4], mb.INT8, TANH), None, [], TYPE, 0),
    ),
    "tanh of a huge scale": (
        *(C.TANH, [([2, 4], mb.INT8, {"scale": 32.0})], ([2, 4], mb.INT8, TANH), None, [], TYPE, 0),
    ),
    "relu of another shape": (C.RELU, X, ([4, 2], mb.INT8, Q), None, [], TYPE, 1),
    "relu6 to another scale": (C.RELU6, X, ([2, 4], mb.INT8, OTHER), None, [], TYPE, 1),
    "leaky relu without options": (C.LEAKY_RELU, X, Y, None, [], OP, C.LEAKY_RELU),
    "leaky relu that rises": (C.LEAKY_RELU, X, Y, strategies.options("LeakyReluOptions", alpha=-0.1), [], OP, 98),
    "leaky relu of int16": (C.LEAKY_RELU, [([2, 4], mb.INT16, Q)], Y, LEAKY, [], TYPE, 0),
    "quantise int16": (C.QUANTIZE, [([2, 4], mb.INT16, Q)], Y, None, [], TYPE, 0),
    "quantise to int16": (C.QUANTIZE, [([2, 4], mb.FLOAT32, {})], ([2, 4], mb.INT16, Q), None, [], TYPE, 1),
    "quantise to no scale": (C.QUANTIZE, [([2, 4], mb.FLOAT32, {})], ([2, 4], mb.INT8, {}), None, [], TYPE, 1),
    "quantise to another shape": (C.QUANTIZE, [([2, 4], mb.FLOAT32, {})], ([8], mb.INT8, Q), None, [], TYPE, 1),
    "dequantise to int8": (C.DEQUANTIZE, X, Y, None, [], TYPE, 1),
    "dequantise int16": (C.DEQUANTIZE, [([2, 4], mb.INT16, Q)], ([2, 4], mb.FLOAT32, {}), None, [], TYPE, 0),
    "add of unlike shapes": (C.ADD, [*X, ([3, 4], mb.INT8, Q)], Y, ADD, [], TYPE, 2),
    "add to the smaller shape": (C.ADD, [*X, ([4], mb.INT8, Q)], ([4], mb.INT8, Q), ADD, [], TYPE, 2),
    "add with options of mul": (C.ADD, [*X, *X], Y, MUL, [], OP, C.ADD),
    "mul of one tensor": (C.MUL, X, Y, MUL, [], TYPE, C.MUL),
    "mul with int16": (C.MUL, [*X, ([2, 4], mb.INT16, Q)], Y, MUL, [], TYPE, 1),
    "mul with a huge scale": (
        *(C.MUL, [([2, 4], mb.INT8, {"scale": 2.0**20})] * 2, Y, MUL, [], TYPE, 2),
    ),
    "pad to a wrong size": (C.PAD, X, ([2, 7], mb.INT8, Q), None, [widths([[0, 0], [1, 1]])], TYPE, 2),
    "pad by less than nothing": (C.PAD, X, ([2, 4], mb.INT8, Q), None, [widths([[0, 0], [-1, 1]])], TYPE, 2),
    "pad to another scale": (C.PAD, X, ([2, 6], mb.INT8, OTHER), None, [widths([[0, 0], [1, 1]])], TYPE, 2),
    "pad with too few widths": (C.PAD, X, ([2, 6], mb.INT8, Q), None, [widths([[1, 1]])], TYPE, 1),
    "pad with widths of int16": (C.PAD, X, ([2, 6], mb.INT8, Q), None, [widths([[0, 0], [1, 1]], mb.INT16)], TYPE, 1),
    "pad with a value of another scale": (
        *(C.PADV2, X, ([2, 6], mb.INT8, Q), None),
        *([widths([[0, 0], [1, 1]]), ([1], mb.INT8, {"data": [1], **OTHER})], TYPE, 2),
    ),
    "pad with two values": (
        *(C.PADV2, X, ([2, 6], mb.INT8, Q), None),
        *([widths([[0, 0], [1, 1]]), ([2], mb.INT8, {"data": [1, 1], **Q})], TYPE, 2),
    ),
    "squeeze to another size": (C.SQUEEZE, X, ([2, 2], mb.INT8, Q), None, [], TYPE, 1),
}  # fmt: skip


def assert_refused(native, reference, model, code, detail):
    found = check(native, model)
    assert found == check(reference, model)
    assert found == (-code, (0, 0, detail)), (found, spec.ERRORS.get(-found[0]))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(native, reference, name):
    code, inputs, output, options, constants, error, detail = REFUSED[name]
    model = strategies.model_of(code, inputs, output, options, constants)
    assert_refused(native, reference, model, error, detail)


def svdf(change=None, element=mb.INT16, time=mb.INT16, memory=3, **state):
    """x, feature weights, time weights, bias, state, y: tensors 0 to 5."""
    builder = mb.Builder()
    graph = builder.graph()
    tensors = [
        graph.tensor([1, 4], scale=0.1),
        graph.tensor([6, 4], scale=0.01, data=np.ones([6, 4])),
        graph.tensor([6, 3], time, scale=0.001, data=np.ones([6, 3])),
        graph.tensor([3], mb.INT32, scale=0.00001, data=[1, 2, 3]),
        graph.tensor([1, 6 * memory], element, **{"scale": 0.01, "variable": True, **state}),
    ]
    y = graph.tensor([1, 3], scale=0.1)
    graph.op(mb.OP.SVDF, tensors, [y], *strategies.options("SVDFOptions", rank=2))
    graph.subgraph.inputs, graph.subgraph.outputs = tensors[:1], [y]
    if change:
        change(graph.subgraph)
    return builder.build()


def option(name, value):
    return lambda graph: setattr(graph.operators[0].builtinOptions, name, value)


def tensor(index, name, value):
    return lambda graph: setattr(graph.tensors[index], name, value)


def test_svdf_is_accepted(native, reference):
    model = svdf()
    assert check(native, model) == check(reference, model)
    assert check(native, model)[0] > 0


@pytest.mark.parametrize(
    ("model", "error", "detail"),
    [
        (svdf(option("rank", 0)), OP, mb.OP.SVDF),
        (svdf(option("rank", 4)), OP, mb.OP.SVDF),
        (svdf(option("fusedActivationFunction", mb.ACTIVATION.RELU6)), OP, mb.OP.SVDF),
        (svdf(lambda graph: graph.operators[0].inputs.pop()), OP, mb.OP.SVDF),
        (svdf(tensor(0, "shape", [4])), TYPE, 0),
        (svdf(tensor(0, "shape", [1, 5])), TYPE, 5),
        (svdf(tensor(5, "shape", [1, 2])), TYPE, 5),
        (svdf(tensor(1, "shape", [3, 8])), TYPE, 2),
        (svdf(tensor(4, "isVariable", False)), TYPE, 4),
        (svdf(memory=2), TYPE, 4),
        (svdf(element=mb.INT8), TYPE, 4),
        (svdf(element=mb.INT8, time=mb.INT8, zero_point=5), TYPE, 4),
        (svdf(time=mb.INT32), TYPE, 2),
        (svdf(scale=2e-38), TYPE, 1),
        (svdf(lambda graph: setattr(graph.tensors[1].quantization, "zeroPoint", [1])), TYPE, 1),
    ],
)  # fmt: skip
def test_svdf_is_refused(native, reference, model, error, detail):
    assert_refused(native, reference, model, error, detail)


def test_batches_that_would_overflow(native, reference):
    """2^24 batches of 256 states: their product is a multiple of 2^32."""
    builder = mb.Builder()
    graph = builder.graph()
    tensors = [
        graph.tensor([1, 1], scale=0.1),
        graph.tensor([256, 1], scale=0.01, data=np.ones([256, 1])),
        graph.tensor([256, 1], mb.INT16, scale=0.001, data=np.ones([256, 1])),
        -1,
        graph.tensor([1], mb.INT16, scale=0.01, variable=True),
    ]
    y = graph.tensor([1, 1], scale=0.1)
    graph.op(mb.OP.SVDF, tensors, [y], *strategies.options("SVDFOptions", rank=256))
    graph.subgraph.inputs, graph.subgraph.outputs = tensors[:1], [y]
    for index in (0, 4):
        graph.subgraph.tensors[index].shape = [1 << 24, 1]
    assert_refused(native, reference, builder.build(), TYPE, 3)


def test_changed_bytes_with_a_right_checksum(native, reference):
    assert_changed_bytes_alike(native, reference, audio_operators(), flips=700, seed=3)
