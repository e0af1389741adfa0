"""A predictor that is not told the last unit: in training, when the search is tuned, in the model file."""

import os
from dataclasses import replace
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from keras import ops
from stapes_tools import kernels
from stapes_tools.convert.metadata import context_size, decode_metadata, with_search_settings
from stapes_tools.convert.topology import Block, Topology, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.corpora.noisiness import USUAL
from stapes_tools.evaluate.float_recognizer import FloatRecognizer
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.models import REPO
from stapes_tools.train import batches, tune
from stapes_tools.train.compact import CompactTransducer
from stapes_tools.train.compress import CompactTask
from stapes_tools.train.context import divergence, known_contexts, lattice_of, settled, without_context
from stapes_tools.train.net import built_transducer
from stapes_tools.train.recipe import Compression, Training, read_recipe
from stapes_tools.train.tasks import DenseTask
from toy_speech import toy_commands, toy_set

SMALL = Topology(16, (Block(5),), 8, 40)
LABELS = np.array([[3, 1, 4], [1, 5, 9]], np.int32)
SCHEDULE = {"minutes": 1.0, "learning_rate": 1e-3}
GENERAL = REPO / "models" / "general"


def _values(pair):
    return [ops.convert_to_numpy(one) for one in pair]


def _dense():
    net = built_transducer(SMALL, 1)
    net.table.set_weights([np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)])
    return net


@pytest.mark.parametrize("make", [_dense, lambda: CompactTransducer(SMALL, random_parameters(SMALL, 1))])
def test_an_utterance_without_context_is_scored_as_after_a_blank(make):
    net = make()
    encoded = ops.convert_to_tensor(np.random.default_rng(2).normal(size=(2, 6, 16)).astype(np.float32))
    if isinstance(net, CompactTransducer):
        encoded = encoded[..., :8]
    told, untold = _values(net.lattice(encoded, LABELS)), _values(net.lattice(encoded, LABELS * 0))
    mixed = _values(net.lattice(encoded, LABELS, np.array([1.0, 0.0], np.float32)))
    for index in range(2):
        np.testing.assert_array_equal(mixed[index][0], told[index][0])
    # Blank does not depend on what comes next, so after no label it is the same for any.
    np.testing.assert_array_equal(mixed[0][1], untold[0][1])
    np.testing.assert_array_equal(mixed[0][1], np.repeat(mixed[0][1][:, :1], 4, axis=1))
    assert np.abs(mixed[0][1] - told[0][1]).max() > 0.01


def test_every_outcome_without_context_is_that_after_a_blank():
    net = CompactTransducer(SMALL, random_parameters(SMALL, 1))
    encoded = ops.convert_to_tensor(np.random.default_rng(2).normal(size=(2, 6, 8)).astype(np.float32))
    pairs = np.array([[0, 7], [3, 7], [9, 7]], np.int32)
    blank, emit = _values(net.outcomes(encoded, pairs, np.array([1.0, 0.0], np.float32)))
    told = _values(net.outcomes(encoded, pairs))
    np.testing.assert_allclose(blank[0], told[0][0], rtol=1e-6)
    np.testing.assert_array_equal(emit[1], np.repeat(emit[1][:, :1], 3, axis=1))
    np.testing.assert_allclose(emit[1, :, 0], told[1][1, :, 0], rtol=1e-6)
    assert np.abs(blank[1] - told[0][1]).max() > 0.01


def test_the_share_is_dropped_and_a_batch_draws_the_same_again():
    draws = [known_contexts(0.75, batch, 16) for batch in range(200)]
    assert 0.22 < np.mean(draws) < 0.28 and set(np.ravel(draws)) == {0.0, 1.0}
    assert draws[3] == known_contexts(0.75, 3, 16) != draws[4]
    assert known_contexts(0.0, 3, 16) == known_contexts(1.0, 3, 16) == []


@pytest.mark.parametrize("make", [_dense, lambda: CompactTransducer(SMALL, random_parameters(SMALL, 1))])
def test_a_network_that_sees_no_context_has_the_same_lattice_for_less_work(make):
    net = make()
    width = 8 if isinstance(net, CompactTransducer) else 16
    encoded = ops.convert_to_tensor(np.random.default_rng(2).normal(size=(2, 6, width)).astype(np.float32))
    scores = net.scores(encoded)
    wanted = _values(net.lattice(encoded, LABELS, np.zeros(2, np.float32)))
    found = _values(lattice_of(scores, LABELS))
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
    np.testing.assert_allclose(found[1][..., :3], wanted[1][..., :3], rtol=1e-5)
    np.testing.assert_allclose(np.exp(ops.convert_to_numpy(scores)).sum(axis=-1), 1.0, rtol=1e-5)


