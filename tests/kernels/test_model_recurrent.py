"""Recurrent states, reset, and the arena."""

from itertools import pairwise

import model_builder as mb
import numpy as np
import pytest
from model_oracles import LiteRT
from model_runner import Runner
from model_whole import encoder, whole


def encoder_model(early_state, channels=4, width=3):
    builder = mb.Builder()
    encoder(builder, np.random.default_rng(0), channels, width, early_state)
    return builder.build()


@pytest.mark.parametrize("early_state", [False, True], ids=["in place", "copied"])
def test_outputs_become_inputs(native, reference, early_state):
    model = encoder_model(early_state)
    left, right, oracle = Runner(native, model), Runner(reference, model), LiteRT(model)
    rng = np.random.default_rng(1)
    state = np.zeros((1, 1, 2, 4), np.int8)
    for _ in range(20):
        x = rng.integers(-128, 128, (1, 1, 1, 4), dtype=np.int8)
        expected, state = oracle(x, state)
        found = left(x, None, outputs=2)
        assert found == [expected.tobytes(), state.tobytes()]
        assert found == right(x, None, outputs=2)
        assert left.state == right.state


def test_reset_forgets(native, reference):
    model = whole()
    for kernels in (native, reference):
        for name, shape in (("encoder", (1, 1, 1, 4)), ("lstm", (1, 1, 4))):
            runner = Runner(kernels, model, name)
            inputs = [np.full(shape, value, np.int8) for value in (90, -70, 15)]
            first = [runner(x)[0] for x in inputs]
            again = [runner(x)[0] for x in inputs]
            assert kernels.model_reset(runner.state, model) == 0
            assert [runner(x)[0] for x in inputs] == first
            assert again != first


def test_subgraphs_do_not_disturb_each_other(native):
    """Inputs and outputs of one subgraph survive the invocation of another."""
    model = whole()
    runners = {name: Runner(native, model, name) for name in ("encoder", "predictor", "lstm")}
    shared = runners["encoder"].state
    inputs = {
        "encoder": np.full((1, 1, 1, 4), 33, np.int8),
        "predictor": np.array([2, 1], np.int32),
        "lstm": np.full((1, 1, 4), -20, np.int8),
    }
    alone = {name: runner(inputs[name])[0] for name, runner in runners.items()}
    for runner in runners.values():
        runner.state = shared
    assert native.model_reset(shared, model) == 0
    for name, runner in runners.items():
        runner.view(0, 0)[:] = inputs[name].tobytes()
    for runner in runners.values():
        assert native.model_invoke(shared, model, runner.subgraph) == 0
    for name, runner in runners.items():
        assert bytes(runner.view(1, 0)) == alone[name]
        assert bytes(runner.view(0, 0)) == inputs[name].tobytes()


def test_native_and_reference_states_are_interchangeable(native, reference):
    model = whole()
    left, right = Runner(native, model), Runner(reference, model)
    for step in range(6):
        x = np.full((1, 1, 1, 4), 20 * step - 50, np.int8)
        assert left(x) == right(x)
        left.kernels, right.kernels = right.kernels, left.kernels


def test_activations_share_memory(native):
    """Twenty layers need the arena of two."""

    def state_bytes(layers):
        builder = mb.Builder()
        graph = builder.graph()
        tensors = [graph.tensor([1, 4096], scale=0.1) for _ in range(layers + 1)]
        for x, y in pairwise(tensors):
            graph.add(x, x, y)
        graph.subgraph.inputs, graph.subgraph.outputs = [tensors[0]], [tensors[-1]]
        return native.model_size(builder.build(), bytearray(16))

    # Input, output, and two activations of 4096 bytes; the rest is records.
    assert state_bytes(20) < 4 * 4096 + 2560
    assert state_bytes(20) - state_bytes(10) == 10 * 112
