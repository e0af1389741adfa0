"""Branching models in LiteRT and TensorFlow Lite Micro: encoders and arbitrator as stock interpreters run them, the
states carried by hand from whichever encoder ran to whichever runs next."""

import functools

import numpy as np
import pytest
import stapes_reference
import stapes_spec as spec
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from oracle_runners import ARENA_BYTES
from stapes_reference.branch import threshold
from stapes_tools import kernels
from stapes_tools.convert.pack import densify, pack
from stapes_tools.convert.read import read_model
from stapes_tools.convert.split import extract_subgraph
from stapes_tools.convert.topology import Block, Branching
from stapes_tools.convert.write import random_model
from tflite_micro.python.tflite_micro import runtime

PARTS = ("encoder", "encoder_light", "arbitrator")
STEPS, TWIN_STEPS = 120, 8
BLOCKS = (Block(3, 2), Block(2), Block(4))
RANDOM = {
    "small": {"branching": Branching((1,), 8, 4)},
    "no block": {"blocks": BLOCKS, "branching": Branching((), 8, 2)},
    "all blocks": {"blocks": BLOCKS, "bits": 4, "branching": Branching((0, 1, 2), 16, 8)},
    "two blocks": {"blocks": BLOCKS, "bits": 4, "channels": 9, "joint": 5, "branching": Branching((0, 2), 3, 5)},
    "signed": {"depthwise_relu": True, "pointwise_relu": False, "branching": Branching((0,), 8, 4)},
    "sum_relu": {"pointwise_relu": False, "sum_relu": True, "branching": Branching((0,), 8, 4)},
}


class Stock:
    """A model's parts in a stock interpreter; the states are here."""

    def __init__(self, data, run):
        self.parts = {name: read_model(data).subgraph(name) for name in PARTS}
        self.run = {name: run(data, name, part) for name, part in self.parts.items()}
        self.states = {name: self._zeros(self.parts[name]) for name in ("encoder", "arbitrator")}

    @staticmethod
    def _zeros(part):
        tensors = [part.tensors[index] for index in part.inputs[1:]]
        return [np.full(tensor.shape, tensor.zero_point[0], np.int8) for tensor in tensors]

    def step(self, row, effort):
        """Return (branch, logit, all outputs of the encoder that ran)."""
        logit, *self.states["arbitrator"] = self.run["arbitrator"]([row, *self.states["arbitrator"]])
        light = int(logit.ravel()[0]) < threshold(effort)
        outputs = self.run["encoder_light" if light else "encoder"]([row, *self.states["encoder"]])
        self.states["encoder"] = outputs[1:]
        return int(light), int(logit.ravel()[0]), outputs


def litert(data, name, part):
    """A function of one invocation in LiteRT's reference kernels."""
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    signature = interpreter.get_signature_runner(name)
    inputs, outputs = ([part.tensors[k].name for k in indices] for indices in (part.inputs, part.outputs))

    def invoke(arrays):
        result = signature(**dict(zip(inputs, arrays, strict=True)))
        return [result[output].copy() for output in outputs]

    return invoke


def micro(data, name, part):
    """The same in TensorFlow Lite Micro."""
    interpreter = runtime.Interpreter.from_bytes(extract_subgraph(data, name), arena_size=ARENA_BYTES)

    def invoke(arrays):
        for index, array in enumerate(arrays):
            interpreter.set_input(array, index)
        interpreter.invoke()
        return [interpreter.get_output(index).copy() for index in range(len(part.outputs))]

    return invoke


class Ours:
    """The same in our kernels or their twin, by encoder_step."""

    def __init__(self, module, data):
        self.module, self.data = module, data
        info = np.zeros(spec.INFO_INDEX_COUNT, np.int32)
        self.state = bytearray(module.model_size(data, info))
        assert module.model_init(self.state, data, info) == 0
        self.count = len(read_model(data).subgraph("encoder").outputs)

    def _bytes(self, name, output, k):
        part = self.module.model_subgraph(self.state, self.data, name)
        at = self.module.model_tensor(self.state, self.data, part, output, k)
        return memoryview(self.state)[at : at + self.module.model_tensor_size(self.state, self.data, part, output, k)]

    def step(self, row, effort):
        self._bytes(b"encoder", 0, 0)[:] = row.tobytes()
        branch = self.module.encoder_step(self.state, self.data, effort)
        logit = int(np.frombuffer(self._bytes(b"arbitrator", 1, 0), np.int8)[0])
        return branch, logit, [np.frombuffer(bytes(self._bytes(b"encoder", 1, k)), np.int8) for k in range(self.count)]


def _rows(seed, count):
    """Features: noise, every eighth step of extreme values only."""
    rng = np.random.default_rng(seed)
    for step in range(count):
        values = rng.choice([-128, 127], 120) if step % 8 == 7 else rng.integers(-128, 128, 120)
        yield values.astype(np.int8).reshape(1, 1, 1, -1)


def _compare(expected, found, where):
    assert found[:2] == expected[:2], where
    for k, (one, other) in enumerate(zip(expected[2], found[2], strict=True)):
        assert np.array_equal(np.ravel(one), np.ravel(other)), (where, "output", k)


@pytest.mark.parametrize("changes", RANDOM.values(), ids=RANDOM.keys())
def test_every_step_is_that_of_the_stock_interpreters(changes):
    data = random_model(7, **changes)
    stock = [Stock(data, run) for run in (litert, micro)]
    native, twin = Ours(kernels, data), Ours(stapes_reference, data)
    rng, branches, values = np.random.default_rng(1), [], set()
    for step, row in enumerate(_rows(2, STEPS)):
        effort = int(rng.choice([0, 100, 50, 50, 40, 60]))
        expected = stock[0].step(row, effort)
        _compare(expected, stock[1].step(row, effort), ("TensorFlow Lite Micro", step))
        _compare(expected, native.step(row, effort), ("the C kernels", step))
        if step < TWIN_STEPS:
            _compare(expected, twin.step(row, effort), ("the Python twin", step))
        branches.append(expected[0])
        values.update(expected[2][0].ravel().tolist())
    assert STEPS // 8 < sum(branches) < 7 * STEPS // 8
    assert np.count_nonzero(np.diff(branches)) > STEPS // 8
    assert len(values) > 20


@functools.cache
def _sparse():
    """A packed branching model of 4-bit weights, three quarters of the blocks zero."""
    from test_pack import sparse_model

    return pack(sparse_model(4, channels=64, branching=Branching((1,), 8, 4)))[0]


def test_packed_branches_are_those_of_the_stock_interpreters():
    data = _sparse()
    stock, native = Stock(densify(data)[0], micro), Ours(kernels, data)
    branches = []
    for step, row in enumerate(_rows(3, STEPS // 2)):
        expected = stock.step(row, 50)
        _compare(expected, native.step(row, 50), step)
        branches.append(expected[0])
    assert 0 < sum(branches) < len(branches)
