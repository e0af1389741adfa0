"""Zeros in blocks, integer grids, distillation: each against a plain oracle, then all together on a small network."""

import itertools
import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf
from stapes_tools.convert import checkpoint, forward
from stapes_tools.convert.grid import encoder_matrices, four_bits
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Block, Topology, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.errors import UserError
from stapes_tools.train import levels, sparsify
from stapes_tools.train.compact import CompactTransducer
from stapes_tools.train.compress import CompactTask, observe
from stapes_tools.train.distil import distillation_loss
from stapes_tools.train.loop import Trainer
from stapes_tools.train.recipe import Compression
from toy_speech import toy_set

SMALL = Topology(16, (Block(5), Block(3, 2)), 8, 40)
SETTINGS = Compression(
    minutes=1.0,
    batches=120,
    steps_per_batch=480,
    learning_rate=1e-3,
    warmup_batches=1,
    ema=0.9,
    zeros=0.75,
    weight_bits=4,
    grid_penalty=1e-3,
    teacher_weight=0.5,
)


@pytest.fixture(scope="module")
def parameters():
    return random_parameters(SMALL, 1)


@pytest.fixture(scope="module")
def calibration():
    return random_calibration(3, 4, 40)


def test_zeros_rise_along_a_cubic():
    wanted = [sparsify.zeros_wanted(progress, 0.2, 0.6, 0.8) for progress in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert wanted == pytest.approx([0.0, 0.0, 0.8 * (1 - 0.5**3), 0.8, 0.8])
    assert [sparsify.zeros_wanted(progress, 0.0, 0.0, 0.8) for progress in (0.0, 0.5)] == [0.8, 0.8]


@pytest.mark.parametrize(("outputs", "rows"), [(8, 4), (10, 4), (5, 1), (3, 4)])
def test_a_mask_keeps_the_blocks_that_contribute_most(outputs, rows):
    rng = np.random.default_rng(outputs)
    weight, rms = rng.normal(0, 1, (outputs, 7)).astype(np.float32), rng.uniform(0.1, 2, 7)
    mask = sparsify.block_mask(weight, rms, 0.6, rows)
    scores = {}
    for first, column in itertools.product(range(0, outputs, rows), range(7)):
        block = mask[first : first + rows, column]
        assert block.min() == block.max()
        scores[first, column] = (np.mean((weight[first : first + rows, column] * rms[column]) ** 2), block[0])
    kept = [score for score, keep in scores.values() if keep]
    gone = [score for score, keep in scores.values() if not keep]
    assert len(gone) == round(0.6 * len(scores)) and min(kept) > max(gone)


def test_a_matrix_may_have_a_share_of_zeros_of_its_own(parameters, calibration):
    settings = replace(
        SETTINGS, zeros=0.5, zeros_of={"projection": 0.25, "front": 0.75}, sparse_start=0.0, sparse_end=0.0
    )
    task = CompactTask(SMALL, parameters, settings, calibration)
    found = {name: 1 - float(np.asarray(mask.value).mean()) for name, mask in task.net.masks.items()}
    assert found == {"front": 0.75, "block0.pointwise": 0.5, "block1.pointwise": 0.5, "projection": 0.25}
    only = CompactTask(SMALL, parameters, replace(settings, zeros=0.0), calibration)
    assert float(np.asarray(only.net.masks["front"].value).mean()) == 0.25


def test_a_share_of_zeros_that_cannot_be_is_refused(parameters, calibration):
    with pytest.raises(UserError, match="zeros_of front is 1"):
        replace(SETTINGS, zeros_of={"front": 1.0})
    with pytest.raises(UserError, match="zeros_of is no table"):
        replace(SETTINGS, zeros_of=0.5)
    with pytest.raises(UserError, match=r"names 'font'.*did you mean 'front'"):
        CompactTask(SMALL, parameters, replace(SETTINGS, zeros_of={"font": 0.5}), calibration)


def test_simulated_activations_are_those_of_the_converter():
    x = np.random.default_rng(0).normal(0, 2, 1000).astype(np.float32)
    for scale in (Scale(0.02, -128), Scale(0.013, 7)):
        found = levels.simulate_activation(tf.constant(x), scale.scale, float(scale.zero_point))
        np.testing.assert_array_equal(np.asarray(found), scale.round_trip(x))
    with tf.GradientTape() as tape:
        value = tf.constant([1.0, 100.0])
        tape.watch(value)
        total = tf.reduce_sum(levels.simulate_activation(value, 0.02, -128.0))
    np.testing.assert_array_equal(tape.gradient(total, value), [1.0, 0.0])


def test_weight_steps_have_the_least_error_of_the_ladder():
    weight = np.random.default_rng(2).normal(0, 1, (6, 50)).astype(np.float32)
    steps = levels.weight_steps(weight, 4)
    rounded = np.asarray(levels.round_weight(tf.constant(weight), tf.constant(steps), 4))
    integers = rounded / steps[:, None]
    np.testing.assert_allclose(integers, np.clip(np.rint(weight / steps[:, None]), -7, 7), atol=1e-5)
    by_largest = np.abs(weight).max(axis=1, keepdims=True) / 7
    plain = np.clip(np.rint(weight / by_largest), -7, 7) * by_largest
    assert np.all(((rounded - weight) ** 2).sum(axis=1) <= ((plain - weight) ** 2).sum(axis=1) + 1e-6)


def test_the_penalty_is_zero_on_the_levels_and_largest_between():
    step = tf.constant([0.5, 0.25])
    on = levels.grid_penalty(tf.constant([[0.0, 1.5], [-0.25, 0.5]]), step)
    between = levels.grid_penalty(tf.constant([[0.25, 0.75], [-0.125, 0.375]]), step)
    assert float(on) == pytest.approx(0.0, abs=1e-6) and float(between) == pytest.approx(2 * (0.5 + 0.25) / np.pi)


def _random_lattice(seed, steps=5, units=2):
    logits = np.random.default_rng(seed).normal(0, 1, (1, steps, units + 1, 4))
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return log_probs[..., 0].astype(np.float32), log_probs[..., 1].astype(np.float32)


def _distillation_by_enumeration(student, teacher, steps, units):
    """Expected divergence along the teacher's paths."""
    paths, total = [], 0.0
    for emitting in itertools.combinations(range(steps), units):
        score, nodes, done = 0.0, [], 0
        for t in range(steps):
            nodes.append((t, done))
            score += teacher[1][0, t, done] if t in emitting else teacher[0][0, t, done]
            done += t in emitting
        paths.append((np.exp(score), nodes))
    for probability, nodes in paths:
        for t, u in nodes:
            p = np.exp([teacher[0][0, t, u], teacher[1][0, t, u] if u < units else -20.0])
            q = np.exp([student[0][0, t, u], student[1][0, t, u] if u < units else -20.0])
            p, q = np.append(p, 1 - p.sum()), np.append(q, 1 - q.sum())
            total += probability * np.sum(p * np.log(p / q))
    return total / sum(probability for probability, _ in paths)


def test_distillation_is_the_expected_divergence_on_the_teachers_paths():
    student, teacher = _random_lattice(1), _random_lattice(2)
    steps, units = tf.constant([5]), tf.constant([2])
    found = distillation_loss([tf.constant(x) for x in student], [tf.constant(x) for x in teacher], steps, units)
    assert float(found[0]) == pytest.approx(_distillation_by_enumeration(student, teacher, 5, 2), rel=1e-4)
    same = distillation_loss([tf.constant(x) for x in teacher], [tf.constant(x) for x in teacher], steps, units)
    assert float(same[0]) == pytest.approx(0.0, abs=1e-5)


def test_the_compact_network_computes_what_the_converter_does(parameters, calibration):
    net = CompactTransducer(SMALL, parameters)
    for features in calibration:
        x = forward.dequantise_features(features)
        np.testing.assert_allclose(
            np.asarray(net.encode(x[None]))[0], forward.encode(SMALL, parameters, features), atol=2e-4
        )


def test_a_topology_that_is_not_trained_is_refused():
    other = replace(SMALL, depthwise_relu=True)
    with pytest.raises(UserError, match="ReLU on the pointwise"):
        CompactTransducer(other, random_parameters(other, 1))


def test_statistics_are_of_the_inputs_of_every_matrix(parameters, calibration):
    found = observe(SMALL, parameters, calibration)
    assert found.input_rms["front"].shape == (360,) and found.input_rms["projection"].shape == (16,)
    newest = np.sqrt(np.mean(np.concatenate([forward.dequantise_features(x) for x in calibration]) ** 2, axis=0))
    np.testing.assert_allclose(found.input_rms["front"][240:], newest, rtol=1e-4)


@pytest.fixture(scope="module")
def trained(parameters, calibration, tmp_path_factory):
    task = CompactTask(SMALL, parameters, SETTINGS, calibration, [(SMALL, parameters)])
    trainer = Trainer(task, SETTINGS, [toy_set()], tmp_path_factory.mktemp("run"), seed=1)
    trainer.run(lambda _: {})
    return task, trainer


def test_what_was_trained_is_what_is_exported(trained, calibration, tmp_path):
    task, trainer = trained
    parameters, grid = trainer.averaged(), task.grid()
    for name in encoder_matrices(SMALL):
        weight = parameters[f"{name}.weight"].reshape(len(grid.weight_scales[name]), -1)
        assert np.mean(weight == 0) == pytest.approx(0.75, abs=0.02)
        assert np.all((weight[0::4] == 0) == (weight[1::4] == 0))
    checkpoint.save(tmp_path / "c.npz", SMALL, parameters, np.zeros(40, np.int16), grid)
    saved = checkpoint.load(tmp_path / "c.npz")
    result = quantise(saved.topology, saved.parameters, calibration, weight_bits=four_bits(SMALL), grid=saved.grid)
    for name in encoder_matrices(SMALL):
        weight = saved.parameters[f"{name}.weight"]
        integers = result.layers[name].integers.reshape(len(weight), -1)
        expected = np.clip(np.rint(weight.reshape(len(weight), -1) / grid.weight_scales[name][:, None]), -7, 7)
        np.testing.assert_array_equal(integers, expected)
    assert {name: result.activations[name] for name in grid.activations} == dict(grid.activations)


def test_a_stopped_run_keeps_masks_and_grids(trained, parameters, calibration):
    task, trainer = trained
    other = CompactTask(SMALL, parameters, SETTINGS, calibration, [(SMALL, parameters)])
    resumed = Trainer(other, SETTINGS, [toy_set()], trainer.folder, seed=1)
    assert resumed.batches_done == 120
    for name, value in resumed.averaged().items():
        np.testing.assert_array_equal(value, trainer.averaged()[name])
    other.between(resumed.progress, 150)
    assert other.grid().activations == task.grid().activations


def test_every_method_can_be_switched_off(parameters, calibration, tmp_path):
    plain = replace(
        SETTINGS, batches=3, zeros=0.0, weight_bits=0, simulate_activations=False, teacher_weight=0.0, grid_penalty=0.0
    )
    task = CompactTask(SMALL, parameters, plain, calibration)
    trainer = Trainer(task, plain, [toy_set()], tmp_path, seed=1)
    trainer.run(lambda _: {})
    assert not task.grid().weight_scales and not task.grid().activations
    assert all(np.count_nonzero(value) == value.size for name, value in trainer.averaged().items() if "weight" in name)
    assert trainer.history[-1]["teacher"] == trainer.history[-1]["grid"] == 0.0


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(tmp_path / "bad.npz")
    with pytest.raises(UserError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none.npz")
