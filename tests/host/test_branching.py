"""The branching encoder in training: gates, costs, and what is exported, on small networks."""

import os
import warnings
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf
from stapes_tools.convert import checkpoint, forward
from stapes_tools.convert.grid import encoder_matrices, four_bits
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Block, Branching, Topology, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.errors import UserError
from stapes_tools.train import batches
from stapes_tools.train.branch_task import BranchTask
from stapes_tools.train.branching import BranchingTransducer, select, with_branches
from stapes_tools.train.compact import CompactTransducer
from stapes_tools.train.loop import Trainer
from stapes_tools.train.recipe import Branches
from toy_speech import toy_set

PLAIN = Topology(16, (Block(5), Block(3)), 8, 40)
BRANCHED = replace(PLAIN, branching=Branching((1,), 4, 3))
SETTINGS = Branches(
    minutes=1.0,
    batches=150,
    steps_per_batch=480,
    learning_rate=3e-3,
    warmup_batches=1,
    ema=0.9,
    zeros=0.5,
    sparse_start=-1.0,
    sparse_end=0.0,
    light_blocks=[1],
    light_zeros=0.75,
    arbitrator_channels=4,
    arbitrator_width=3,
    target_cost=0.6,
    cost_weight=10.0,
)


@pytest.fixture(scope="module")
def calibration():
    return random_calibration(3, 4, 40)


@pytest.fixture(scope="module")
def branched():
    return BranchingTransducer(BRANCHED, random_parameters(BRANCHED, 1))


def _ones(x, value):
    return np.full(x.shape[:1], value, np.float32)[None]


def test_an_open_gate_is_the_heavy_network(branched, calibration):
    heavy = {name: value for name, value in random_parameters(BRANCHED, 1).items() if "." in name}
    heavy = {name: value for name, value in heavy.items() if not name.startswith(("light.", "arbitrator."))}
    for features in calibration:
        x = forward.dequantise_features(features)
        found = np.asarray(branched.encode_gated(x[None], _ones(x, 1.0)))[0]
        np.testing.assert_allclose(found, forward.encode(PLAIN, heavy, features), atol=2e-4)
        np.testing.assert_array_equal(found, np.asarray(branched.encode(x[None]))[0])


def test_any_sequence_of_branches_computes_what_the_converter_does(branched, calibration):
    parameters, shares = random_parameters(BRANCHED, 1), []
    for features in calibration:
        x = forward.dequantise_features(features)[None]
        gate = np.asarray(branched.arbitrate(x) >= 0.0, np.float32)
        encoded, branch = forward.encode_branching(BRANCHED, parameters, features, 0.0)
        np.testing.assert_array_equal(np.asarray(branch) == 0, gate[0] == 1.0)
        np.testing.assert_allclose(np.asarray(branched.encode_gated(x, gate))[0], encoded, atol=2e-4)
        shares.append(gate.mean())
    assert 0.0 < np.mean(shares) < 1.0


