"""C and Python: the same state, byte for byte, after init and after every invocation."""

import model_samples as samples
import numpy as np
import pytest
from lstm_builder import lstm_model
from model_runner import Runner

MODELS = 25


def assert_twins(native, reference, model, draw, runs=2):
    left, right = Runner(native, model), Runner(reference, model)
    assert left.state == right.state
    for _ in range(runs):
        inputs = draw()
        assert left(*inputs) == right(*inputs)
        assert left.state == right.state


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_operators(native, reference, name):
    rng = np.random.default_rng(len(name))
    for _ in range(MODELS):
        model, shapes = samples.SAMPLES[name](rng)
        assert_twins(native, reference, model, lambda shapes=shapes: [samples.int8(rng, shape) for shape in shapes])


def test_gather(native, reference):
    rng = np.random.default_rng(9)
    for _ in range(MODELS):
        model, limit, count = samples.gather(rng)
        draw = lambda limit=limit, count=count: [rng.integers(0, limit, count, dtype=np.int32)]  # noqa: E731
        assert_twins(native, reference, model, draw)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("clip", [0.0, 1.0, 1e-6, 100.0])
def test_lstm(native, reference, steps, clip):
    rng = np.random.default_rng(steps)
    model = lstm_model(rng, 8, 5, steps, clip)
    assert_twins(native, reference, model, lambda: [samples.int8(rng, (1, steps, 8))], runs=5)


@pytest.mark.parametrize("index", [-1, 5, 2**31 - 1, -(2**31)])
def test_gather_refuses_an_index_outside_the_table(native, reference, index):
    import stapes_spec as spec

    model, limit, count = samples.gather(np.random.default_rng(1))
    assert limit <= 5
    for kernels in (native, reference):
        runner = Runner(kernels, model)
        runner.view(0, 0)[:] = np.full(count, index, np.int32).tobytes()
        assert kernels.model_invoke(runner.state, model, runner.subgraph) == -spec.ERROR_ARGUMENT
