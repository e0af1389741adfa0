"""Random one-operator models: every shape, scale and option that the interpreter serves.

Each function takes a numpy generator and returns (file, input arrays' shapes or drawing functions).
"""

import model_builder as mb
import numpy as np


def scale(rng):
    """A float32 scale between 2^-9 and 2^-2."""
    return np.float32(2.0 ** rng.uniform(-9, -2))


def zero_point(rng):
    return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))


def int8(rng, shape):
    """Random int8; now and then only the extremes."""
    if rng.random() < 0.2:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape, dtype=np.int8)


def weights(rng, shape):
    return rng.integers(-127, 128, shape) if rng.random() < 0.8 else rng.choice([-127, 127], shape)


def int4_weights(rng, shape):
    """All 16 values, -8 too; now and then only the extremes, or mostly zeros."""
    kind = rng.random()
    if kind < 0.2:
        return rng.choice([-8, 7], shape)
    values = rng.integers(-8, 8, shape)
    return values * (rng.random(shape) < 0.25) if kind < 0.4 else values


def activation(rng):
    return int(rng.choice([mb.ACTIVATION.NONE, mb.ACTIVATION.RELU, mb.ACTIVATION.RELU6, mb.ACTIVATION.RELU_N1_TO_1]))


def finish(builder, graph, inputs, outputs):
    graph.subgraph.inputs, graph.subgraph.outputs = inputs, outputs
    return builder.build()


def output_scale(rng, x_scale, w_scale, depth):
    """An output scale at which typical sums fill the range, or saturate it."""
    return np.float32(x_scale * np.mean(w_scale) * np.sqrt(depth) * 2.0 ** rng.uniform(2, 6.5))


def dense(rng, per_channel, depth, rows):
    """Scales of x, weights and y."""
    x_scale = scale(rng)
    w_scale = np.array([scale(rng) / 16 for _ in range(rows if per_channel else 1)], np.float32)
    if per_channel and rows > 2 and rng.random() < 0.3:
        w_scale[1] = 2.0**-40  # a multiplier that is flushed to zero
    return x_scale, w_scale, output_scale(rng, x_scale, w_scale, depth)


