"""The generated constants equal what spec.toml says, and the generator refuses misaligned layouts."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "firmware/spec/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_fresh(generator):
    for path, text in generator.outputs().items():
        assert path.read_text() == text, f"{path.name} is stale: run python firmware/spec/generate.py"


def test_header_and_module_agree(generator):
    module_path, header_path = sorted(generator.outputs(), key=lambda p: p.suffix, reverse=True)
    python = dict(re.findall(r"^(\w+) = const\((-?\d+)\)$", module_path.read_text(), re.M))
    header = dict(re.findall(r"^#define ST_(\w+) \((-?\d+)\)$", header_path.read_text(), re.M))
    assert python == header
    assert len(python) > 100


def test_misaligned_field_is_refused(generator):
    with pytest.raises(ValueError, match=r"layout\.bad\.second is not aligned"):
        generator.layout_offsets("bad", {"first": "u8", "second": "u32"})


def test_error_codes_are_unique_and_explained(generator):
    import stapes_spec

    codes = [getattr(stapes_spec, name) for name in dir(stapes_spec) if name.startswith("ERROR_")]
    assert len(codes) == len(set(codes)) == len(stapes_spec.ERRORS)
    for name, fault, text, advice in stapes_spec.ERRORS.values():
        assert fault in ("user", "board")
        assert text and advice and "\n" not in text + advice, name
