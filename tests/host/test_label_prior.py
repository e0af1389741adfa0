"""Units' priors taken out of a model's scores: what is added, where it lands, and that nothing else changes."""

from pathlib import Path

import numpy as np
import pytest
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.label_prior import offsets, with_label_prior
from stapes_tools.convert.metadata import decode_metadata, is_sealed
from stapes_tools.convert.read import read_model
from stapes_tools.errors import UserError
from stapes_tools.train.data import FeatureSet, label_counts

MODELS = Path(__file__).parents[2] / "models"
COUNTS = np.append(0, np.random.default_rng(7).integers(50, 60_000, 39))


def logit_layer(data):
    """(steps of the bias in nats, bias) of the joint's last layer."""
    joint = next(part for part in read_model(data).subgraphs if part.name == "joint")
    hidden, weight, bias = (joint.tensors[index] for index in joint.operators[-1].inputs)
    return hidden.scale[0] * np.asarray(weight.scale, np.float64), bias.array().astype(np.int64)


def test_the_rarer_a_unit_the_more_it_gets_and_the_blank_nothing():
    added = offsets(COUNTS, 0.5)
    assert added[0] == 0.0
    order = np.argsort(COUNTS[1:])
    assert (np.diff(added[1:][order]) <= 0).all() and added[1:][order[0]] > 0 > added[1:][order[-1]]
    said = COUNTS[1:] + 1.0
    assert abs(added[1:] @ said / said.sum()) < 1e-12
    np.testing.assert_allclose(offsets(COUNTS, 1.0), 2 * added)
    assert not offsets(COUNTS, 0.0).any()


def test_all_of_the_prior_makes_units_that_were_only_counted_equal():
    """Log-posteriors that are the priors, and no more, have nothing left to tell units apart by."""
    prior = (COUNTS[1:] + 1.0) / (COUNTS[1:] + 1.0).sum()
    left = np.log(prior) + offsets(COUNTS, 1.0)[1:]
    np.testing.assert_allclose(left, left[0])


def test_a_unit_that_nobody_said_gets_a_finite_share():
    counts = COUNTS.copy()
    counts[5] = 0
    assert np.isfinite(offsets(counts, 1.0)).all()


@pytest.mark.parametrize("name", ["coffee", "general"])
def test_only_the_last_bias_changes_and_the_file_is_sealed(name):
    data = (MODELS / name / "model.tflite").read_bytes()
    changed = with_label_prior(data, COUNTS, 0.5)
    assert len(changed) == len(data) and is_sealed(changed) and changed != data
    assert decode_metadata(changed) == decode_metadata(data)
    for before, after in zip(read_model(data).subgraphs, read_model(changed).subgraphs, strict=True):
        differ = [one.name for one, other in zip(before.tensors, after.tensors, strict=True) if one != other]
        assert differ == (["logits.bias"] if before.name == "joint" else [])
    step, before = logit_layer(data)
    _, after = logit_layer(changed)
    assert np.abs((after - before) * step - offsets(COUNTS, 0.5)).max() <= step.max() / 2


def test_what_is_taken_out_twice_is_taken_out_once_more():
    data = (MODELS / "coffee" / "model.tflite").read_bytes()
    twice = with_label_prior(with_label_prior(data, COUNTS, 0.25), COUNTS, 0.25)
    off = logit_layer(twice)[1] - logit_layer(with_label_prior(data, COUNTS, 0.5))[1]
    assert np.abs(off).max() <= 1


def test_counts_of_other_units_and_a_model_without_logits_are_refused():
    data = (MODELS / "coffee" / "model.tflite").read_bytes()
    with pytest.raises(UserError, match="the model has 40 units, the counts are of 39"):
        with_label_prior(data, COUNTS[:-1], 0.5)
    model = read_model(data)
    model.subgraphs = [part for part in model.subgraphs if part.name == "arbitrator"]
    model.signatures = None
    with pytest.raises(UserError, match="no joint network that ends in a layer of logits"):
        with_label_prior(serialise(model), COUNTS, 0.5)
    with pytest.raises(UserError, match="not a TensorFlow Lite model"):
        with_label_prior(b"no model at all", COUNTS, 0.5)


def test_units_are_counted_in_every_label():
    labels = [np.array([1, 2, 2], np.int32), np.array([39], np.int32)]
    counts = label_counts(FeatureSet(np.zeros((0, 120), np.int8), np.zeros(2, int), np.zeros(2, int), labels))
    assert counts.shape == (40,) and counts.sum() == 4 and counts[2] == 2 and counts[39] == 1
