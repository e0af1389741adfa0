"""Whole models give the same integers in LiteRT, in TensorFlow Lite Micro and in our interpreters."""

from pathlib import Path

import numpy as np
import pytest
from oracle_runners import assert_equal_runs, random_steps, run_litert, run_tflm
from stapes_tools.convert.topology import Block
from stapes_tools.convert.write import random_model

ROOT = Path(__file__).parents[2]
PARTS = ("encoder", "predictor", "joint")
STEPS = 200

RANDOM = {
    "small": {},
    "context2": {"context_size": 2},
    "dilated": {"blocks": (Block(3, 2), Block(2, 5), Block(4, 1))},
    "signed": {"depthwise_relu": True, "pointwise_relu": False},
    "sum_relu": {"pointwise_relu": False, "sum_relu": True},
    "odd": {"channels": 7, "joint": 5, "units": 3, "front_width": 2, "blocks": (Block(2),)},
}
SHIPPED = sorted((ROOT / "models").glob("**/*.tflite"))


def _models():
    cases = [
        pytest.param(lambda changes=changes: random_model(7, **changes), id=name) for name, changes in RANDOM.items()
    ]
    return cases + [pytest.param(path.read_bytes, id=path.stem) for path in SHIPPED]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("load", _models())
def test_oracles_agree(load, part):
    data = load()
    steps = random_steps(data, part, STEPS, seed=11)
    expected = run_litert(data, part, steps)
    assert_equal_runs(expected, run_tflm(data, part, steps), "TensorFlow Lite Micro")
    first = np.concatenate([outputs[0].ravel() for outputs in expected])
    assert len(np.unique(first)) > 2, "the outputs do not vary: this proves nothing"
