"""Recipe, batches, network, export and the training loop, on a network small enough to train in seconds."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from stapes_tools.convert import forward
from stapes_tools.errors import UserError
from stapes_tools.train import batches
from stapes_tools.train.export import float_parameters
from stapes_tools.train.greedy import edit_distance, greedy_phones, phone_error_rate
from stapes_tools.train.loop import Trainer
from stapes_tools.train.net import Transducer, built_transducer
from stapes_tools.train.recipe import read_recipe, topology_of
from stapes_tools.train.tasks import DenseTask
from toy_speech import toy_set

RECIPE = "models/general/recipe.toml"


@pytest.fixture(scope="module")
def recipe(request):
    return read_recipe(request.config.rootpath / RECIPE)


@pytest.fixture(scope="module")
def small(recipe):
    return topology_of(replace(recipe.model, channels=16, blocks=2, joint=8))


@pytest.fixture(scope="module")
def toy():
    return toy_set()


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path, request):
    text = (request.config.rootpath / RECIPE).read_text()
    (tmp_path / "recipe.toml").write_text(text.replace("channels =", "chanels ="))
    with pytest.raises(UserError, match=r"unknown key .chanels. in .model.; did you mean 'channels'"):
        read_recipe(tmp_path / "recipe.toml")
    (tmp_path / "recipe.toml").write_text(text.replace("channels = 256", ""))
    with pytest.raises(UserError, match=r"missing .* 'channels'"):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(UserError, match="no such recipe"):
        read_recipe(tmp_path / "none.toml")


def test_an_epoch_holds_every_utterance_and_repeats_with_its_seed(toy):
    seen = list(batches.epoch([toy, toy], 800, 5, short_first=True))
    again = list(batches.epoch([toy, toy], 800, 5, short_first=True))
    assert all(batch.features.shape == (10, 80, 120) for batch in seen)
    for one, other in zip(seen, again, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
    found = {batch.features[row, :60].tobytes() for batch in seen for row in range(10)}
    assert found == {np.array(toy.example(index)[0]).tobytes() for index in range(24)}


def test_utterances_that_ctc_cannot_align_are_left_out():
    assert batches.bucket_of(100, 51) == -1
    assert batches.bucket_of(100, 32) == 1
    assert batches.bucket_of(100, 50) > 1
    assert batches.bucket_of(10_000, 5) == -1


def test_a_recipe_may_have_fewer_shapes_of_batches(toy):
    assert [batches.bucket_of(steps, 5, [60, 100]) for steps in (60, 61, 101)] == [0, 1, -1]
    seen = list(batches.epoch([toy], 400, 5, short_first=False, edges=[100]))
    assert {batch.features.shape for batch in seen} == {(4, 100, 120)}
    assert sum(len(batch.steps) for batch in seen) >= len(toy.labels)


def test_masking_only_zeroes(toy):
    batch = batches.collate([toy.example(0), toy.example(1)], 80)
    before = batch.features.copy()
    after = batches.mask(batch, np.random.default_rng(3)).features
    changed = after != before
    assert changed.any() and not after[changed].any()


def test_the_exported_parameters_compute_what_the_network_computes(small, toy):
    net = Transducer(small, seed=3)
    features, labels = toy.example(0)
    x = features[None].astype(np.float32) * forward.FEATURE_SCALE
    inside = np.ones((1, 60), bool)
    for _ in range(5):
        net(x, labels[None], inside, training=True)
    net.table.set_weights([np.random.default_rng(4).normal(0, 1, (small.units, small.joint))])
    blank, emit, _ = net(x, labels[None], inside)
    parameters = float_parameters(net)
    encoded = forward.encode(small, parameters, np.array(features))
    for place, last in enumerate([0, *labels[:-1]]):
        logits = forward.logits(parameters, encoded, parameters["predictor.table"][0][[last]])
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(np.asarray(blank)[0, :, place], log_probs[:, 0], atol=1e-4)
        np.testing.assert_allclose(np.asarray(emit)[0, :, place], log_probs[:, labels[place]], atol=1e-4)


def test_the_network_does_not_look_ahead(small):
    net = Transducer(small, seed=3)
    x = np.random.default_rng(1).normal(0, 1, (1, 30, 120)).astype(np.float32)
    later = x.copy()
    later[:, 20:] += 1.0
    inside = np.ones((1, 30), bool)
    one, other = (np.asarray(net.encode(value, inside)) for value in (x, later))
    np.testing.assert_allclose(one[:, :20], other[:, :20], atol=1e-5)
    assert np.abs(one[:, 20:] - other[:, 20:]).max() > 0.01


def test_edit_distance():
    assert edit_distance("kitten", list("sitting")) == 3
    assert edit_distance("abc", []) == 3 and edit_distance("", ["a"]) == 1 and edit_distance("ab", ["a", "b"]) == 0


def _dense_task(small, recipe, seed):
    return DenseTask(built_transducer(small, seed), recipe.training)


@pytest.fixture(scope="module")
def settings(recipe):
    return replace(
        recipe.training,
        batches=240,
        steps_per_batch=960,
        learning_rate=1e-2,
        warmup_batches=20,
        ema=0.9,
        checkpoint_minutes=0.1,
        ctc_share=0.1,
    )


def test_training_learns_stops_and_resumes(small, toy, recipe, settings, tmp_path):
    reports, rows = [], []
    trainer = Trainer(_dense_task(small, recipe, 1), settings, [toy], tmp_path, seed=1, log=rows.append)
    trainer.run(lambda trainer: reports.append(trainer.batches_done) or {"seen": 1})
    assert reports[-1] == 240 and trainer.history[-1]["seen"] == 1 and rows == trainer.history
    examples = [toy.example(index) for index in range(8)]
    parameters = trainer.averaged()
    assert phone_error_rate(small, parameters, examples) < 0.1
    assert greedy_phones(small, parameters, np.zeros((20, 120), np.int8)) == []

    resumed = Trainer(_dense_task(small, recipe, 2), settings, [toy], tmp_path, seed=1)
    assert resumed.progress >= 1.0 and resumed.batches_done == trainer.batches_done
    for name, value in resumed.averaged().items():
        np.testing.assert_array_equal(value, parameters[name])


def test_a_seed_repeats_the_first_hundred_steps_exactly(small, toy, recipe, settings, tmp_path):
    ends = []
    for name in ("one", "other"):
        task = _dense_task(small, recipe, 5)
        trainer = Trainer(task, replace(settings, batches=100), [toy, toy], tmp_path / name, seed=5)
        trainer.run(lambda _: {})
        ends.append(task.net.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_schedule_by_the_clock_ends_with_the_minutes(small, toy, recipe, settings, tmp_path):
    clock = itertools.count(0, 0.5).__next__
    by_clock = replace(settings, batches=0, minutes=0.2)
    trainer = Trainer(_dense_task(small, recipe, 1), by_clock, [toy], tmp_path, seed=1, clock=clock)
    trainer.run(lambda _: {})
    assert trainer.progress >= 1.0 and 20 <= trainer.batches_done <= 24


def _steps(backend):
    """Losses of three batches of either stage on a backend, in a process of its own."""
    program = Path(__file__).with_name("backend_steps.py")
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# torch is not among the test tools: from PyPI it is gigabytes. It must be there where this is asked for.
@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_every_keras_backend_trains_alike(backend):
    expected, found = _steps("tensorflow"), _steps(backend)
    assert (expected["backend"], found["backend"]) == ("tensorflow", backend)
    assert found["dense"] == pytest.approx(expected["dense"], rel=1e-5)
    # A rounded value may fall to either side.
    assert found["compressed"] == pytest.approx(expected["compressed"], rel=1e-3)
