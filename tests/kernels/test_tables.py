"""The generated tables equal what tables.py says."""

import importlib.util
import math
from pathlib import Path

import pytest
from stapes_reference import tables as twin

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "firmware/kernels/tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_fresh(generator):
    for path, text in generator.outputs().items():
        assert path.read_text() == text, f"{path.name} is stale: run python firmware/kernels/tables.py"


def test_no_value_lies_so_near_a_tie_that_another_libm_rounds_it_otherwise(generator):
    length = 400
    exact = [32767 * (0.5 - 0.5 * math.cos(2 * math.pi * (i + 0.5) / length)) for i in range(length // 2)]
    exact += [16384 * math.sin(2 * math.pi * i / 512) for i in range(512) if i % 64]
    exact += [32768 * math.log2(1 + i / 32) for i in range(1, 32)]
    assert min(abs(abs(value) % 1 - 0.5) for value in exact) > 1e-6


def test_twin_holds_the_same_values(generator):
    for name, _, _, values in generator.tables():
        if name in generator.SHORTCUTS:
            assert not hasattr(twin, name.upper())
        else:
            assert list(getattr(twin, name.upper())) == values
