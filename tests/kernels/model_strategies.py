"""Hypothesis strategies: one-operator models of the operators that audio nets have beside convolutions.

Each strategy gives a Sample: the file, its inputs, and in how many steps they come (operators with a state).
"""

from dataclasses import dataclass

import model_builder as mb
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

ACTIVATIONS = [mb.ACTIVATION.NONE, mb.ACTIVATION.RELU, mb.ACTIVATION.RELU6, mb.ACTIVATION.RELU_N1_TO_1]
SOFTMAX_OUTPUT = {"scale": 1 / 256, "zero_point": -128}
TANH_OUTPUT = {"scale": 1 / 128, "zero_point": 0}
EVERY_INT8 = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)

dims = st.integers(1, 5)
zero_points = st.one_of(st.sampled_from([-128, 0, 127]), st.integers(-128, 127))
fused = st.sampled_from(ACTIVATIONS)


@dataclass
class Sample:
    """A model and what to feed it: one list of arrays per invocation."""

    model: bytes
    steps: list


def float_bits(low, high):
    """A float32 between 2^low and 2^high: any mantissa."""
    return st.builds(
        lambda e, m: np.float32(2.0**e * (1 + m / 2**23)), st.integers(low, high - 1), st.integers(0, 2**23 - 1)
    )


def scales(low=-9, high=-2):
    """Quantisation scales: mostly odd ones, also powers of two, the edge of the multipliers' range."""
    return st.one_of(float_bits(low, high), st.builds(lambda e: np.float32(2.0**e), st.integers(low, high)))


def quantised(low=-9, high=-2):
    """Scale and zero point of a tensor."""
    return st.fixed_dictionaries({"scale": scales(low, high), "zero_point": zero_points})


def int8(shape):
    """Any int8, evenly distributed or as Hypothesis likes them, or only the extremes."""
    spread = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(-128, 128, shape, np.int8))
    return st.one_of(spread, *(hnp.arrays(np.int8, shape, elements=e) for e in (None, st.sampled_from([-128, 127]))))


def shapes(least=1, most=4):
    return st.lists(dims, min_size=least, max_size=most)


def model_of(code, inputs, output, options=None, constants=(), change=None):
    """One operator; tensors are (shape, type, quantisation), and constants have data besides.

    change: function of the subgraph, before it is packed.
    """
    builder = mb.Builder()
    graph = builder.graph()
    xs = [graph.tensor(shape, kind, **quantisation) for shape, kind, quantisation in inputs]
    fixed = [graph.tensor(shape, kind, **fields) for shape, kind, fields in constants]
    y = graph.tensor(output[0], output[1], **output[2])
    graph.op(code, xs + fixed, [y], *(options or (None, 0)))
    graph.subgraph.inputs, graph.subgraph.outputs = xs, [y]
    if change:
        change(graph.subgraph)
    return builder.build()


def options(name, **fields):
    return mb.options(name, fields)


@st.composite
def pool(draw, code):
    window, strides = draw(st.tuples(dims, dims)), draw(st.tuples(dims, dims))
    image = [n + draw(st.integers(0, 4)) for n in window]
    padding = draw(st.integers(0, 1))
    sizes = list(zip(image, window, strides, strict=True))
    out = [-(-n // s) if padding == 0 else (n - w) // s + 1 for n, w, s in sizes]
    batches, depth, same = draw(st.integers(1, 2)), draw(dims), draw(quantised())
    fields = options(
        "Pool2DOptions",
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=window[0],
        filterWidth=window[1],
        fusedActivationFunction=draw(fused),
    )
    shape = [batches, *image, depth]
    model = model_of(code, [(shape, mb.INT8, same)], ([batches, *out, depth], mb.INT8, same), fields)
    return Sample(model, [[draw(int8(shape))]])


def average_pool():
    return pool(mb.OP.AVERAGE_POOL_2D)


def max_pool():
    return pool(mb.OP.MAX_POOL_2D)


@st.composite
def mean(draw):
    """Also over the same axis twice, over negative axes, and with the input's own scale."""
    shape = draw(shapes())
    rank = len(shape)
    axes = draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank))
    averaged = {axis % rank for axis in axes}
    keep = draw(st.booleans())
    out = [1 if i in averaged else n for i, n in enumerate(shape) if keep or i not in averaged]
    x = draw(quantised())
    y = draw(st.one_of(st.just(x), quantised()))
    constants = [([len(axes)], mb.INT32, {"data": axes})]
    fields = options("ReducerOptions", keepDims=keep)
    model = model_of(mb.OP.MEAN, [(shape, mb.INT8, x)], (out, mb.INT8, y), fields, constants)
    return Sample(model, [[draw(int8(shape))]])


