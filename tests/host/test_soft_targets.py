"""What teachers say once, before a stage, is what they would say of every batch."""

import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from keras import ops
from stapes_tools.convert.topology import random_parameters
from stapes_tools.errors import UserError
from stapes_tools.train import batches, soft_targets
from stapes_tools.train.compact import CompactTransducer
from stapes_tools.train.soft_targets import said_in, taught
from toy_speech import toy_set
from toy_teachers import FLOAT, SMALL, distance, student, toy_pairs

ONCE = replace(FLOAT, teach_once=True)
TEACHERS = [(SMALL, random_parameters(SMALL, seed)) for seed in (2, 3)]


def _distance(task, copy):
    return distance(task, batches.collate([copy.beside(index) for index in range(6)], 80))


def test_every_log_probability_comes_back():
    scores = np.array([[0, -1, -255, -256, -257, -1024, -32767, -32768]], np.int16)
    rows = np.concatenate([np.zeros((1, 120), np.int8), scores.view(np.int8)], axis=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(said_in(rows[None]))[0, 0] * 1024, scores[0])


@pytest.mark.parametrize("copy", [toy_set(), toy_pairs()], ids=["as heard", "clean beside"])
def test_the_distance_is_that_of_teachers_who_hear_every_batch(copy):
    now, once = student(TEACHERS), student(TEACHERS, ONCE)
    (said,) = taught([copy], once.teachers)
    assert said.beside(0)[0].shape[1] == 120 + 2 * 40
    expected = _distance(now, copy)
    assert expected > 0.01
    assert _distance(once, said) == pytest.approx(expected, rel=2e-3)


def test_versions_of_one_clean_version_are_heard_once(monkeypatch):
    listened = []
    listen = soft_targets._listen
    monkeypatch.setattr(soft_targets, "_listen", lambda *given: (listened.append(given), listen(*given)))
    first = toy_pairs()
    second = replace(first, features=np.roll(first.features, 1, axis=1))
    copies = taught([first, second, toy_pairs()], student(TEACHERS, ONCE).teachers)
    assert len(listened) == 2
    assert copies[0].said is copies[1].said
    np.testing.assert_array_equal(copies[1].beside(3)[0][:, :120], second.example(3)[0])


def test_what_was_said_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))
    toy = toy_set()
    file = tmp_path / "features.i8"
    toy.features.tofile(file)
    on_disk = replace(toy, features=np.memmap(file, np.int8, "r").reshape(-1, 120))
    teachers = student(TEACHERS, ONCE).teachers
    made = taught([on_disk], teachers)[0].said
    monkeypatch.setattr(soft_targets, "_listen", lambda *given: pytest.fail("heard again"))
    np.testing.assert_array_equal(taught([on_disk], teachers)[0].said, made)
    monkeypatch.setattr(soft_targets, "_listen", lambda *given: None)
    others = [CompactTransducer(SMALL, random_parameters(SMALL, 9), trainable=False)]
    assert not taught([on_disk], others)[0].said.any(), "other teachers, another file"


@pytest.mark.parametrize("wrong", [{"teacher_weight": 0.0}, {"context_dropout": 0.5}])
def test_nothing_can_be_said_once_without_a_teacher_or_with_context(wrong):
    with pytest.raises(UserError, match=r"teach_once.*context_dropout = 1\.0"):
        replace(ONCE, **wrong)
