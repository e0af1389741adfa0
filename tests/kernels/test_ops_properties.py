"""The operators of model_strategies.py: the stock interpreters, and C and Python, bit for bit."""

import model_builder as mb
import model_strategies as strategies
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_oracles import LiteRT, Micro
from model_runner import Runner

EXAMPLES, TWIN_EXAMPLES = 40, 20
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
# What LiteRT's reference kernels do otherwise, or not at all; the board follows TensorFlow Lite Micro.
NOT_IN_LITERT = {
    "logistic": "LiteRT fills a table with the float function; here the fixed-point one saturates from 15 on",
    "tanh": "the same; they differ where one step of the input is 8 or more",
    "svdf_int8": "LiteRT takes any state for int16",
}


def bits(array):
    """An array's bytes: floats are compared by their bits, the sign of zero too."""
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_equals_stock_interpreters(native, name):
    seen = set()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW, derandomize=True)
    @given(strategies.STRATEGIES[name]())
    def compare(sample):
        ours, micro = Runner(native, sample.model), Micro(sample.model, 1)
        litert = None if name in NOT_IN_LITERT else LiteRT(sample.model)
        for inputs in sample.steps:
            expected = micro(*inputs)[0]
            assert ours(*inputs)[0] == bits(expected)
            if litert:
                assert bits(litert(*inputs)[0]) == bits(expected)
            seen.update(expected.ravel().tolist())

    compare()
    assert len(seen) > 20, "the outputs do not vary: this proves nothing"


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_twins(native, reference, name):
    """The same state, byte for byte, after init, after every invocation and after a reset."""

    @settings(max_examples=TWIN_EXAMPLES, deadline=None, suppress_health_check=SLOW, derandomize=True)
    @given(strategies.STRATEGIES[name]())
    def compare(sample):
        left, right = Runner(native, sample.model), Runner(reference, sample.model)
        assert left.state == right.state
        for inputs in sample.steps:
            assert left(*inputs) == right(*inputs)
            assert left.state == right.state
        for runner in (left, right):
            assert runner.kernels.model_reset(runner.state, sample.model) == 0
        assert left.state == right.state

    compare()


@pytest.mark.parametrize(("name", "most", "share"), [("logistic", 5, 1e-3), ("tanh", 0, 0)])
def test_how_litert_differs(name, most, share):
    """Below a step of 8 for the input, where the functions' tables have more than three different values."""
    code, output = (
        (mb.OP.LOGISTIC, strategies.SOFTMAX_OUTPUT) if name == "logistic" else (mb.OP.TANH, strategies.TANH_OUTPUT)
    )
    rng = np.random.default_rng(1)
    shape, every = list(strategies.EVERY_INT8.shape), strategies.EVERY_INT8
    found = []
    for _ in range(200):
        x = {"scale": np.float32(2.0 ** rng.uniform(-10, 2.99)), "zero_point": int(rng.integers(-128, 128))}
        model = strategies.model_of(code, [(shape, mb.INT8, x)], (shape, mb.INT8, output))
        found.append(LiteRT(model)(every)[0].astype(int) - Micro(model, 1)(every)[0])
    assert np.abs(found).max() <= most
    assert np.count_nonzero(found) <= share * np.size(found)


@given(st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 2.5e9, -2.5e9]), strategies.zero_points)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_quantise_saturates_where_stock_is_undefined(native, reference, value, zero_point):
    """Beyond int32 the stock kernels convert a float that C leaves undefined; not-a-number is taken for zero."""
    y = {"scale": 1.0, "zero_point": zero_point}
    fields = strategies.options("QuantizeOptions")
    model = strategies.model_of(mb.OP.QUANTIZE, [([1, 1], mb.FLOAT32, {})], ([1, 1], mb.INT8, y), fields)
    x = np.array([[value]], np.float32)
    expected = zero_point if np.isnan(value) else (127 if value > 0 else -128)
    for kernels in (native, reference):
        assert np.frombuffer(Runner(kernels, model)(x)[0], np.int8) == expected


@pytest.mark.parametrize("depth", [511, 2000, 4096])
def test_softmax_of_a_long_row(native, reference, depth):
    """Above 512 equal elements stock code stops the program: every share rounds to nothing."""
    shape = [1, depth]
    x = {"scale": 0.1, "zero_point": 3}
    fields = strategies.options("SoftmaxOptions", beta=1.0)
    model = strategies.model_of(
        mb.OP.SOFTMAX, [(shape, mb.INT8, x)], (shape, mb.INT8, strategies.SOFTMAX_OUTPUT), fields
    )
    same, one = np.full(shape, 7, np.int8), np.full(shape, -128, np.int8)
    one[0, 5] = 127
    left, right = Runner(native, model), Runner(reference, model)
    assert left(same) == right(same)
    assert set(left(same)[0]) == ({0x81} if depth < 512 else {0x80})
    assert left(one) == right(one) == [bits(Micro(model, 1)(one)[0])]


@given(strategies.svdf())
@settings(max_examples=20, deadline=None, suppress_health_check=SLOW, derandomize=True)
def test_reset_of_svdf(native, sample):
    runner = Runner(native, sample.model)
    first = [runner(*inputs)[0] for inputs in sample.steps]
    assert native.model_reset(runner.state, sample.model) == 0
    assert [runner(*inputs)[0] for inputs in sample.steps] == first
