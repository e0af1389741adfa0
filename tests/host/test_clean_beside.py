"""A teacher that hears the clean version of what its student hears in noise; and several teachers."""

import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from keras import ops
from stapes_tools.convert.topology import random_parameters
from stapes_tools.corpora.augment import Surroundings, augment, augment_beside
from stapes_tools.corpora.noisiness import Noisiness
from stapes_tools.corpora.store import write_pack
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.kernels.features import features as front_end
from stapes_tools.train import batches, data
from stapes_tools.train.context import averaged
from stapes_tools.train.recipe import Data
from toy_speech import toy_set
from toy_teachers import FLOAT, SMALL, distance, student, toy_pairs

PRIOR = np.full(40, 6000, np.int16)


def _speech():
    rng = np.random.default_rng(1)
    return (rng.normal(0, 4000, 16000) * np.repeat(rng.random(10) > 0.4, 1600)).astype(np.int16)


def test_the_clean_version_is_the_same_utterance_without_the_noise():
    noise = np.random.default_rng(2).normal(0, 0.1, 50000).astype(np.float32)
    around, loud = Surroundings([noise], []), Noisiness(1.0, 0.0, 0.0)
    noisy, clean = augment_beside(_speech(), around, np.random.default_rng(5), noisiness=loud)
    np.testing.assert_array_equal(noisy, augment(_speech(), around, np.random.default_rng(5), noisiness=loud))
    assert noisy.shape == clean.shape
    quiet = np.abs(clean.astype(int)).reshape(-1)[:1600].mean()
    assert np.abs(noisy.astype(int))[:1600].mean() > 10 * quiet
    # At 0 dB the difference is as loud as the speech.
    difference = (noisy.astype(float) - clean).std()
    assert 0.4 < difference / clean.astype(float)[clean != 0].std() < 2.5
    without = augment_beside(_speech(), around, np.random.default_rng(6), noisiness=replace(loud, share=0.0))
    assert without[0].shape == without[1].shape and np.mean(without[0] == without[1]) > 0.99


def test_versions_differ_by_their_noise_alone():
    noise = np.random.default_rng(2).normal(0, 0.1, 50000).astype(np.float32)
    around, half = Surroundings([noise], []), Noisiness(0.5, 0.0, 0.0)
    *versions, clean = augment_beside(_speech(), around, np.random.default_rng(7), noisiness=half, versions=6)
    assert len(versions) == 6 and {version.shape for version in versions} == {clean.shape}
    noises = [version.astype(float) - clean for version in versions]
    loud = [difference for difference in noises if difference.std() > 100]
    assert 1 <= len(loud) < 6, "some have noise and some have none"
    assert all(abs(np.corrcoef(one, other)[0, 1]) < 0.2 for one in loud for other in loud if one is not other)


def test_features_of_both_stand_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    pack = write_pack(tmp_path / "pack", [(f"u{number}", "hello", "s", _speech()) for number in range(3)])
    settings = Data("nowhere", [], ["synthetic:2"], [], 1, 1, 15.0, [], noise_share=1.0)
    lexicon = Lexicon({})
    plain = data.feature_set([pack], settings, 1, PRIOR, lexicon)
    both = data.feature_set([pack], replace(settings, clean_beside=True), 1, PRIOR, lexicon)
    assert plain.clean is None and both.clean is not None
    np.testing.assert_array_equal(plain.features, both.features)
    assert np.mean(both.clean != both.features) > 0.2
    rows, labels = both.beside(1)
    np.testing.assert_array_equal(rows[:, :120], both.example(1)[0])
    np.testing.assert_array_equal(labels, plain.beside(1)[1])
    assert rows.shape[1] == 240 and plain.beside(1)[0].shape[1] == 120
    around = data.surroundings_of(settings)
    wanted = augment_beside(_speech(), around, np.random.default_rng([1, 0, 1]), noisiness=data._noisiness(settings))
    np.testing.assert_array_equal(rows, np.concatenate([front_end(one, PRIOR) for one in wanted], axis=1))
    recorded = data.feature_set([pack], replace(settings, clean_beside=True), None, PRIOR, lexicon)
    assert recorded.clean is None


def test_versions_share_their_clean_version(tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    pack = write_pack(tmp_path / "pack", [(f"u{number}", "hello", "s", _speech()) for number in range(3)])
    settings = Data(
        "nowhere", [], ["synthetic:2"], [], 1, 1, 15.0, [], noise_share=1.0, clean_beside=True, noisy_versions=2
    )
    for _ in range(2):  # made, then found
        first, second = data.feature_sets([pack], settings, 1, PRIOR, Lexicon({}))
        assert first.clean is second.clean
        assert np.mean(first.features != second.features) > 0.2
        np.testing.assert_array_equal(first.steps, second.steps)
    without = data.feature_sets([pack], replace(settings, clean_beside=False), 1, PRIOR, Lexicon({}))
    assert [copy.clean for copy in without] == [None, None]
    np.testing.assert_array_equal(without[1].features, second.features)
    assert len(data.feature_sets([pack], settings, None, PRIOR, Lexicon({}))) == 1, "as recorded, there is one"
    with pytest.raises(UserError, match="noisy_versions from 1 to 8"):
        replace(settings, noisy_versions=9)


def test_batches_carry_the_clean_version_and_masks_leave_it_alone():
    pairs = toy_pairs()
    batch = next(batches.epoch([pairs], 480, 3, short_first=False))
    assert batch.features.shape == (6, 80, 240)
    after = batches.mask(batch, np.random.default_rng(3)).features
    np.testing.assert_array_equal(after[..., 120:], batch.features[..., 120:])
    assert np.any(after[..., :120] != batch.features[..., :120])


def _distance(task, features):
    batch = batches.collate([toy_set().example(index) for index in range(4)], 80)
    return distance(task, replace(batch, features=features))


def test_the_teacher_hears_the_clean_version():
    """From a teacher with its own weights a student is as far as the two versions differ."""
    start = random_parameters(SMALL, 1)
    task = student([(SMALL, start)])
    noisy = batches.collate([toy_set().example(index) for index in range(4)], 80).features
    silent = np.zeros_like(noisy)
    assert _distance(task, noisy) == pytest.approx(0.0, abs=1e-4)
    assert _distance(task, np.concatenate([noisy, noisy], axis=-1)) == pytest.approx(0.0, abs=1e-4)
    assert _distance(task, np.concatenate([noisy, silent], axis=-1)) > 0.01


def test_several_teachers_are_averaged():
    rng = np.random.default_rng(4)
    chances = rng.dirichlet(np.ones(5), (3, 2, 4)).astype(np.float32)
    found = ops.convert_to_numpy(averaged([ops.log(ops.convert_to_tensor(one)) for one in chances]))
    np.testing.assert_allclose(np.exp(found), chances.mean(axis=0), rtol=1e-5)
    start = random_parameters(SMALL, 1)
    teachers = [(SMALL, start), (SMALL, random_parameters(SMALL, 2))]
    noisy = batches.collate([toy_set().example(index) for index in range(4)], 80).features
    alone, both, other = (_distance(student(chosen), noisy) for chosen in (teachers[:1], teachers, teachers[1:]))
    assert alone == pytest.approx(0.0, abs=1e-4) and 0.0 < both < other
    with pytest.raises(UserError, match=r"several teachers.*context_dropout = 1\.0"):
        student(teachers, replace(FLOAT, context_dropout=0.5))
