"""Branches: two encoders that share their states, the arbitrator between them, and what is refused."""

import random
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

import model_builder as mb
import numpy as np
import pytest
import stapes_spec as spec
from lstm_builder import lstm_graph
from model_branches import CHANNELS, PARTS, branched
from model_oracles import LiteRT, Micro
from model_runner import Runner, check
from stapes_reference import branch as twin
from stapes_tools.convert.split import extract_subgraph
from stapes_tools.convert.topology import Block, Branching
from stapes_tools.convert.write import random_model

HEAVY, LIGHT = spec.BRANCH_HEAVY, spec.BRANCH_LIGHT
ORDERS = [PARTS, ("arbitrator", "encoder_light", "encoder"), ("encoder_light", "arbitrator", "encoder")]
PLACES = [(False, False), (False, True), (True, False), (True, True)]
EFFORTS = (50, 0, 100, 30, 50, 70)


class Steps:
    """encoder_step of one implementation, and what it leaves."""

    def __init__(self, kernels, model):
        self.kernels = kernels
        self.runners = {name: Runner(kernels, model, name) for name in PARTS}
        self.state = self.runners["encoder"].state
        for runner in self.runners.values():
            runner.state = self.state

    def __call__(self, features, effort):
        """Return which branch ran."""
        self.runners["encoder"].view(0, 0)[:] = features
        return self.kernels.encoder_step(self.state, self.runners["encoder"].model, effort)

    def outputs(self, part):
        """Every output of a part as int8 arrays."""
        runner, found = self.runners[part], []
        while runner.kernels.model_tensor(self.state, runner.model, runner.subgraph, 1, len(found)) >= 0:
            found.append(np.frombuffer(bytes(runner.view(1, len(found))), np.int8))
        return found


