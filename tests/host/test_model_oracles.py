"""Whole models give the same integers in LiteRT, in TensorFlow Lite Micro and in our interpreters."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import stapes_reference
from oracle_runners import assert_equal_runs, random_steps, run_kernels, run_litert, run_tflm
from stapes_tools import kernels
from stapes_tools.convert.metadata import decode_metadata
from stapes_tools.convert.pack import densify
from stapes_tools.convert.topology import Block
from stapes_tools.convert.write import random_model
from stapes_tools.kernels.features import features

ROOT = Path(__file__).parents[2]
PARTS = ("encoder", "predictor", "joint")
STEPS = 200
# The twin is slow: fewer steps, and one alone for a model of full size.
TWIN_STEPS = 12
TWIN_FILE_BYTES = 100_000

RANDOM = {
    "small": {},
    "context2": {"context_size": 2},
    "dilated": {"blocks": (Block(3, 2), Block(2, 5), Block(4, 1))},
    "signed": {"depthwise_relu": True, "pointwise_relu": False},
    "sum_relu": {"pointwise_relu": False, "sum_relu": True},
    "odd": {"channels": 7, "joint": 5, "units": 3, "front_width": 2, "blocks": (Block(2),)},
    "int4": {"bits": 4},
    "no_bias_scales": {"bits": 4, "bias_scales": False},
    "int4_odd": {"bits": 4, "channels": 7, "joint": 5, "units": 3, "front_width": 2, "blocks": (Block(2),)},
}
SHIPPED = sorted((ROOT / "models").glob("**/*.tflite"))
SAMPLES = sorted((ROOT / "models" / "samples").glob("*.flac"))


def _dense(path):
    """With stock operators, however the file stores its weights."""
    return lambda: densify(path.read_bytes())[0]


def _random(changes):
    return lambda: random_model(7, **changes)


MODELS = [pytest.param(_random(changes), id=name) for name, changes in RANDOM.items()]
MODELS += [pytest.param(_dense(path), id=path.parent.name) for path in SHIPPED]


def _agree(data, part, steps):
    expected = run_litert(data, part, steps)
    assert_equal_runs(expected, run_tflm(data, part, steps), "TensorFlow Lite Micro")
    assert_equal_runs(expected, run_kernels(kernels, data, part, steps), "the C kernels")
    return expected


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("load", MODELS)
def test_interpreters_agree_on_random_input(load, part):
    data = load()
    expected = _agree(data, part, random_steps(data, part, STEPS, seed=11))
    first = np.concatenate([outputs[0].ravel() for outputs in expected])
    assert len(np.unique(first)) > 2, "the outputs do not vary: this proves nothing"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("load", MODELS)
def test_twin_agrees_with_the_kernels(load, part):
    data = load()
    steps = random_steps(data, part, TWIN_STEPS if len(data) < TWIN_FILE_BYTES else 1, seed=12)
    assert_equal_runs(
        run_kernels(kernels, data, part, steps), run_kernels(stapes_reference, data, part, steps), "the Python twin"
    )


def _sweep():
    """Two seconds of a rising tone in noise, int16, the last tenth at full scale."""
    rng = np.random.default_rng(0)
    time = np.arange(32_000) / 16_000
    wave = 9_000 * np.sin(2 * np.pi * (200 + 1_500 * time) * time) + rng.normal(0, 300, time.size)
    wave[28_800:] *= 10
    return np.clip(wave, -32_768, 32_767).astype(np.int16)


def _recording(path):
    return _sweep() if path is None else soundfile.read(path, dtype="int16")[0]


@pytest.mark.parametrize("path", [None, *SAMPLES], ids=lambda path: "sweep" if path is None else path.stem)
@pytest.mark.parametrize("load", MODELS)
def test_interpreters_agree_on_recordings(load, path):
    data = load()
    prior = np.array(decode_metadata(data).prior, np.int16)
    steps = [[row.reshape(1, 1, 1, -1)] for row in features(_recording(path), prior)[:STEPS]]
    assert len(steps) > 20
    _agree(data, "encoder", steps)
