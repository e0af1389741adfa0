"""A deeper network begins as the shallower one."""

from dataclasses import replace

import numpy as np
import pytest
from stapes_tools.convert import forward
from stapes_tools.convert.topology import Block, Branching, Topology, check_parameters, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.errors import UserError
from stapes_tools.train.deepen import deepened

SHALLOW = Topology(16, (Block(5), Block(3), Block(5, 2)), 8, 40)


def test_it_begins_as_the_shallower_one():
    start = random_parameters(SHALLOW, 1)
    topology, parameters = deepened(SHALLOW, start, [0, 2], 4, seed=3)
    check_parameters(topology, parameters)
    assert topology.blocks == (Block(5), Block(5, 4), Block(3), Block(5, 2), Block(5, 4))
    assert replace(topology, blocks=SHALLOW.blocks) == SHALLOW
    for new, old in ((0, 0), (2, 1), (3, 2)):
        np.testing.assert_array_equal(parameters[f"block{new}.pointwise.weight"], start[f"block{old}.pointwise.weight"])
    rows = random_calibration(1, 4, 60)[0]
    deep, shallow = forward.encode(topology, parameters, rows), forward.encode(SHALLOW, start, rows)
    assert 0 < np.abs(deep - shallow).max() < 0.05 * shallow.std()


def test_its_new_blocks_can_learn():
    """Their rectifiers are open for some of what they hear."""
    topology, parameters = deepened(SHALLOW, random_parameters(SHALLOW, 1), [1], 4, seed=3)
    assert topology.blocks[2] == Block(5, 4)
    rng = np.random.default_rng(0)
    heard = (
        rng.standard_normal((200, 16)) @ parameters["block2.pointwise.weight"].T + parameters["block2.pointwise.bias"]
    )
    assert 0.3 < np.mean(heard > 0) < 0.9


def test_another_seed_gives_other_weights():
    start = random_parameters(SHALLOW, 1)
    first, again, other = (deepened(SHALLOW, start, [1], 1, seed)[1] for seed in (1, 1, 2))
    name = "block2.depthwise.weight"
    np.testing.assert_array_equal(first[name], again[name])
    assert np.any(first[name] != other[name])


@pytest.mark.parametrize(
    ("topology", "after", "message"),
    [
        (SHALLOW, [0, 3], "names block 3.*from 0 to 2"),
        (SHALLOW, [-1], "names block -1"),
        (replace(SHALLOW, branching=Branching((), 4, 3)), [0], "branches is not made deeper"),
    ],
)
def test_what_cannot_be_deepened_is_refused(topology, after, message):
    with pytest.raises(UserError, match=message):
        deepened(topology, random_parameters(topology, 1), after, 1, 1)
