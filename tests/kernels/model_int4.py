"""A small model of INT4 convolutions: rows of whole words, an odd count of them, and rows that share bytes."""

import model_builder as mb
import numpy as np

ACTIVATIONS = ({"scale": 1 / 16, "zero_point": -5}, {"scale": 0.05, "zero_point": 9}, {"scale": 0.08, "zero_point": -7})
WIDTH, DEPTH, MIDDLE, OUT = 3, 8, 5, 4


def _const(graph, rng, shape, x_scale):
    w_scale = rng.uniform(0.06, 0.12, shape[0]).astype(np.float32)
    w = graph.tensor(shape, mb.INT4, scale=w_scale, data=rng.integers(-8, 8, shape))
    bias = graph.tensor([shape[0]], mb.INT32, scale=w_scale * np.float32(x_scale), data=rng.integers(-99, 99, shape[0]))
    return w, bias


def int4_layers(seed=0):
    """Return the file's bytes: encoder [1, 1, 3, 8] -> [1, 1, 1, 5] -> [1, 1, 1, 4]."""
    rng = np.random.default_rng(seed)
    builder = mb.Builder()
    graph = builder.graph("encoder")
    x = graph.tensor([1, 1, WIDTH, DEPTH], **ACTIVATIONS[0])
    middle = graph.tensor([1, 1, 1, MIDDLE], **ACTIVATIONS[1])
    y = graph.tensor([1, 1, 1, OUT], **ACTIVATIONS[2])
    weights = _const(graph, rng, [MIDDLE, 1, WIDTH, DEPTH], ACTIVATIONS[0]["scale"])
    graph.conv(x, *weights, middle, fusedActivationFunction=1)
    graph.conv(middle, *_const(graph, rng, [OUT, 1, 1, MIDDLE], ACTIVATIONS[1]["scale"]), y)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    return builder.build()
