"""Every operator against the stock interpreters, bit for bit, over random shapes and scales."""

import model_builder as mb
import model_samples as samples
import numpy as np
import pytest
from lstm_builder import lstm_graph, lstm_model
from model_oracles import LiteRT, Micro
from model_runner import Runner
from stapes_reference import scale as reference
from stapes_reference.fixed import multiply_by_quantized_multiplier

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


def telling_bias(x_scale, w_scale, y_scale):
    """A bias that gives another output when the product of scales is rounded to float32, or None."""
    x, w, y = (reference.real(int(np.float32(value).view(np.uint32))) for value in (x_scale, w_scale, y_scale))
    single = reference.real(int((x_scale * w_scale).view(np.uint32)))
    exact = reference.quantize_ratio(reference.product(x, w), y)
    rounded = reference.quantize_ratio(single, y)
    for step in range(20, 100):
        middle = int((step + 0.5) * float(y_scale) / (float(x_scale) * float(w_scale)))
        for bias in range(middle - 40, middle + 40):
            if multiply_by_quantized_multiplier(bias, *exact) != multiply_by_quantized_multiplier(bias, *rounded):
                return bias
    return None


@pytest.mark.parametrize("dense", [True, False], ids=["fully_connected", "conv"])
def test_product_of_scales_is_exact(native, dense):
    """Older versions round it to float32 in FULLY_CONNECTED: biases that tell the two apart."""
    rng = np.random.default_rng(3)
    told_apart = 0
    while told_apart < 20:
        x_scale, w_scale = samples.scale(rng), samples.scale(rng)
        y_scale = np.float32(x_scale * w_scale * 2.0**22)
        bias = telling_bias(x_scale, w_scale, y_scale)
        if bias is None:
            continue
        told_apart += 1
        builder = mb.Builder()
        graph = builder.graph()
        lead = [] if dense else [1, 1]
        x = graph.tensor([1, *lead, 4], scale=x_scale)
        w = graph.tensor([1, *lead, 4], scale=w_scale, data=np.ones([1, *lead, 4]))
        b = graph.tensor([1], mb.INT32, scale=x_scale * w_scale, data=[bias])
        y = graph.tensor([1, *lead, 1], scale=y_scale)
        (graph.fully_connected if dense else graph.conv)(x, w, b, y)
        model = samples.finish(builder, graph, [x], [y])
        inputs = np.zeros([1, *lead, 4], np.int8)
        assert Runner(native, model)(inputs)[0] == Micro(model, 1)(inputs)[0].tobytes()


def lstm_with_bias(x_scale, w_scale, bias):
    """One cell whose output is nearly tanh(pre-activation of the cell gate), which is all bias."""
    builder = mb.Builder()
    lstm_graph(builder, np.random.default_rng(0), "encoder", 1, 1, cell_power=-15)
    tensors = builder.model.subgraphs[0].tensors
    large = 2**30
    for gate, value in enumerate((large, -large, bias, large)):
        tensors[1 + gate].quantization.scale = [float(w_scale)]
        builder.model.buffers[tensors[9 + gate].buffer].data = np.array([value], np.int32).view(np.uint8)
    tensors[0].quantization.scale = [float(x_scale)]
    for index in (13, 15):
        tensors[index].quantization.scale = [2.0**-13]
        tensors[index].quantization.zeroPoint = [-128]
    tensors[0].quantization.zeroPoint = [0]
    return builder.build()


def test_product_of_scales_is_exact_in_the_lstm(native):
    rng = np.random.default_rng(4)
    told_apart = 0
    while told_apart < 20:
        x_scale, w_scale = (np.float32(2.0 ** rng.uniform(-18.5, -18)) for _ in range(2))
        bias = telling_bias(x_scale, w_scale, np.float32(2.0**-12))
        if bias is None:
            continue
        told_apart += 1
        found = {}
        for value in (bias - 2000, bias, bias + 2000):
            model = lstm_with_bias(x_scale, w_scale, value)
            x = np.zeros((1, 1, 1), np.int8)
            found[value] = Runner(native, model)(x)[0]
            assert found[value] == Micro(model, 1)(x)[0].tobytes()
        assert len(set(found.values())) == 2, "one unit of the pre-activation must show in the output"
