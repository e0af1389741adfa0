"""Every operator against the stock interpreters, bit for bit, over random shapes and scales."""

import model_builder as mb
import model_samples as samples
import numpy as np
import pytest
from lstm_builder import lstm_model
from model_oracles import LiteRT, Micro
from model_runner import Runner

MODELS = 60
RUNS = 4
# LiteRT rounds once in FULLY_CONNECTED and has other LSTM activations: docs/model_file.md.
EQUAL_IN_LITERT = [name for name in samples.SAMPLES if name != "fully_connected"]


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_equals_stock_interpreters(native, name):
    rng = np.random.default_rng(sum(name.encode()))
    seen = set()
    for _ in range(MODELS):
        model, shapes = samples.SAMPLES[name](rng)
        ours, micro = Runner(native, model), Micro(model, 1)
        litert = LiteRT(model) if name in EQUAL_IN_LITERT else None
        for _ in range(RUNS):
            inputs = [samples.int8(rng, shape) for shape in shapes]
            expected = micro(*inputs)[0]
            assert ours(*inputs)[0] == expected.tobytes()
            if litert:
                assert litert(*inputs)[0].tobytes() == expected.tobytes()
            seen.update(expected.ravel().tolist())
    assert len(seen) > 100, "the outputs do not vary: this proves nothing"


def test_gather_equals_stock_interpreters(native):
    rng = np.random.default_rng(5)
    for _ in range(MODELS):
        model, limit, count = samples.gather(rng)
        indices = rng.integers(0, limit, count, dtype=np.int32)
        found = Runner(native, model)(indices)[0]
        assert found == Micro(model, 1)(indices)[0].tobytes() == LiteRT(model)(indices)[0].tobytes()


@pytest.mark.parametrize(
    ("steps", "cell_clip", "cell_power"),
    [(1, 0.0, -11), (3, 0.7, -9), (2, 8.0, -15), (1, 16.5, -13), (4, 3.0, -12), (1, 0.0, -10), (2, 1e-6, -14)],
)
def test_lstm_equals_tensorflow_lite_micro(native, steps, cell_clip, cell_power):
    rng = np.random.default_rng(steps)
    for inputs, cells in ((24, 32), (7, 5), (1, 1)):
        model = lstm_model(rng, inputs, cells, steps, cell_clip, cell_power=cell_power)
        ours, micro = Runner(native, model), Micro(model, 1)
        for _ in range(20):
            x = samples.int8(rng, (1, steps, inputs))
            assert ours(x)[0] == micro(x)[0].tobytes()


def bias_between(x_scale, w_scale, y_scale):
    """A bias whose quotient rounds to another output when the product of scales is a float32."""
    exact = float(x_scale) * float(w_scale) / float(y_scale)
    single = float(np.float32(x_scale * w_scale)) / float(y_scale)
    for step in range(1, 120):
        low, high = sorted(((step + 0.5) / exact, (step + 0.5) / single))
        if int(high) > int(low) and high < 2**30:
            return int(high)
    return None


def test_product_of_scales_is_rounded_as_tensorflow_lite_rounds_it(native):
    """Per-tensor FULLY_CONNECTED rounds it to float32, CONV_2D does not: biases that tell them apart."""
    rng = np.random.default_rng(3)
    told_apart = 0
    while told_apart < 20:
        x_scale, w_scale = samples.scale(rng), samples.scale(rng)
        y_scale = np.float32(x_scale * w_scale * 2.0**22)
        bias = bias_between(x_scale, w_scale, y_scale)
        if bias is None:
            continue
        told_apart += 1
        for dense in (True, False):
            builder = mb.Builder()
            graph = builder.graph()
            lead = [] if dense else [1, 1]
            x = graph.tensor([1, *lead, 4], scale=x_scale)
            w = graph.tensor([1, *lead, 4], scale=w_scale, data=np.ones([1, *lead, 4]))
            b = graph.tensor([1], mb.INT32, scale=x_scale * w_scale, data=[bias])
            y = graph.tensor([1, *lead, 1], scale=y_scale)
            (graph.fully_connected if dense else graph.conv)(x, w, b, y)
            model = samples.finish(builder, graph, [x], [y])
            ours, micro = Runner(native, model), Micro(model, 1)
            for value in range(-8, 8):
                inputs = np.full([1, *lead, 4], value, np.int8)
                assert ours(inputs)[0] == micro(inputs)[0].tobytes()
