"""Speech changed anew in every batch."""

import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from stapes_tools.convert.topology import random_parameters
from stapes_tools.errors import UserError
from stapes_tools.train import batches
from stapes_tools.train.compress import CompactTask
from stapes_tools.train.distort import coloration, distort, smeared, warped
from stapes_tools.train.loop import Trainer
from stapes_tools.train.recipe import Compression
from toy_speech import toy_set
from toy_teachers import SMALL


@pytest.fixture(scope="module")
def batch():
    return batches.collate([toy_set().example(index) for index in range(8)], 80)


def test_a_warp_moves_bands_and_one_of_1_nothing():
    frames = np.tile(np.arange(40, dtype=np.float32), (3, 1))
    np.testing.assert_array_equal(warped(frames, 1.0), frames)
    np.testing.assert_allclose(warped(frames, 1.5)[0, :20], 1.5 * np.arange(20), atol=1e-4)
    np.testing.assert_allclose(warped(frames, 1.5)[0, 27:], 39.0)
    np.testing.assert_allclose(warped(frames, 0.5)[0], 0.5 * np.arange(40), atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_smear_is_a_gaussian_along_its_axis_only(axis):
    frames = np.zeros((21, 40), np.float32)
    frames[10, 20] = 1.0
    found = smeared(frames, 1.0, axis)
    other = found.sum(axis=axis)
    assert found.sum() == pytest.approx(1.0) and np.count_nonzero(other) == 1
    line = found[:, 20] if axis == 0 else found[10]
    middle = int(np.argmax(line))
    assert line[middle + 1] / line[middle] == pytest.approx(np.exp(-0.5))
    np.testing.assert_array_equal(smeared(frames, 0.0, axis), frames)
    np.testing.assert_allclose(smeared(np.full((5, 40), 7.0, np.float32), 1.5, axis), 7.0, rtol=1e-6)


def test_a_colour_is_smooth_and_as_strong_as_it_is_asked_for():
    rng = np.random.default_rng(1)
    curves = np.array([coloration(rng, 6.0) for _ in range(400)])
    assert np.abs(np.diff(curves)).max() < 4.0
    # Half a cosine's mean square is a half, the other one's an eighth.
    assert curves.std() == pytest.approx(6.0 * (0.5 + 0.125) ** 0.5, rel=0.1)


def test_what_was_there_stays_beside_and_padding_is_left_alone(batch):
    after = distort(batch, np.random.default_rng(3), 1.0)
    assert after.features.shape == (8, 80, 240) and after.features.dtype == np.int8
    np.testing.assert_array_equal(after.features[..., 120:], batch.features)
    changed = after.features[..., :120] != batch.features
    assert not changed[:, 60:].any()
    # Each of four changes comes to half of the utterances: few stay as they are, and no two are changed alike.
    assert 6 <= np.count_nonzero(changed.any(axis=(1, 2))) <= 8
    again = distort(batch, np.random.default_rng(3), 1.0)
    np.testing.assert_array_equal(again.features, after.features)
    mild = distort(batch, np.random.default_rng(3), 0.3).features[..., :120].astype(int)
    distance = [
        np.abs(one - batch.features.astype(int)).mean() for one in (mild, after.features[..., :120].astype(int))
    ]
    assert 0 < distance[0] < distance[1]


def test_a_clean_version_that_stands_there_stays(batch):
    clean = np.full_like(batch.features, 5)
    wide = replace(batch, features=np.concatenate([batch.features, clean], axis=-1))
    after = distort(wide, np.random.default_rng(3), 1.0)
    np.testing.assert_array_equal(after.features[..., 120:], clean)
    assert np.any(after.features[..., :120] != batch.features)


def test_teachers_may_hear_it_changed_too(batch):
    apart = distort(batch, np.random.default_rng(3), 1.0)
    alike = distort(batch, np.random.default_rng(3), 1.0, beside=False)
    np.testing.assert_array_equal(alike.features, apart.features[..., :120])


def test_training_hears_it_changed_and_its_teacher_as_it_was(tmp_path, monkeypatch):
    """The stage runs with it, and what the teacher is given is never changed."""
    settings = Compression(
        minutes=0, batches=12, steps_per_batch=960, learning_rate=1e-3, distortion=1.0, masking_share=2.0, zeros=0.5,
        weight_bits=4, teacher_weight=1.0, context_dropout=1.0, checkpoint_minutes=1.0,
    )  # fmt: skip
    start, toy = random_parameters(SMALL, 1), toy_set()
    seen = []
    real = Trainer._one
    monkeypatch.setattr(Trainer, "_one", lambda self, batch: seen.append(batch.features) or real(self, batch))
    task = CompactTask(SMALL, start, settings, [toy.example(0)[0]], [(SMALL, start)])
    rows = []
    Trainer(task, settings, [toy], tmp_path, seed=1, log=rows.append).run(lambda _: {})
    assert np.isfinite(rows[-1]["rnnt"]) and rows[-1]["teacher"] > 0
    known = {toy.example(index)[0].tobytes() for index in range(len(toy.labels))}
    for features in seen:
        assert {row[:60, 120:].tobytes() for row in features} <= known
        assert not {row[:60, :120].tobytes() for row in features} <= known


def test_a_strength_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"distortion is -1"):
        Compression(minutes=1, learning_rate=1e-3, distortion=-1)