@st.composite
def softmax(draw):
    shape = [*draw(shapes(0, 3)), draw(st.integers(1, 40))]
    beta = float(draw(st.one_of(st.just(1.0), float_bits(-3, 2))))
    x = draw(quantised(-9, 2))
    fields = options("SoftmaxOptions", beta=beta)
    model = model_of(mb.OP.SOFTMAX, [(shape, mb.INT8, x)], (shape, mb.INT8, SOFTMAX_OUTPUT), fields)
    return Sample(model, [[draw(int8(shape))]])


@st.composite
def table(draw, code, output=None, fields=None, high=4):
    """A function of one int8, all 256 of them."""
    x = draw(quantised(-12, high))
    y = output or draw(quantised(-12, 4))
    shape = list(EVERY_INT8.shape)
    return Sample(model_of(code, [(shape, mb.INT8, x)], (shape, mb.INT8, y), fields), [[EVERY_INT8]])


def logistic():
    return table(mb.OP.LOGISTIC, SOFTMAX_OUTPUT, high=3)


def tanh():
    return table(mb.OP.TANH, TANH_OUTPUT, high=3)


def relu():
    return table(mb.OP.RELU)


@st.composite
def relu6(draw):
    same = draw(quantised(-12, 4))
    shape = list(EVERY_INT8.shape)
    return Sample(model_of(mb.OP.RELU6, [(shape, mb.INT8, same)], (shape, mb.INT8, same)), [[EVERY_INT8]])


@st.composite
def leaky_relu(draw):
    alpha = float(draw(st.one_of(st.just(0.0), float_bits(-6, 1))))
    return draw(table(mb.OP.LEAKY_RELU, fields=options("LeakyReluOptions", alpha=alpha)))


def requantise():
    return table(mb.OP.QUANTIZE, fields=options("QuantizeOptions"))


@st.composite
def quantise(draw):
    """Floats around every step of the scale: on the ties and their neighbours; and any that stock code defines."""
    y = draw(quantised(-100, 100))
    scale = float(y["scale"])
    ties = (np.arange(-140, 140) + 0.5) * scale
    near = (
        ties.astype(np.float32).view(np.uint32)
        + draw(hnp.arrays(np.uint32, ties.shape, elements=st.integers(0, 4)))
        - np.uint32(2)
    )
    free = draw(hnp.arrays(np.float32, (40,), elements=st.floats(-3e5, 3e5, width=32)))
    with np.errstate(over="ignore", under="ignore"):
        scaled = (free.astype(np.float64) * scale).astype(np.float32)
    tiny = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-39], np.float32)
    x = np.concatenate([near.view(np.float32), scaled, tiny]).reshape(1, -1)
    fields = options("QuantizeOptions")
    return Sample(model_of(mb.OP.QUANTIZE, [(x.shape, mb.FLOAT32, {})], (x.shape, mb.INT8, y), fields), [[x]])


@st.composite
def dequantise(draw):
    x = draw(quantised(-126, 127))
    shape = list(EVERY_INT8.shape)
    fields = options("DequantizeOptions")
    return Sample(model_of(mb.OP.DEQUANTIZE, [(shape, mb.INT8, x)], (shape, mb.FLOAT32, {}), fields), [[EVERY_INT8]])


@st.composite
def broadcast_shapes(draw):
    """Two shapes and what they broadcast to: one shape, a scalar, a vector of the last axis, and any mixture."""
    shape = draw(shapes())
    kind = draw(st.sampled_from(["same", "scalar", "vector", "mixed"]))
    if kind == "mixed":
        both = [[n if draw(st.booleans()) else 1 for n in shape] for _ in range(2)]
        both[1] = both[1][draw(st.integers(0, len(shape) - 1)) :]
    else:
        both = [shape, {"same": shape, "scalar": [1], "vector": shape[-1:]}[kind]]
    if draw(st.booleans()):
        both.reverse()
    return both, [int(n) for n in np.broadcast_shapes(*map(tuple, both))]


@st.composite
def add(draw):
    both, out = draw(broadcast_shapes())
    first = draw(quantised())
    second = draw(st.one_of(st.just(first), quantised()))
    fields = options("AddOptions", fusedActivationFunction=draw(fused))
    inputs = [(both[0], mb.INT8, first), (both[1], mb.INT8, second)]
    model = model_of(mb.OP.ADD, inputs, (out, mb.INT8, draw(quantised())), fields)
    return Sample(model, [[draw(int8(shape)) for shape in both]])


