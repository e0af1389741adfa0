"""A small model with the operators that audio nets have beside convolutions, from float32 to float32."""

import model_builder as mb
import numpy as np

OP = mb.OP


def _pointwise(graph, code, x, shape, quantisation, fields=(None, 0)):
    y = graph.tensor(shape, **quantisation)
    graph.op(code, [x], [y], *fields)
    return y


def _pooled(graph, rng):
    """Float input [1, 3, 4, 2], quantised, padded, multiplied by a vector, pooled twice: int8 [1, 2, 2, 2]."""
    image = {"scale": 0.05, "zero_point": -20}
    x = graph.tensor([1, 3, 4, 2], mb.FLOAT32)
    quantised = _pointwise(graph, OP.QUANTIZE, x, [1, 3, 4, 2], image)
    padded = graph.tensor([1, 4, 5, 2], **image)
    widths = graph.tensor([4, 2], mb.INT32, data=[[0, 0], [1, 0], [0, 1], [0, 0]])
    graph.op(OP.PAD, [quantised, widths], [padded], *mb.options("PadOptions", {}))
    factors = graph.tensor([2], scale=0.01, zero_point=3, data=[100, -90])
    scaled = graph.tensor([1, 4, 5, 2], **image)
    graph.op(OP.MUL, [padded, factors], [scaled], *mb.options("MulOptions", {"fusedActivationFunction": 2}))
    window = {"padding": 0, "strideH": 1, "strideW": 2, "filterHeight": 2, "filterWidth": 3}
    most = graph.tensor([1, 4, 3, 2], **image)
    graph.op(OP.MAX_POOL_2D, [scaled], [most], *mb.options("Pool2DOptions", window))
    window = {**window, "padding": 1, "strideH": 2, "strideW": 1, "filterWidth": 2}
    average = graph.tensor([1, 2, 2, 2], **image)
    graph.op(OP.AVERAGE_POOL_2D, [most], [average], *mb.options("Pool2DOptions", window))
    return x, average, image


def _gated(graph, pooled, image):
    """The pooled image plus its logistic, and the mean of that over height and width: int8 [1, 2]."""
    gate = _pointwise(graph, OP.LOGISTIC, pooled, [1, 2, 2, 2], {"scale": 1 / 256, "zero_point": -128})
    total = graph.tensor([1, 2, 2, 2], scale=0.06, zero_point=-4)
    graph.op(OP.ADD, [pooled, gate], [total], *mb.options("AddOptions", {"fusedActivationFunction": 0}))
    mean = graph.tensor([1, 2], scale=0.02, zero_point=7)
    axes = graph.tensor([2], mb.INT32, data=[1, -2])
    graph.op(OP.MEAN, [total, axes], [mean], *mb.options("ReducerOptions", {"keepDims": False}))
    return mean


def _classified(graph, rng, x):
    """SVDF with memory, leaky RELU, SOFTMAX: int8 [1, 3]."""
    tensors = [
        x,
        graph.tensor([6, 2], scale=0.01, data=rng.integers(-127, 128, [6, 2])),
        graph.tensor([6, 3], mb.INT16, scale=2.0**-14, data=rng.integers(-32767, 32768, [6, 3])),
        graph.tensor([3], mb.INT32, scale=2.0**-26, data=rng.integers(-(2**20), 2**20, 3)),
        graph.tensor([1, 18], mb.INT16, scale=2.0**-12, variable=True),
    ]
    y = graph.tensor([1, 3], scale=0.03, zero_point=-9)
    graph.op(OP.SVDF, tensors, [y], *mb.options("SVDFOptions", {"rank": 2, "fusedActivationFunction": 1}))
    fields = mb.options("LeakyReluOptions", {"alpha": 0.3})
    bent = _pointwise(graph, OP.LEAKY_RELU, y, [1, 3], {"scale": 0.03, "zero_point": 5}, fields)
    fields = mb.options("SoftmaxOptions", {"beta": 1.5})
    return _pointwise(graph, OP.SOFTMAX, bent, [1, 3], {"scale": 1 / 256, "zero_point": -128}, fields)


def audio_operators(seed=0):
    """Return the file's bytes."""
    rng = np.random.default_rng(seed)
    builder = mb.Builder()
    graph = builder.graph("classifier")
    x, pooled, image = _pooled(graph, rng)
    shares = _classified(graph, rng, _gated(graph, pooled, image))
    y = graph.tensor([1, 3], mb.FLOAT32)
    graph.op(OP.DEQUANTIZE, [shares], [y], *mb.options("DequantizeOptions", {}))
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    return builder.build()