def _window(rng):
    size = rng.integers(1, 4, 2)
    fields = {
        "strideH": int(rng.integers(1, 3)),
        "strideW": int(rng.integers(1, 3)),
        "dilationHFactor": int(rng.integers(1, 3)),
        "dilationWFactor": int(rng.integers(1, 3)),
        "padding": int(rng.integers(0, 2)),
        "fusedActivationFunction": activation(rng),
    }
    reach = [(int(size[0]) - 1) * fields["dilationHFactor"] + 1, (int(size[1]) - 1) * fields["dilationWFactor"] + 1]
    image = [int(rng.integers(r, r + 4)) for r in reach]
    strides = (fields["strideH"], fields["strideW"])
    if fields["padding"] == 0:
        out = [-(-n // s) for n, s in zip(image, strides, strict=True)]
    else:
        out = [(n - r) // s + 1 for n, r, s in zip(image, reach, strides, strict=True)]
    return [int(n) for n in size], image, out, fields


def conv(rng, depthwise=False, bits=8):
    """CONV_2D or DEPTHWISE_CONV_2D."""
    kernel, image, out, fields = _window(rng)
    if depthwise and fields["strideH"] != fields["strideW"]:
        fields["strideW"] = fields["strideH"]
        out[1] = -(-image[1] // fields["strideW"]) if fields["padding"] == 0 else out[1]
        reach = (kernel[1] - 1) * fields["dilationWFactor"] + 1
        out[1] = out[1] if fields["padding"] == 0 else (image[1] - reach) // fields["strideW"] + 1
    batches, depth = int(rng.integers(1, 3)), int(rng.integers(1, 14))
    if bits == 4 and rng.random() < 0.5:
        depth = 8 * int(rng.integers(1, 6))
    repeat = int(rng.integers(1, 3))
    rows = depth * repeat if depthwise else int(rng.integers(1, 10))
    per_channel = bool(rng.random() < 0.7)
    taps = kernel[0] * kernel[1] * (1 if depthwise else depth)
    x_scale, w_scale, y_scale = dense(rng, per_channel, taps, rows)
    builder = mb.Builder()
    graph = builder.graph()
    shape = [batches, *image, depth]
    x = graph.tensor(shape, scale=x_scale, zero_point=zero_point(rng))
    w_shape = [1, *kernel, rows] if depthwise else [rows, *kernel, depth]
    if bits == 4:
        w_scale, y_scale = w_scale * 16, y_scale * 2
        w = graph.tensor(w_shape, mb.INT4, scale=w_scale, data=int4_weights(rng, w_shape))
    else:
        w = graph.tensor(w_shape, scale=w_scale, axis=3 if depthwise else 0, data=weights(rng, w_shape))
    bias = graph.tensor([rows], mb.INT32, scale=w_scale * x_scale, data=rng.integers(-20000, 20000, rows))
    y = graph.tensor([batches, *out, rows], scale=y_scale, zero_point=zero_point(rng))
    if depthwise:
        graph.depthwise(x, w, bias, y, depthMultiplier=repeat, **fields)
    else:
        graph.conv(x, w, bias, y, **fields)
    return finish(builder, graph, [x], [y]), [shape]


def depthwise(rng):
    return conv(rng, depthwise=True)


def conv_int4(rng):
    """CONV_2D with INT4 weights; half of the models have rows of whole words."""
    return conv(rng, bits=4)


def conv_int4_wide(rng):
    """1x1 or 1xW CONV_2D with INT4 weights and long rows, as in our models: 8 to 480 weights each."""
    width, depth, rows = int(rng.integers(1, 4)), 8 * int(rng.integers(1, 21)), int(rng.integers(1, 9))
    x_scale, w_scale, y_scale = dense(rng, True, width * depth, rows)
    builder = mb.Builder()
    graph = builder.graph()
    x = graph.tensor([1, 1, width, depth], scale=x_scale, zero_point=zero_point(rng))
    w_scale, w_shape = w_scale * 16, [rows, 1, width, depth]
    w = graph.tensor(w_shape, mb.INT4, scale=w_scale, data=int4_weights(rng, w_shape))
    bias = graph.tensor([rows], mb.INT32, scale=w_scale * x_scale, data=rng.integers(-20000, 20000, rows))
    y = graph.tensor([1, 1, 1, rows], scale=y_scale, zero_point=zero_point(rng))
    graph.conv(x, w, bias, y, fusedActivationFunction=activation(rng))
    return finish(builder, graph, [x], [y]), [[1, 1, width, depth]]


def fully_connected(rng):
    batches, depth, rows = (int(n) for n in rng.integers(1, [4, 70, 20]))
    x_scale, w_scale, y_scale = dense(rng, bool(rng.random() < 0.5), depth, rows)
    builder = mb.Builder()
    graph = builder.graph()
    x = graph.tensor([batches, depth], scale=x_scale, zero_point=zero_point(rng))
    w = graph.tensor([rows, depth], scale=w_scale, data=weights(rng, [rows, depth]))
    bias = graph.tensor([rows], mb.INT32, scale=w_scale * x_scale, data=rng.integers(-20000, 20000, rows))
    y = graph.tensor([batches, rows], scale=y_scale, zero_point=zero_point(rng))
    graph.fully_connected(x, w, bias, y, fusedActivationFunction=activation(rng))
    return finish(builder, graph, [x], [y]), [[batches, depth]]


def add(rng):
    shape = [int(n) for n in rng.integers(1, 6, rng.integers(1, 5))]
    builder = mb.Builder()
    graph = builder.graph()
    first = scale(rng)
    second = first if rng.random() < 0.3 else scale(rng)
    a = graph.tensor(shape, scale=first, zero_point=zero_point(rng))
    b = graph.tensor(shape, scale=second, zero_point=zero_point(rng))
    y = graph.tensor(shape, scale=scale(rng), zero_point=zero_point(rng))
    graph.add(a, b, y, fusedActivationFunction=activation(rng))
    return finish(builder, graph, [a, b], [y]), [shape, shape]


def concatenation(rng):
    rank = int(rng.integers(1, 5))
    axis = int(rng.integers(0, rank))
    base = [int(n) for n in rng.integers(1, 5, rank)]
    parts = [int(n) for n in rng.integers(1, 5, rng.integers(1, 4))]
    shapes = [[*base[:axis], n, *base[axis + 1 :]] for n in parts]
    builder = mb.Builder()
    graph = builder.graph()
    same = {"scale": scale(rng), "zero_point": zero_point(rng)}
    inputs = [graph.tensor(shape, **same) for shape in shapes]
    y = graph.tensor([*base[:axis], sum(parts), *base[axis + 1 :]], **same)
    graph.concatenation(inputs, y, axis - rank if rng.random() < 0.5 else axis)
    return finish(builder, graph, inputs, [y]), shapes


def strided_slice(rng):
    rank = int(rng.integers(1, 5))
    shape = [int(n) for n in rng.integers(1, 7, rank)]
    begin = [int(rng.integers(0, n)) for n in shape]
    end = [int(rng.integers(b + 1, n + 3)) for b, n in zip(begin, shape, strict=True)]
    strides = [int(n) for n in rng.integers(1, 4, rank)]
    masks = [int(m) for m in rng.integers(0, 1 << rank, 2)]
    slices = tuple(
        slice(None if masks[0] >> i & 1 else begin[i], None if masks[1] >> i & 1 else end[i], strides[i])
        for i in range(rank)
    )
    out = np.zeros(shape)[slices].shape
    begin = [b - n if rng.random() < 0.5 else b for b, n in zip(begin, shape, strict=True)]
    builder = mb.Builder()
    graph = builder.graph()
    same = {"scale": scale(rng), "zero_point": zero_point(rng)}
    x, y = graph.tensor(shape, **same), graph.tensor(out, **same)
    graph.strided_slice(x, begin, end, strides, y, beginMask=masks[0], endMask=masks[1])
    return finish(builder, graph, [x], [y]), [shape]


def reshape(rng):
    shape = [int(n) for n in rng.integers(1, 6, 4)]
    out = [shape[0] * shape[3], shape[1] * shape[2]]
    builder = mb.Builder()
    graph = builder.graph()
    same = {"scale": scale(rng), "zero_point": zero_point(rng)}
    x, y = graph.tensor(shape, **same), graph.tensor(out, **same)
    graph.reshape(x, out, y)
    return finish(builder, graph, [x], [y]), [shape]


def gather(rng):
    """An embedding: constant int8 table, int32 indices. The second item gives their upper limit."""
    shape = [int(n) for n in rng.integers(1, 6, 3)]
    axis, count = int(rng.integers(0, 3)), int(rng.integers(1, 4))
    builder = mb.Builder()
    graph = builder.graph()
    same = {"scale": scale(rng), "zero_point": zero_point(rng)}
    table = graph.tensor(shape, data=rng.integers(-128, 128, shape), **same)
    indices = graph.tensor([count], mb.INT32)
    y = graph.tensor([*shape[:axis], count, *shape[axis + 1 :]], **same)
    graph.gather(table, indices, y, axis)
    return finish(builder, graph, [indices], [y]), shape[axis], count


SAMPLES = {
    f.__name__: f
    for f in (
        conv,
        conv_int4,
        conv_int4_wide,
        depthwise,
        fully_connected,
        add,
        concatenation,
        strided_slice,
        reshape,
    )
}
