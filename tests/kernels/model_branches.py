"""Small models with branches: two encoders of one state, and an arbitrator with a state of its own or none."""

import numpy as np
from model_builder import Builder
from model_whole import _const, encoder

PARTS = ("encoder", "encoder_light", "arbitrator")
CHANNELS, WIDTH, HIDDEN = 4, 3, 3
FEATURES = {"scale": 1 / 16, "zero_point": 0}
LOGIT = {"scale": 1 / 16, "zero_point": 0}


def arbitrator(builder, rng):
    """A dense layer, a causal depthwise one, and the logit, which takes both signs."""
    graph = builder.graph("arbitrator")
    hidden = {"scale": 0.05, "zero_point": -128}
    x = graph.tensor([1, 1, 1, CHANNELS], **FEATURES)
    state = graph.tensor([1, 1, WIDTH - 1, HIDDEN], **hidden)
    new, deep = (graph.tensor([1, 1, 1, HIDDEN], **hidden) for _ in range(2))
    line = graph.tensor([1, 1, WIDTH, HIDDEN], **hidden)
    following = graph.tensor([1, 1, WIDTH - 1, HIDDEN], **hidden)
    logit = graph.tensor([1, 1, 1, 1], **LOGIT)
    graph.conv(x, *_const(graph, rng, [HIDDEN, 1, 1, CHANNELS], HIDDEN, 1 / 16), new, fusedActivationFunction=1)
    graph.concatenation([state, new], line, 2)
    weights = _const(graph, rng, [1, 1, WIDTH, HIDDEN], HIDDEN, 0.05, axis=3)
    graph.depthwise(line, *weights, deep, fusedActivationFunction=1)
    graph.strided_slice(line, [0, 0, 1, 0], [1, 1, WIDTH, HIDDEN], [1, 1, 1, 1], following)
    graph.conv(deep, *_const(graph, rng, [1, 1, 1, HIDDEN], 1, 0.05), logit)
    graph.subgraph.inputs, graph.subgraph.outputs = [x, state], [logit, following]
    return graph


def first_feature(builder):
    """An arbitrator whose logit is the first feature."""
    graph = builder.graph("arbitrator")
    x, logit = graph.tensor([1, 1, 1, CHANNELS], **FEATURES), graph.tensor([1, 1, 1, 1], **LOGIT)
    graph.strided_slice(x, [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], logit)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [logit]
    return graph


def branched(seed=0, early=(False, True), order=PARTS, change=None, plain_logit=False):
    """Return the file's bytes.

    Args:
        early: per encoder, whether its next state is copied at the end of the step, not written in place.
        order: of the subgraphs; a part that is not in it is left out.
        change: function of {name: Graph}, called before the model is packed.
        plain_logit: the logit is the first feature.
    """
    makers = {
        "encoder": lambda: encoder(builder, np.random.default_rng(seed), CHANNELS, WIDTH, early[0]),
        "encoder_light": lambda: encoder(
            builder, np.random.default_rng(seed + 1000), CHANNELS, WIDTH, early[1], "encoder_light"
        ),
        "arbitrator": lambda: (
            first_feature(builder) if plain_logit else arbitrator(builder, np.random.default_rng(seed + 2000))
        ),
    }
    builder = Builder()
    graphs = {name: makers[name]() for name in order}
    if change:
        change(graphs)
    return builder.build()