def test_the_divergence_of_two_networks_is_that_of_their_steps():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(2, 2, 5, 7)).astype(np.float32)
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    steps = np.array([5, 2], np.int32)
    found = ops.convert_to_numpy(divergence(*map(ops.convert_to_tensor, scores), steps))
    for row, count in enumerate(steps):
        student, teacher = scores[:, row, :count]
        wanted = sum(
            np.exp(q) * (q - p) for p, q in zip(student.ravel().tolist(), teacher.ravel().tolist(), strict=True)
        )
        assert found[row] == pytest.approx(wanted, rel=1e-4)
    same = divergence(*map(ops.convert_to_tensor, (scores[0], scores[0])), steps)
    np.testing.assert_allclose(ops.convert_to_numpy(same), 0.0, atol=1e-5)


def test_a_network_without_context_starts_from_an_average_and_ends_alike_after_every_unit():
    start = random_parameters(SMALL, 1)
    table = start["predictor.table"]
    first = without_context(start)["predictor.table"]
    np.testing.assert_allclose(first, np.broadcast_to(table[:, 1:].mean(axis=1, keepdims=True), first.shape))
    last = settled(start)["predictor.table"]
    np.testing.assert_array_equal(last, np.broadcast_to(table[:, :1], last.shape))


def test_a_teacher_teaches_a_network_that_sees_no_context():
    """The distance is 0 from itself, and not from another; what comes out is the same after every unit."""
    batch = _batch()
    arrays = (batch.features, batch.labels, batch.steps, batch.units)
    settings = Compression(
        **SCHEDULE, zeros=0, weight_bits=0, simulate_activations=False, context_dropout=1.0, teacher_weight=0.5
    )
    start = random_parameters(SMALL, 1)
    found = []
    for seed in (1, 2):
        teacher = (SMALL, random_parameters(SMALL, seed))
        task = CompactTask(SMALL, start, settings, random_calibration(3, 4, 40), [teacher])
        total, parts = task.losses(*map(ops.convert_to_tensor, (*arrays, task.knobs(0.5, batch))))
        rnnt, distance = ops.convert_to_numpy(parts)[:2]
        assert float(total) == pytest.approx(rnnt + 0.5 * distance, rel=1e-5)
        found.append(distance)
    assert found[0] == pytest.approx(0.0, abs=1e-4) and found[1] > 0.1
    table = task.parameters([ops.convert_to_numpy(v.value) for v in task.net.trainable_variables])["predictor.table"]
    np.testing.assert_array_equal(table, np.broadcast_to(table[:, :1], table.shape))


def _batch():
    toy = toy_set()
    return batches.collate([toy.example(index) for index in range(4)], 80)


@pytest.mark.parametrize("commands", [False, True])
def test_all_dropped_the_loss_does_not_depend_on_the_predictor(commands):
    """And with nothing dropped it does, at either stage, with the discriminative loss and without."""
    found = []
    batch = _batch()
    arrays = (batch.features, batch.labels, batch.steps, batch.units)
    for dropout in (1.0, 1e-9):
        for seed in (1, 2):
            parameters = random_parameters(SMALL, 1)
            rows = np.random.default_rng(seed).normal(size=(1, 39, 8))
            # Their average is where a network that sees no context starts: here the same for both.
            parameters["predictor.table"][:, 1:] = rows - rows.mean(axis=1, keepdims=True)
            settings = Compression(
                **SCHEDULE, zeros=0, weight_bits=0, simulate_activations=False, context_dropout=dropout,
                mmi_weight=float(commands),
            )  # fmt: skip
            graph = toy_commands(hears_context=dropout < 1.0) if commands else None
            task = CompactTask(SMALL, parameters, settings, random_calibration(3, 4, 40), commands=graph)
            task.between(0.5, 7)
            found.append(float(task.losses(*map(ops.convert_to_tensor, (*arrays, task.knobs(0.5, batch))))[0]))
    assert found[0] == pytest.approx(found[1], rel=1e-5) and abs(found[2] - found[3]) > 1e-3


