"""The board package as an image freezes it: numbers for the specification's names, and nothing else changed."""

import ast
from pathlib import Path

import pytest
import stapes_spec as spec
from stapes_tools.device.cache import REPO
from stapes_tools.device.frozen_package import constants_of, inlined, write_package

PACKAGE = REPO / "firmware" / "stapes"
SPEC = Path(spec.__file__)
CONSTANTS = {"STEP": 480, "LOW": -3, "MAGIC": "STG1"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = spec.STEP\n", "x = 480\n"),
        ("f(spec.STEP, -spec.LOW, spec.MAGIC.encode())\n", "f(480, -(-3), 'STG1'.encode())\n"),
        ("spec.ERRORS[spec.STEP]  # of spec.STEP\n", "spec.ERRORS[480]  # of spec.STEP\n"),
        ('"""spec.STEP"""\nself.spec.STEP, aspec.STEP\n', '"""spec.STEP"""\nself.spec.STEP, aspec.STEP\n'),
        ("x = (\n    spec.STEP\n    + y\n)\n", "x = (\n    480\n    + y\n)\n"),
    ],
)
def test_names_become_numbers(source, expected):
    assert inlined(source, CONSTANTS) == expected


class _Inline(ast.NodeTransformer):
    """The same on the syntax tree."""

    def visit_Attribute(self, node):
        self.generic_visit(node)
        is_spec = isinstance(node.value, ast.Name) and node.value.id == "spec"
        value = getattr(spec, node.attr) if is_spec else None
        return ast.parse(repr(value), mode="eval").body if type(value) in (int, str) else node


def test_every_module_of_the_package_means_the_same():
    constants = constants_of(SPEC)
    assert constants["FRONTEND_STEP_SAMPLES"] == spec.FRONTEND_STEP_SAMPLES and "ERRORS" not in constants
    changed = 0
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        found = inlined(source, constants)
        assert ast.unparse(ast.parse(found)) == ast.unparse(_Inline().visit(ast.parse(source))), path.name
        assert found.count("\n") == source.count("\n")
        changed += found != source
    assert changed > 20


def test_what_is_left_of_an_earlier_build_goes(tmp_path):
    write_package(PACKAGE, SPEC, tmp_path)
    old = tmp_path / "stapes" / "link" / "gone.py"
    old.write_text("")
    same = tmp_path / "stapes" / "errors.py"
    before = same.stat().st_mtime_ns
    write_package(PACKAGE, SPEC, tmp_path)
    assert not old.exists() and same.stat().st_mtime_ns == before
    written = {path.relative_to(tmp_path / "stapes") for path in tmp_path.rglob("*.py")}
    assert written == {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