def test_the_choice_hardens_and_keeps_its_gradient():
    logits = tf.constant([[-2.0, -0.1, 0.0, 3.0]])
    threshold = tf.constant([[0.0]])
    soft = 1.0 / (1.0 + np.exp(-np.asarray(logits) / 2.0))
    np.testing.assert_allclose(np.asarray(select(logits, threshold, 2.0, 0.0)), soft, rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        gate = select(logits, threshold, 2.0, 1.0)
    np.testing.assert_allclose(np.asarray(gate), [[0.0, 0.0, 1.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(np.asarray(tape.gradient(gate, logits)), soft * (1 - soft) / 2.0, rtol=1e-4)
    np.testing.assert_allclose(np.asarray(select(logits, threshold + 2.5, 2.0, 1.0)), [[0, 0, 0, 1]], atol=1e-6)


def test_training_starts_with_two_like_branches(calibration):
    plain = random_parameters(PLAIN, 1)
    both = Topology(**{**PLAIN.__dict__, "branching": Branching((0, 1), 4, 3)})
    net = BranchingTransducer(both, with_branches(both, plain, 1))
    x = forward.dequantise_features(calibration[0])
    heavy, light = (np.asarray(net.encode_gated(x[None], _ones(x, value))) for value in (1.0, 0.0))
    np.testing.assert_allclose(heavy, light, atol=1e-5)
    np.testing.assert_allclose(heavy, np.asarray(CompactTransducer(PLAIN, plain).encode(x[None])), atol=1e-5)


@pytest.fixture(scope="module")
def trained(calibration, tmp_path_factory):
    task = BranchTask(PLAIN, random_parameters(PLAIN, 1), SETTINGS, calibration)
    trainer = Trainer(task, SETTINGS, [toy_set()], tmp_path_factory.mktemp("run"), seed=1)
    trainer.run(lambda _: {})
    return task, trainer


def test_the_cost_comes_down_to_its_target(trained):
    task, trainer = trained
    first, last = trainer.history[0], trainer.history[-1]
    assert last["cost"] < 0.66 < first["cost"] and last["rnnt"] < first["rnnt"]
    share, ratio = last["heavy"], task.light_cost()
    assert last["cost"] == pytest.approx(share + (1 - share) * ratio, abs=0.02)


def test_the_lights_cost_is_counted_in_multiplications(trained):
    task, _ = trained
    heavy = round(0.5 * 16 * 360) + 2 * 128 + 64 + 16 * (5 + 3)
    light = round(0.25 * 16 * 360) + 64 + 32 + 16 * 3
    assert task.light_cost() == pytest.approx(light / heavy, rel=0.02)


def test_what_was_trained_is_what_is_exported(trained, calibration, tmp_path):
    task, trainer = trained
    topology, parameters, grid = task.net.topology, trainer.averaged(), task.grid()
    assert topology.branching == Branching((1,), 4, 3)
    for name in encoder_matrices(topology):
        zeros = 0.75 if name.startswith("light.") else 0.5
        assert np.mean(parameters[f"{name}.weight"] == 0) == pytest.approx(zeros, abs=0.03), name
    checkpoint.save(tmp_path / "b.npz", topology, parameters, np.zeros(40, np.int16), grid)
    saved = checkpoint.load(tmp_path / "b.npz")
    assert saved.topology == topology
    result = quantise(topology, saved.parameters, calibration, weight_bits=four_bits(topology), grid=saved.grid)
    for name in encoder_matrices(topology):
        weight = saved.parameters[f"{name}.weight"]
        expected = np.rint(weight.reshape(len(weight), -1) / grid.weight_scales[name][:, None])
        np.testing.assert_array_equal(
            result.layers[name].integers.reshape(len(weight), -1), np.clip(expected, -7, 7), name
        )
    assert {name: result.activations[name] for name in grid.activations} == dict(grid.activations)
    assert grid.activations["arbitrator.output"] == Scale(0.0625, 0)


def test_a_stopped_run_goes_on_with_the_same_draws(trained, calibration):
    task, trainer = trained
    other = BranchTask(PLAIN, random_parameters(PLAIN, 1), SETTINGS, calibration)
    resumed = Trainer(other, SETTINGS, [toy_set()], trainer.folder, seed=1)
    assert resumed.batches_done == 150
    for name, value in resumed.averaged().items():
        np.testing.assert_array_equal(value, trainer.averaged()[name])
    for each in (task, other):
        each.between(1.0, 151)
    batch = next(batches.epoch([toy_set()], 480, 1, False))
    np.testing.assert_array_equal(other.knobs(0.5, batch), task.knobs(0.5, batch))


def test_branches_are_trained_on(trained, calibration):
    task, trainer = trained
    start = trainer.averaged()
    settings = replace(SETTINGS, harden_until=0.0, light_sparse_end=0.001)
    other = BranchTask(task.net.topology, start, settings, calibration, seed=2)
    for name, value in start.items():
        np.testing.assert_array_equal(np.asarray(other.net.kernels[name]), value)
    with pytest.raises(UserError, match="other branches"):
        BranchTask(task.net.topology, start, replace(settings, arbitrator_width=4), calibration)


def test_an_arbitrator_is_kept(trained, calibration, tmp_path):
    start = trained[1].averaged()
    settings = replace(
        SETTINGS,
        batches=12,
        harden_until=0.0,
        light_sparse_end=0.001,
        freeze=0.0,
        target_cost=0.1,
        keep_arbitrator=True,
    )
    task = BranchTask(trained[0].net.topology, start, settings, calibration)
    trainer = Trainer(task, settings, [toy_set()], tmp_path, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer.run(lambda _: {})
    found = trainer.averaged()
    for name, value in start.items():
        assert np.array_equal(found[name], value) == name.startswith("arbitrator."), name
    with pytest.raises(UserError, match="no arbitrator to keep"):
        BranchTask(PLAIN, random_parameters(PLAIN, 1), settings, calibration)


def test_an_arbitrator_is_taken_from_another_network(trained, calibration):
    other = trained[1].averaged()
    plain = random_parameters(PLAIN, 1)
    task = BranchTask(PLAIN, plain, replace(SETTINGS, keep_arbitrator=True), calibration, arbitrator=other)
    for name, value in task.net.kernels.items():
        if name.startswith("arbitrator."):
            np.testing.assert_array_equal(np.asarray(value), other[name])
        else:
            np.testing.assert_array_equal(np.asarray(value), plain[name.removeprefix("light.")])
    with pytest.raises(UserError, match=r"arbitrator.front.weight of shape \(6, 120\)"):
        BranchTask(PLAIN, plain, replace(SETTINGS, arbitrator_channels=6), calibration, arbitrator=other)
    with pytest.raises(UserError, match="an arbitrator of its own"):
        BranchTask(task.net.topology, other, SETTINGS, calibration, arbitrator=other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"target_cost": 0.0}, "target_cost"), ({"light_zeros": 0.4}, "light_zeros is below zeros")],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        replace(SETTINGS, **changes)


def test_a_block_that_is_not_there_is_refused(calibration):
    with pytest.raises(UserError, match="light blocks"):
        BranchTask(PLAIN, random_parameters(PLAIN, 1), replace(SETTINGS, light_blocks=[2]), calibration)


def test_the_light_branch_may_have_shares_of_its_own(calibration):
    shares = {"front": 0.25, "light.projection": 0.5}
    settings = replace(SETTINGS, zeros_of=shares, sparse_start=0.0, sparse_end=0.0, light_sparse_end=0.0)
    task = BranchTask(PLAIN, random_parameters(PLAIN, 1), settings, calibration)
    found = {name: 1 - float(np.asarray(mask.value).mean()) for name, mask in task.net.masks.items()}
    assert {name: found[name] for name in ("front", "projection", "light.front", "light.projection")} == {
        "front": 0.25, "projection": 0.5, "light.front": 0.75, "light.projection": 0.5,
    }  # fmt: skip
    task = BranchTask(PLAIN, random_parameters(PLAIN, 1), replace(settings, share_blocks=True), calibration)
    assert np.asarray(task.net.masks["light.block1.pointwise"].value).mean() == 0.5


def test_shared_blocks_have_one_set_of_weights(calibration, tmp_path):
    settings = replace(SETTINGS, share_blocks=True, batches=20, update_batches=2)
    task = BranchTask(PLAIN, random_parameters(PLAIN, 1), settings, calibration)
    trainer = Trainer(task, settings, [toy_set()], tmp_path, seed=1)
    trainer.run(lambda _: {})
    found, grid = trainer.averaged(), task.grid()
    for kind in ("weight", "bias"):
        np.testing.assert_array_equal(found[f"light.block1.pointwise.{kind}"], found[f"block1.pointwise.{kind}"])
    assert np.any(found["block1.pointwise.weight"] != random_parameters(PLAIN, 1)["block1.pointwise.weight"])
    np.testing.assert_array_equal(grid.weight_scales["light.block1.pointwise"], grid.weight_scales["block1.pointwise"])
    light = round(0.25 * 16 * 360) + 128 + 32 + 16 * 3
    assert task.light_cost() == pytest.approx(light / (round(0.5 * 16 * 360) + 2 * 128 + 64 + 16 * 8), rel=0.02)