@st.composite
def mul(draw):
    both, out = draw(broadcast_shapes())
    xs = [draw(quantised()) for _ in both]
    y = {
        "scale": np.float32(xs[0]["scale"] * xs[1]["scale"] * draw(float_bits(4, 11))),
        "zero_point": draw(zero_points),
    }
    fields = options("MulOptions", fusedActivationFunction=draw(fused))
    inputs = [(shape, mb.INT8, x) for shape, x in zip(both, xs, strict=True)]
    return Sample(model_of(mb.OP.MUL, inputs, (out, mb.INT8, y), fields), [[draw(int8(shape)) for shape in both]])


@st.composite
def pad(draw, with_value=False):
    shape, same = draw(shapes()), draw(quantised())
    widths = [[draw(st.integers(0, 3)) for _ in range(2)] for _ in shape]
    out = [n + before + after for n, (before, after) in zip(shape, widths, strict=True)]
    constants = [([len(shape), 2], mb.INT32, {"data": widths})]
    if with_value:
        constants.append(([1], mb.INT8, {"data": [draw(st.integers(-128, 127))], **same}))
    code = mb.OP.PADV2 if with_value else mb.OP.PAD
    fields = options("PadV2Options" if with_value else "PadOptions")
    model = model_of(code, [(shape, mb.INT8, same)], (out, mb.INT8, same), fields, constants)
    return Sample(model, [[draw(int8(shape))]])


def padv2():
    return pad(with_value=True)


@st.composite
def squeeze(draw):
    shape, same = draw(shapes(1, 3)), draw(quantised())
    x, y = [1, *shape], shape
    code, name, constants = mb.OP.SQUEEZE, "SqueezeOptions", []
    if draw(st.booleans()):
        x, y = y, x
        code, name, constants = mb.OP.EXPAND_DIMS, "ExpandDimsOptions", [([1], mb.INT32, {"data": [0]})]
    fields = options(name, squeezeDims=[0]) if code == mb.OP.SQUEEZE else options(name)
    model = model_of(code, [(x, mb.INT8, same)], (y, mb.INT8, same), fields, constants)
    return Sample(model, [[draw(int8(x))]])


@st.composite
def svdf(draw, bits=16):
    """Several steps: the state fills, saturates, and forgets."""
    batches, inputs = draw(st.integers(1, 2)), draw(st.integers(1, 12))
    rank, units, memory = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 6))
    filters, kind = rank * units, mb.INT16 if bits == 16 else mb.INT8
    largest = 2 ** (bits - 1) - 1
    x, y_zero = draw(quantised()), draw(zero_points)
    feature_scale, time_scale = draw(scales(-13, -6)), draw(scales(-10 - bits // 2, -7 - bits // 2))
    sums = float(x["scale"] * feature_scale) * 8000 * inputs**0.5
    state_scale = np.float32(sums / largest * 2.0 ** draw(st.integers(-3, 2)))
    sums = float(state_scale * time_scale) * largest**2 / 8 * (rank * memory) ** 0.5
    y_scale = np.float32(sums / 128 * 2.0 ** draw(st.integers(-3, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    limit = largest if draw(st.booleans()) else largest // 8
    builder = mb.Builder()
    graph = builder.graph()
    tensors = [
        graph.tensor([batches, inputs], **x),
        graph.tensor([filters, inputs], scale=feature_scale, data=rng.integers(-127, 128, [filters, inputs])),
        graph.tensor(
            [filters, memory], kind, scale=time_scale, data=rng.integers(-limit, limit + 1, [filters, memory])
        ),
        graph.tensor([units], mb.INT32, scale=state_scale * time_scale, data=rng.integers(-20000, 20000, units)),
        graph.tensor([batches, filters * memory], kind, scale=state_scale, variable=True),
    ]
    y = graph.tensor([batches, units], scale=y_scale, zero_point=y_zero)
    # LiteRT wants RELU here; none of the references does it.
    graph.op(mb.OP.SVDF, tensors, [y], *options("SVDFOptions", rank=rank, fusedActivationFunction=1))
    graph.subgraph.inputs, graph.subgraph.outputs = tensors[:1], [y]
    return Sample(builder.build(), [[draw(int8((batches, inputs)))] for _ in range(memory + 2)])


def svdf_int8():
    return svdf(bits=8)


STRATEGIES = {
    f.__name__: f
    for f in (
        average_pool, max_pool, mean, softmax, logistic, tanh, relu, relu6, leaky_relu, requantise, quantise,
        dequantise, add, mul, pad, padv2, squeeze, svdf, svdf_int8,
    )
}  # fmt: skip