def test_the_first_stage_drops_too():
    batch, found = _batch(), []
    for dropout in (1.0, 1e-9):
        settings = Training(**SCHEDULE, ctc_share=0.0, ctc_weight=0.0, context_dropout=dropout)
        task = DenseTask(_dense(), settings)
        task.between(0.5, 7)
        knobs = task.knobs(0.5, batch)
        arrays = map(ops.convert_to_tensor, (batch.features, batch.labels, batch.steps, batch.units, knobs))
        assert knobs[2:].tolist() == ([] if dropout == 1.0 else [1.0] * 4)
        found.append(float(task.losses(*arrays)[0]))
    assert abs(found[0] - found[1]) > 1e-3


# --- the search ----------------------------------------------------------------------------


def test_a_model_file_says_whether_its_search_hears_the_context():
    data = (GENERAL / "model.tflite").read_bytes()
    without = with_search_settings(data, 2.0, 1.0, hears_context=False)
    assert (context_size(data), context_size(without)) == (1, 0)
    assert decode_metadata(data).hears_context and not decode_metadata(without).hears_context
    assert not decode_metadata(with_search_settings(without, 3.0, 1.0)).hears_context
    assert with_search_settings(without, 2.5, 0.5, hears_context=True) == with_search_settings(data, 2.5, 0.5)


def _noted(scores, seen, row, context):
    seen.add(context)
    return scores(row, context)


def test_float_arithmetic_searches_as_the_model_file_says(tmp_path):
    grammar = compile_grammar(REPO / "models" / "grammars" / "lights.yaml")
    data = (GENERAL / "model.tflite").read_bytes()
    (tmp_path / "dense.npz").write_bytes((GENERAL / "dense.npz").read_bytes())
    (tmp_path / "model.tflite").write_bytes(with_search_settings(data, 2.5, 1.0, hears_context=False))
    evaluations = []
    for folder in (GENERAL, tmp_path):
        seen: set[int] = set()
        recognizer = FloatRecognizer(str(folder / "dense.npz"), grammar, kernels.install())
        recognizer._log_probs = partial(_noted, recognizer._log_probs, seen)
        recognizer.reset()
        recognizer.accept_waveform(np.random.default_rng(1).integers(-900, 900, 16000).astype(np.int16))
        recognizer.input_finished()
        recognizer.lattice()
        evaluations.append(seen)
    assert evaluations[1] == {0} and len(evaluations[0]) > 1


@pytest.mark.parametrize(("share", "without", "chosen"), [(0.90, 0.89, False), (0.90, 0.95, False), (0.95, 0.90, True)])
def test_a_network_trained_without_context_is_searched_without_unless_it_needs_it(monkeypatch, share, without, chosen):
    recipe = read_recipe(GENERAL / "recipe.toml")
    recipe = replace(recipe, compression=replace(recipe.compression, context_dropout=0.75))
    heard = [("go", np.zeros(1, np.int16))] * 200
    monkeypatch.setattr(tune.dev, "command_recordings", lambda recipe, offset, noisiness=USUAL: heard)

    def acceptance(model, recipe, recordings, processes):
        settings = decode_metadata(model)
        best = 2048 if settings.hears_context else 3072
        wrong = abs(settings.blank_penalty - best) + (abs(settings.start_discount - 768) - 768) / 2
        return (share if settings.hears_context else without) - wrong / 10240

    monkeypatch.setattr(tune, "acceptance", acceptance)
    lines: list[str] = []
    data = (GENERAL / "model.tflite").read_bytes()
    settings = decode_metadata(tune.tune(data, recipe, 1, lines.append))
    assert settings.hears_context == chosen
    assert settings.blank_penalty == (2048 if chosen else 3072)
    assert sum("without context" in line for line in lines) == (6 if chosen else 8)
    # With context penalties are low, and nothing is discounted.
    assert sum("start discount" in line for line in lines) == (0 if chosen else 5)
    assert settings.start_discount == (0 if chosen else 768)
    plain = replace(recipe, compression=replace(recipe.compression, context_dropout=0.0))
    assert decode_metadata(tune.tune(data, plain, 1, lines.append)).hears_context
    # Trained without any, there is nothing to compare with.
    lines.clear()
    free = replace(recipe, compression=replace(recipe.compression, context_dropout=1.0))
    assert not decode_metadata(tune.tune(data, free, 1, lines.append)).hears_context
    assert len(lines) == 8 + 6 and all("without context" in line for line in lines[:8])
