"""A small model with every operator: encoder with recurrent states, predictor, joint, and a LSTM."""

import model_builder as mb
import numpy as np
from lstm_builder import lstm_graph


def _const(graph, rng, shape, rows, x_scale, axis=0):
    w_scale = rng.uniform(0.004, 0.01, rows).astype(np.float32)
    w = graph.tensor(shape, scale=w_scale, axis=axis, data=rng.integers(-127, 128, shape))
    bias = graph.tensor([rows], mb.INT32, scale=w_scale * np.float32(x_scale), data=rng.integers(-500, 500, rows))
    return w, bias


def encoder(builder, rng, channels=4, width=3, early_state=False, name="encoder"):
    """A causal depthwise layer, a pointwise layer and a residual connection.

    early_state: the next state is taken before the old one is last read, so that it cannot be
    written in place.
    """
    graph = builder.graph(name)
    scale = {"scale": 1 / 16, "zero_point": 0}
    x = graph.tensor([1, 1, 1, channels], **scale)
    state = graph.tensor([1, 1, width - 1, channels], **scale)
    line = graph.tensor([1, 1, width, channels], **scale)
    following = graph.tensor([1, 1, width - 1, channels], **scale)
    deep = graph.tensor([1, 1, 1, channels], scale=0.05, zero_point=-3)
    wide = graph.tensor([1, 1, 1, channels], scale=0.07, zero_point=9)
    out = graph.tensor([1, 1, 1, channels], scale=0.09, zero_point=-7)
    graph.concatenation([state, x], line, 2)
    if early_state:
        other = graph.tensor([1, 1, width - 1, channels], **scale)
        graph.strided_slice(line, [0, 0, 1, 0], [1, 1, width, channels], [1, 1, 1, 1], following)
        graph.add(state, following, other)
        line_after = graph.tensor([1, 1, width, channels], **scale)
        graph.concatenation([other, x], line_after, 2)
        line = line_after
    graph.depthwise(line, *_const(graph, rng, [1, 1, width, channels], channels, 1 / 16, axis=3), deep)
    if not early_state:
        graph.strided_slice(line, [0, 0, 1, 0], [1, 1, width, channels], [1, 1, 1, 1], following)
    weights = _const(graph, rng, [channels, 1, 1, channels], channels, 0.05)
    graph.conv(deep, *weights, wide, fusedActivationFunction=1)
    graph.add(wide, x, out)
    graph.subgraph.inputs, graph.subgraph.outputs = [x, state], [out, following]
    return graph


def predictor(builder, rng, channels=4, units=3):
    graph = builder.graph("predictor")
    scale = {"scale": 0.1, "zero_point": 2}
    indices = graph.tensor([2], mb.INT32)
    table = graph.tensor([units, channels], data=rng.integers(-128, 128, [units, channels]), **scale)
    rows = graph.tensor([2, channels], **scale)
    flat = graph.tensor([1, 2 * channels], **scale)
    y = graph.tensor([1, channels], scale=0.2, zero_point=1)
    graph.gather(table, indices, rows)
    graph.reshape(rows, [1, 2 * channels], flat)
    graph.fully_connected(flat, *_const(graph, rng, [channels, 2 * channels], channels, 0.1), y)
    graph.subgraph.inputs, graph.subgraph.outputs = [indices], [y]


def whole(seed=0, early_state=False):
    """Return the file's bytes."""
    rng = np.random.default_rng(seed)
    builder = mb.Builder()
    encoder(builder, rng, early_state=early_state)
    predictor(builder, rng)
    lstm_graph(builder, rng, "lstm", inputs=4, cells=3)
    return builder.build()
