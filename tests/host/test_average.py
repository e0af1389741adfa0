"""`stapes average`: the mean of networks that were trained on from one, and what has none."""

from dataclasses import replace

import numpy as np
import pytest
from stapes_tools.cli.main import main
from stapes_tools.convert import checkpoint, forward
from stapes_tools.convert.grid import Grid
from stapes_tools.convert.topology import Block, Topology, random_parameters

TOPOLOGY = Topology(channels=16, blocks=(Block(), Block()), joint=8, units=12)
PRIOR = np.zeros(40, np.int16)


def _relative(parameters, seed, spread=0.02):
    rng = np.random.default_rng(seed)
    return {name: value + spread * rng.standard_normal(value.shape) for name, value in parameters.items()}


@pytest.fixture
def relatives(tmp_path):
    """Two networks trained on from one, as checkpoints; and their parameters."""
    base = random_parameters(TOPOLOGY, 1)
    networks = [_relative(base, seed) for seed in (2, 3)]
    paths = [tmp_path / "one.npz", tmp_path / "other.npz"]
    for path, parameters in zip(paths, networks, strict=True):
        checkpoint.save(path, TOPOLOGY, parameters, PRIOR, Grid())
    return paths, networks, tmp_path


def test_the_mean_of_two_is_a_checkpoint_of_the_same_shape(relatives, capsys):
    paths, (one, other), folder = relatives
    output = folder / "mean.npz"
    assert main(["average", *map(str, paths), "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "mean.npz: the mean of 2; correlation of the weights with the first: 0.9" in printed.replace("\n", " ")
    mean = checkpoint.load(output)
    assert mean.topology == TOPOLOGY and not mean.grid.weight_scales
    for name, value in mean.parameters.items():
        # float16 on disk: once for each of the two, once for the mean.
        np.testing.assert_allclose(value, (one[name] + other[name]) / 2, rtol=2e-3, atol=2e-3)
    features = np.random.default_rng(4).integers(-60, 60, (20, 120)).astype(np.int8)
    heard = forward.encode(TOPOLOGY, mean.parameters, features)
    apart = [forward.encode(TOPOLOGY, checkpoint.load(path).parameters, features) for path in paths]
    assert heard.shape == apart[0].shape and not np.array_equal(heard, apart[0])


def test_three_weigh_the_same(relatives):
    paths, _, folder = relatives
    output = folder / "mean.npz"
    assert main(["average", str(paths[0]), str(paths[0]), str(paths[1]), "-o", str(output)]) == 0
    one, other = (checkpoint.load(path).parameters["joint.bias"] for path in paths)
    found = checkpoint.load(output).parameters["joint.bias"]
    np.testing.assert_allclose(found, (2 * one + other) / 3, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("one", "one.npz: one checkpoint has no mean; give two or more"),
        ("stranger", "other.npz: its weights have nothing to do with those of the first"),
        ("shape", "other.npz: its topology is not that of the first checkpoint"),
        ("prior", "other.npz: its front end's prior is not that of the first"),
        ("grid", "other.npz: its weights are on an integer grid"),
        ("suffix", "mean.tflite: a checkpoint is called .npz; write mean.npz"),
        ("missing", "other.npz: no such checkpoint"),
        ("folder", "cannot be written"),
    ],
)
def test_what_has_no_mean_is_refused_and_nothing_written(change, message, relatives, capsys):
    paths, (_, other), folder = relatives
    output = folder / {"suffix": "mean.tflite", "folder": "none/mean.npz"}.get(change, "mean.npz")
    topology, prior, grid = TOPOLOGY, PRIOR, Grid()
    if change == "stranger":
        other = random_parameters(TOPOLOGY, 9)
    elif change == "shape":
        topology = replace(TOPOLOGY, blocks=(Block(), Block(5, 2)))
    elif change == "prior":
        prior = PRIOR + 1
    elif change == "grid":
        grid = Grid({"front": np.ones(16)}, {})
    checkpoint.save(paths[1], topology, other, prior, grid)
    if change == "missing":
        paths[1].unlink()
    given = paths[:1] if change == "one" else paths
    assert main(["average", *map(str, given), "-o", str(output)]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()
