"""An SVDF keyword net as in arXiv:1812.02802: three SVDF layers and a classifier, one frame of 40 bands per step."""

import model_builder as mb
import numpy as np
from model_oracles import Micro
from model_runner import Runner

BANDS, WORDS, MEMORY = 40, 12, 8
OP = mb.OP


def svdf_layer(graph, rng, x, inputs, units, rank=1):
    """An SVDF layer of int16 state, whose sums fill the range; returns its output, scale 1/16, zero point -128."""
    filters = units * rank
    feature, state = np.float32(0.005), np.float32(2.0**-10)
    time = np.float32(2.0**-17)
    tensors = [
        x,
        graph.tensor([filters, inputs], scale=feature, data=rng.integers(-127, 128, [filters, inputs])),
        graph.tensor([filters, MEMORY], mb.INT16, scale=time, data=rng.integers(-32767, 32768, [filters, MEMORY])),
        graph.tensor([units], mb.INT32, scale=state * time, data=rng.integers(-(2**22), 2**22, units)),
        graph.tensor([1, filters * MEMORY], mb.INT16, scale=state, variable=True),
    ]
    y = graph.tensor([1, units], scale=1 / 16, zero_point=-128)
    graph.op(OP.SVDF, tensors, [y], *mb.options("SVDFOptions", {"rank": rank, "fusedActivationFunction": 1}))
    return y


def keyword_net(seed=0, units=48):
    rng = np.random.default_rng(seed)
    builder = mb.Builder()
    graph = builder.graph()
    x = y = graph.tensor([1, BANDS], scale=1 / 8, zero_point=0)
    for inputs, rank in ((BANDS, 2), (units, 1), (units, 1)):
        y = svdf_layer(graph, rng, y, inputs, units, rank)
    weights = graph.tensor([WORDS, units], scale=0.01, data=rng.integers(-127, 128, [WORDS, units]))
    bias = graph.tensor([WORDS], mb.INT32, scale=0.01 / 16, data=rng.integers(-2000, 2000, WORDS))
    logits = graph.tensor([1, WORDS], scale=0.2, zero_point=4)
    graph.fully_connected(y, weights, bias, logits)
    shares = graph.tensor([1, WORDS], scale=1 / 256, zero_point=-128)
    graph.op(OP.SOFTMAX, [logits], [shares], *mb.options("SoftmaxOptions", {"beta": 1.0}))
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [shares]
    return builder.build()


def test_runs_as_in_tensorflow_lite_micro(native, reference):
    """Sixty frames; the reference runs the first ten. LiteRT rounds FULLY_CONNECTED otherwise."""
    model = keyword_net()
    ours, twin, micro = Runner(native, model), Runner(reference, model), Micro(model, 1)
    rng = np.random.default_rng(1)
    best = set()
    for step in range(60):
        x = np.clip(rng.normal(scale=30, size=(1, BANDS)), -128, 127).astype(np.int8)
        expected = micro(x)[0]
        assert ours(x)[0] == expected.tobytes()
        if step < 10:
            assert twin(x)[0] == expected.tobytes()
            assert twin.state == ours.state
        best.add(int(expected.argmax()))
    assert len(best) > 3, "the net always says the same word: this proves nothing"
