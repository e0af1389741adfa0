"""The fuzzers for a moment, always the same moment: `make fuzz` runs them for longer."""

import random
import subprocess

import cases
import mutations
import pytest
import seeds
import stapes_reference
import targets
import tflite
from stapes_tools.convert.read import read_model

RUNS = {"model": 4000, "zero_skip": 2500, "graph": 5000, "decoder": 1500, "frontend": 400, "frame": 4000}
PYTHON_RUNS = {
    "model_twins": 250,
    "graph_twins": 1500,
    "model_readers": 200,
    "graph_reader": 1000,
    "lattice_reader": 800,
}
TIMEOUT_S = 600


def fuzz(program, name, folder, runs):
    """Run a fuzz target from its seeds; nothing is kept."""
    corpus = seeds.write_seeds(name, folder)
    command = [program, f"-runs={runs}", "-seed=1", "-max_len=8192", "-print_final_stats=1", corpus]
    return subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
    )


@pytest.mark.parametrize("name", targets.TARGETS)
def test_kernels(name, tmp_path):
    done = fuzz(targets.build_target(name), name, tmp_path / "corpus", RUNS[name])
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"number_of_executed_units: {RUNS[name]}" in done.stderr


def broken(tmp_path, name, old, new):
    """A kernel's file with a check taken out."""
    path = tmp_path / name
    source = (targets.build.FIRMWARE / "kernels" / name).read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("target", "file", "old", "new"),
    [
        (
            "model",
            "st_flatbuffer.c",
            "if (at > fb->bytes || fb->bytes - at < bytes) {",
            "if (at > fb->bytes + bytes) {",
        ),
        (
            "zero_skip",
            "st_zero_skip.c",
            "if (column <= previous || (uint32_t)column >= width) {",
            "if (column <= previous || column >= 256 * (int32_t)width) {",
        ),
        ("graph", "st_graph.c", "st_read_u16(arc + ST_GRAPH_ARC_NEXT_STATE_OFFSET) >= graph->state_count ||", ""),
    ],
)
def test_a_missing_check_is_found(target, file, old, new, tmp_path):
    program = targets.build_target(target, instead=[broken(tmp_path, file, old, new)])
    done = fuzz(program, target, tmp_path / "corpus", 20 * RUNS[target])
    assert done.returncode != 0
    assert "ERROR: AddressSanitizer" in done.stderr or "broken promise" in done.stderr


@pytest.mark.parametrize("name", cases.CASES)
def test_python(name):
    rng = random.Random(1)
    pool = [data for _, data in sorted(seeds.SEEDS[name]().items())]
    for data in pool:
        cases.CASES[name](data)
    for _ in range(PYTHON_RUNS[name]):
        cases.CASES[name](mutations.mutated(rng, rng.choice(pool)))


def test_a_twin_that_differs_is_found(monkeypatch):
    from stapes_reference import tensor

    monkeypatch.setattr(tensor, "MAX_RANK", 3)
    with pytest.raises(AssertionError, match="model_size"):
        for data in seeds.model_seeds().values():
            cases.model_twins(data)


def test_seeds_have_every_operator():
    """A new operator needs a sample: tests/kernels/model_samples*.py, model_strategies*.py, or a golden model."""
    served = set(stapes_reference.ops._PREPARE)
    found, packed = set(), False
    for data in seeds.model_seeds().values():
        found |= {getattr(tflite.BuiltinOperator, kind) for kind in seeds.operators(data).split("-")}
        packed |= any(operator.packed for part in read_model(data).subgraphs for operator in part.operators)
    assert found >= served
    assert packed
