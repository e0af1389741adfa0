"""Noises and rooms from random numbers."""

import numpy as np
import pytest
from stapes_tools.corpora.synthetic_places import SAMPLE_RATE, make_noises, make_rooms


def test_noises_repeat_with_their_seed_and_have_unit_level():
    noises, again = make_noises(8, 3), make_noises(8, 3)
    for noise, same in zip(noises, again, strict=True):
        np.testing.assert_array_equal(noise, same)
        assert noise.dtype == np.float32 and noise.shape == (10 * SAMPLE_RATE,)
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, abs=1e-3)
    assert not np.array_equal(noises[0], make_noises(1, 4)[0])


def test_rooms_start_with_the_direct_sound_and_decay():
    for room in make_rooms(12, 5):
        assert np.sum(room**2) == pytest.approx(1.0, abs=1e-3)
        assert int(np.abs(room).argmax()) == 0
        first, last = np.split(room[1 : 1 + (room.size - 1) // 2 * 2] ** 2, 2)
        assert last.sum() < 0.1 * first.sum()