def rounded_logit(effort):
    """16 ln((100 - p) / p), rounded half up, by arithmetic of 28 digits."""
    exact = 16 * (Decimal(100 - effort) / Decimal(effort)).ln()
    return int((exact + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


THRESHOLDS = {0: 128, 100: -128, **{effort: rounded_logit(effort) for effort in range(1, 100)}}


def random_features(rng, size=CHANNELS):
    return rng.integers(-128, 128, size, dtype=np.int8).tobytes()


def test_the_threshold_is_the_logit_of_the_effort():
    assert {effort: twin.threshold(effort) for effort in range(101)} == THRESHOLDS
    assert THRESHOLDS[spec.ARBITRATOR_EFFORT_PERCENT] == 0


def test_each_effort_has_its_threshold(native, reference):
    """The logit is the first feature: at the threshold the heavy branch runs, one below the light one."""
    model = branched(plain_logit=True)
    both = [Steps(kernels, model) for kernels in (native, reference)]
    for effort, threshold in THRESHOLDS.items():
        for logit in (-128, threshold - 1, threshold, 127):
            if -128 <= logit <= 127:
                expected = HEAVY if logit >= threshold else LIGHT
                features = np.array([logit, 1, 2, 3], np.int8).tobytes()
                assert [one(features, effort) for one in both] == [expected] * 2, (effort, logit)


class Stock:
    """The parts of a model in LiteRT and in TensorFlow Lite Micro, which agree; states are carried by hand."""

    def __init__(self, model):
        parts = {name: extract_subgraph(model, name) for name in PARTS}
        self.oracles = {name: (LiteRT(part), Micro(part, 2)) for name, part in parts.items()}

    def __call__(self, part, x, state):
        """Return output 0 and the next state."""
        first, second = ([np.array(array) for array in oracle(x, state)] for oracle in self.oracles[part])
        assert [array.tolist() for array in first] == [array.tolist() for array in second]
        return first


@pytest.mark.parametrize("early", PLACES)
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_either_branch_goes_on_with_the_states(native, reference, order, early):
    """Stock interpreters and ours, where next states are written in place or copied, in any order of the parts."""
    model = branched(3, early, order)
    stock, both = Stock(model), [Steps(kernels, model) for kernels in (native, reference)]
    state, past = np.zeros((1, 1, 2, CHANNELS), np.int8), np.full((1, 1, 2, 3), -128, np.int8)
    rng, ran = np.random.default_rng(1), []
    for step in range(60):
        features, effort = random_features(rng), EFFORTS[step // 10]
        x = np.frombuffer(features, np.int8).reshape(1, 1, 1, CHANNELS)
        logit, past = stock("arbitrator", x, past)
        branch = HEAVY if int(logit.item()) >= THRESHOLDS[effort] else LIGHT
        encoded, state = stock(PARTS[branch], x, state)
        assert [one(features, effort) for one in both] == [branch] * 2, step
        for part in PARTS[:2]:
            assert [a.tolist() for a in both[0].outputs(part)] == [np.ravel(a).tolist() for a in (encoded, state)]
        assert both[0].state == both[1].state
        ran.append(branch)
    assert sum(a != b for a, b in pairwise(ran)) > 8, "the branches do not alternate: this proves nothing"


SIZES = {
    "plain": {"branching": Branching((1,), 4, 3)},
    "no light block": {"branching": Branching((), 16, 8)},
    "all blocks": {"branching": Branching((0, 1), 3, 2)},
    "int4": {"branching": Branching((0,), 5, 4), "bits": 4},
    "dilated": {"branching": Branching((2,), 4, 3), "blocks": (Block(3, 2), Block(2, 5), Block(4, 1))},
}


@pytest.mark.parametrize("name", SIZES)
def test_native_equals_twin(native, reference, name):
    model = random_model(5, **{"channels": 8, "joint": 8, "units": 9, **SIZES[name]})
    both = [Steps(kernels, model) for kernels in (native, reference)]
    assert len(both[0].state) == len(both[1].state)
    rng, ran = np.random.default_rng(2), []
    for step in range(24):
        features = random_features(rng, spec.FRONTEND_FEATURE_SIZE)
        found = [one(features, EFFORTS[step // 4]) for one in both]
        assert found[0] == found[1] and both[0].state == both[1].state, step
        ran += found[:1]
    assert ran[4:8] == [LIGHT] * 4 and ran[8:12] == [HEAVY] * 4


def test_states_are_stored_once(native):
    """What branches add to a model's state is their plan, the arbitrator's input, states and output."""
    sizes = {"channels": 64, "joint": 32, "blocks": (Block(5),) * 4}
    model = random_model(5, branching=Branching((0,), 16, 8), **sizes)
    steps = Steps(native, model)
    heavy, light = (steps.runners[name] for name in PARTS[:2])
    for output, count in ((0, 6), (1, 6)):
        for k in range(count):
            places = [native.model_tensor(steps.state, model, one.subgraph, output, k) for one in (heavy, light)]
            assert places[0] == places[1]
    encoder_states = 2 * 120 + 4 * 4 * 64
    own = 120 + 7 * 16 + 8  # features, states and logit of the arbitrator
    plain = native.model_size(random_model(5, **sizes), bytearray(16))
    assert encoder_states < plain
    # 25 operators of the light encoder, 9 of the arbitrator; multipliers of five bytes per channel.
    assert len(steps.state) - plain < own + 34 * 112 + 5 * (64 * 6 + 32 + 33) + 64


def test_the_state_moves_on_at_any_effort(native):
    """The arbitrator's state after some steps does not depend on the efforts of those steps."""
    model = branched(7)
    first, second = Steps(native, model), Steps(native, model)
    rng = np.random.default_rng(3)
    for step in range(30):
        features = random_features(rng)
        first(features, 0 if step < 20 else 50)
        second(features, 100 if step < 20 else 50)
        assert [a.tolist() for a in first.outputs("arbitrator")] == [a.tolist() for a in second.outputs("arbitrator")]


def test_a_model_without_branches_has_a_heavy_one(native, reference):
    model = random_model(1, channels=8, joint=8, units=9)
    features = random_features(np.random.default_rng(0), spec.FRONTEND_FEATURE_SIZE)
    for kernels in (native, reference):
        stepped, invoked = Runner(kernels, model), Runner(kernels, model)
        for effort in (0, 50, 100):
            stepped.view(0, 0)[:] = features
            assert kernels.encoder_step(stepped.state, model, effort) == HEAVY
            assert bytes(stepped.view(1, 0)) == invoked(np.frombuffer(features, np.int8))[0]
        assert stepped.state == invoked.state


def test_strange_calls(native, reference):
    model = branched()
    other = Runner(native, mb_model("predictor"), "predictor")
    for kernels in (native, reference):
        runner = Runner(kernels, model)
        for effort in (-1, 101, 2**31 - 1, -(2**31)):
            assert kernels.encoder_step(runner.state, model, effort) == -spec.ERROR_ARGUMENT
        assert kernels.encoder_step(bytearray(len(runner.state)), model, 50) == -spec.ERROR_STATE
        assert kernels.encoder_step(bytearray(0), model, 50) == -spec.ERROR_STATE
        assert kernels.encoder_step(runner.state, model[:-1], 50) == -spec.ERROR_STATE
        assert kernels.encoder_step(other.state, other.model, 50) == -spec.ERROR_MODEL_SUBGRAPH


def mb_model(name):
    builder = mb.Builder()
    graph = builder.graph(name)
    a, b = (graph.tensor([1, 4], scale=0.1) for _ in range(2))
    graph.add(a, a, b)
    graph.subgraph.inputs, graph.subgraph.outputs = [a], [b]
    return builder.build()


# --- refusals ----------------------------------------------------------------------------


@pytest.fixture(params=["native", "reference"])
def kernels(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("left_out", range(3))
def test_a_missing_part(kernels, left_out):
    order = PARTS[:left_out] + PARTS[left_out + 1 :]
    assert check(kernels, branched(order=order)) == (-spec.ERROR_MODEL_SUBGRAPH, (-1, -1, left_out))


def test_an_arbitrator_alone(kernels):
    found = check(kernels, branched(order=("arbitrator",)))
    assert found == (-spec.ERROR_MODEL_SUBGRAPH, (-1, -1, 0))


def _tensor(part, kind, k, **changes):
    """A change of tensor k of a part's inputs or outputs."""

    def change(graphs):
        subgraph = graphs[part].subgraph
        tensor = subgraph.tensors[getattr(subgraph, kind)[k]]
        for name, value in changes.items():
            setattr(tensor if hasattr(tensor, name) else tensor.quantization, name, value)

    return change


def _count(part, kind, count):
    """Fewer inputs or outputs."""

    def change(graphs):
        subgraph = graphs[part].subgraph
        setattr(subgraph, kind, getattr(subgraph, kind)[:count])

    return change


def _recurrent_logit(graphs):
    """An arbitrator whose features are recurrent, too."""
    subgraph = graphs["arbitrator"].subgraph
    subgraph.outputs = [*subgraph.outputs, 2]


# Change, subgraph and detail: the tensor, or how many inputs or outputs there are.
MISFITS = {
    "light input's scale": (_tensor("encoder_light", "inputs", 0, scale=[0.07]), 1, 0),
    "light input's zero point": (_tensor("encoder_light", "inputs", 0, zeroPoint=[1]), 1, 0),
    "light input's shape": (_tensor("encoder_light", "inputs", 0, shape=[1, 1, 4, 1]), 1, 0),
    "light state's scale": (_tensor("encoder_light", "inputs", 1, scale=[0.07]), 1, 1),
    "light state's zero point": (_tensor("encoder_light", "inputs", 1, zeroPoint=[-1]), 1, 1),
    "light state's shape": (_tensor("encoder_light", "inputs", 1, shape=[1, 1, 3, 4]), 1, 1),
    "huge light state": (_tensor("encoder_light", "inputs", 1, shape=[1, 1, 2**20, 8]), 1, 1),
    "light state's type": (_tensor("encoder_light", "inputs", 1, type=mb.INT16), 1, 1),
    "heavy state's scale": (_tensor("encoder", "inputs", 1, scale=[0.07]), 1, 1),
    "light output's scale": (_tensor("encoder_light", "outputs", 0, scale=[0.07]), 1, 6),
    "light output's zero point": (_tensor("encoder_light", "outputs", 0, zeroPoint=[7]), 1, 6),
    "light output's shape": (_tensor("encoder_light", "outputs", 0, shape=[1, 1, 4, 1]), 1, 6),
    "next light state's scale": (_tensor("encoder_light", "outputs", 1, scale=[0.07]), 1, 3),
    "a light input is missing": (_count("encoder_light", "inputs", 1), 1, 1),
    "a light output is missing": (_count("encoder_light", "outputs", 1), 1, 1),
    "no light input": (_count("encoder_light", "inputs", 0), 1, 2),
    "no heavy output": (_count("encoder", "outputs", 0), 0, 2),
    "arbitrator's features' scale": (_tensor("arbitrator", "inputs", 0, scale=[0.07]), 2, 0),
    "arbitrator's features' zero point": (_tensor("arbitrator", "inputs", 0, zeroPoint=[3]), 2, 0),
    "arbitrator's features' shape": (_tensor("arbitrator", "inputs", 0, shape=[1, 1, 1, 5]), 2, 0),
    "logit's scale": (_tensor("arbitrator", "outputs", 0, scale=[1 / 8]), 2, 6),
    "logit's zero point": (_tensor("arbitrator", "outputs", 0, zeroPoint=[-1]), 2, 6),
    "logit's shape": (_tensor("arbitrator", "outputs", 0, shape=[1, 1, 1, 2]), 2, 6),
    "logit's type": (_tensor("arbitrator", "outputs", 0, type=mb.INT16), 2, 6),
    "an arbitrator's state is no output": (_count("arbitrator", "outputs", 1), 2, 1),
    "the arbitrator's features are recurrent": (_recurrent_logit, 2, 3),
}


@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit_are_refused(kernels, name):
    change, subgraph, detail = MISFITS[name]
    model = branched(early=(False, False), change=change)
    assert check(kernels, model) == (-spec.ERROR_MODEL_BRANCHES, (subgraph, -1, detail))


def test_the_unchanged_model_is_accepted(native, reference):
    model = branched(early=(False, False))
    assert check(native, model) == check(reference, model)
    assert check(native, model)[0] > 0


def test_a_broken_tensor_is_named_as_ever(kernels):
    model = branched(early=(False, False), change=_tensor("encoder_light", "inputs", 1, shape=[1, 1, -2, 4]))
    assert check(kernels, model) == (-spec.ERROR_MODEL_TYPE, (1, -1, 1))


def _dense_part(builder, name):
    """A part that is like lstm_graph's from outside, or an arbitrator for it."""
    graph = builder.graph(name)
    outputs, scale, zero_point = (1, 1 / 16, 0) if name == "arbitrator" else (3, 1 / 110, -5)
    x = graph.tensor([1, 1, 4], scale=1 / 16, zero_point=3)
    y = graph.tensor([1, 1, outputs], scale=scale, zero_point=zero_point)
    weights = graph.tensor([outputs, 4], scale=0.01, data=np.ones((outputs, 4)))
    bias = graph.tensor([outputs], mb.INT32, scale=0.01 / 16, data=[0] * outputs)
    graph.fully_connected(x, weights, bias, y, keepNumDims=True)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]


@pytest.mark.parametrize("lstm", [None, 0, 1])
def test_a_state_inside_an_operator_cannot_be_shared(kernels, lstm):
    """An LSTM keeps its state in variable tensors of its own."""
    builder = mb.Builder()
    for part, name in enumerate(PARTS):
        if part == lstm:
            lstm_graph(builder, np.random.default_rng(0), name, 4, 3)
        else:
            _dense_part(builder, name)
    code, info = check(kernels, builder.build())
    if lstm is None:
        assert code > 0
    else:
        assert (code, info[:2]) == (-spec.ERROR_MODEL_BRANCHES, (lstm, 0))


def test_changed_bytes_are_refused_or_run_alike(native, reference):
    """As test_model_hostile.py, and every accepted model makes steps."""
    original, rng = branched(early=(False, False)), random.Random(4)
    accepted = 0
    for _ in range(400):
        changed = bytearray(original)
        for _ in range(rng.randint(1, 2)):
            changed[rng.randrange(len(original))] = rng.randrange(256)
        model = mb.seal(bytes(changed)) if changed.find(b"STPM") >= 0 else bytes(changed)
        found = check(native, model)
        assert found == check(reference, model)
        if 0 < found[0] < 20_000:
            accepted += 1
            states = []
            for kernels in (native, reference):
                state = bytearray(found[0])
                assert kernels.model_init(state, model, bytearray(16)) == 0
                results = [kernels.encoder_step(state, model, effort) for effort in (0, 100, 50)]
                states.append((results, bytes(state)))
            assert states[0] == states[1]
    assert 0 < accepted < 400
