"""A one-operator int8 LSTM model, as the TensorFlow Lite converter lays it out."""

import model_builder as mb
from ai_edge_litert import schema_py_generated as schema


def lstm_model(rng, inputs, cells, steps=1, cell_clip=0.0, cell_power=-11, **fields):
    """A LSTM with random weights. Returns the file's bytes."""
    builder = mb.Builder()
    lstm_graph(builder, rng, "encoder", inputs, cells, steps, cell_clip, cell_power, **fields)
    return builder.build()


def lstm_graph(
    builder, rng, name, inputs, cells, steps=1, cell_clip=0.0, cell_power=-11, draw=None, zeros=(3, -5), coarse=1
):
    """Add it as a subgraph; draw: makes weights of a shape; zeros: zero points; coarse: times the weights' scales."""
    input_zero, hidden_zero = zeros
    draw = draw or (lambda shape: rng.integers(-127, 128, shape))
    graph = builder.graph(name)
    input_scale, hidden_scale = 1 / 16, 1 / 110
    x = graph.tensor([1, steps, inputs], scale=input_scale, zero_point=input_zero)

    def gate_weights(columns, scale):
        return [
            graph.tensor([cells, columns], scale=scale * coarse * (1 + 0.1 * k), data=draw((cells, columns)))
            for k in range(4)
        ]

    weights_x = gate_weights(inputs, 0.011)
    weights_h = gate_weights(cells, 0.009)
    bias_scales = [input_scale * 0.011 * (1 + 0.1 * k) for k in range(4)]
    bias = [graph.tensor([cells], mb.INT32, scale=s, data=rng.integers(-3000, 3000, cells)) for s in bias_scales]
    hidden = graph.tensor([1, cells], scale=hidden_scale, zero_point=hidden_zero, variable=True)
    cell = graph.tensor([1, cells], mb.INT16, scale=2.0**cell_power, variable=True)
    y = graph.tensor([1, steps, cells], scale=hidden_scale, zero_point=hidden_zero)
    intermediates = [graph.tensor([0], mb.INT16, scale=2.0**-12) for _ in range(4)]
    intermediates.append(graph.tensor([0], mb.INT8, scale=hidden_scale, zero_point=hidden_zero))
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    options.cellClip = cell_clip
    graph.op(
        mb.OP.UNIDIRECTIONAL_SEQUENCE_LSTM,
        [x, *weights_x, *weights_h, -1, -1, -1, *bias, -1, -1, hidden, cell, -1, -1, -1, -1],
        [y],
        options,
        schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions,
        intermediates,
    )
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
