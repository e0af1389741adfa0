"""Models of packed layers, made from their stock twins: convolutions of 4 and 8 bits, fully-connected layers."""

import model_builder as mb
import numpy as np
from lstm_builder import lstm_model
from stapes_tools.convert import pack as packing


def pruned(rng, shape, bits, keep):
    """Weights whose zeros come in blocks of four rows of one input."""
    limit = (1 << bits - 1) - 1
    rows, depth = shape[0], int(np.prod(shape[1:]))
    mask = np.repeat(rng.random(((rows + 3) // 4, depth)) < keep, 4, axis=0)[:rows]
    return (rng.integers(-limit, limit + 1, (rows, depth)) * mask).reshape(shape)


def layer(rng, kind, bits, shape, keep=0.3, zero_point=-5, bias=True, width=1, **fields):
    """One layer as a stock model; shape: of the weights, width: of the input; bias None: input -1, False: no input."""
    builder = mb.Builder()
    graph = builder.graph("encoder")
    dense = kind == "fully_connected"
    x = graph.tensor([1, shape[1]] if dense else [1, 1, width, shape[3]], scale=1 / 16, zero_point=zero_point)
    type_ = mb.INT4 if bits == 4 else mb.INT8
    scale = rng.uniform(0.3, 0.6, shape[0]) / (1 << bits)
    weights = graph.tensor(shape, type_, scale=scale, data=pruned(rng, shape, bits, keep))
    index = graph.tensor([shape[0]], mb.INT32, data=rng.integers(-99, 99, shape[0])) if bias else -1
    reach = 1 if dense else (shape[2] - 1) * fields.get("dilationWFactor", 1) + 1
    same = fields.get("padding") == 0
    stride = fields.get("strideW", 1)
    columns = (width - 1) // stride + 1 if same else (width - reach) // stride + 1
    y = graph.tensor([1, shape[0]] if dense else [1, 1, columns, shape[0]], scale=0.3, zero_point=4)
    getattr(graph, kind)(x, weights, index, y, **fields)
    if bias is False:
        del graph.subgraph.operators[0].inputs[2]
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    return builder.build()


def lstm(rng, bits, inputs, cells, keep=0.4, **fields):
    """An LSTM as a stock model, some of its weights zero; bits 4: all of them fit, "mixed": those of some matrices."""
    widths = iter([4, 8] * 4) if bits == "mixed" else iter([bits] * 8)
    coarse = 16 if bits == 4 else 1
    return lstm_model(
        rng, inputs, cells, draw=lambda shape: pruned(rng, shape, next(widths), keep), coarse=coarse, **fields
    )


def packed_always(data):
    """The file with every layer packed that can be, whether that pays or not."""
    pays = packing.Layer.pays
    packing.Layer.pays = property(lambda self: True)
    try:
        return packing.pack(data)[0]
    finally:
        packing.Layer.pays = pays


def packed_layers(seed=0):
    """Encoder [1, 1, 3, 9] -> [1, 1, 1, 6] -> [1, 1, 1, 5], 4 and 8 bits, the second without bias; both packed."""
    rng = np.random.default_rng(seed)
    builder = mb.Builder()
    graph = builder.graph("encoder")
    x = graph.tensor([1, 1, 3, 9], scale=1 / 16, zero_point=-5)
    middle = graph.tensor([1, 1, 1, 6], scale=0.2, zero_point=9)
    y = graph.tensor([1, 1, 1, 5], scale=0.1, zero_point=-7)
    first = graph.tensor([6, 1, 3, 9], mb.INT4, scale=rng.uniform(0.1, 0.2, 6), data=pruned(rng, [6, 1, 3, 9], 4, 0.4))
    bias = graph.tensor([6], mb.INT32, data=rng.integers(-99, 99, 6))
    second = graph.tensor([5, 1, 1, 6], scale=rng.uniform(0.01, 0.02, 5), data=pruned(rng, [5, 1, 1, 6], 8, 0.6))
    graph.conv(x, first, bias, middle, fusedActivationFunction=1)
    graph.conv(middle, second, -1, y)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    return packed_always(builder.build())


def packed_lstm(seed=0):
    """An LSTM of 9 inputs and 6 cells, with matrices of 4 and of 8 bits, packed."""
    return packed_always(lstm(np.random.default_rng(seed), "mixed", 9, 6, steps=2, cell_clip=6.0))
