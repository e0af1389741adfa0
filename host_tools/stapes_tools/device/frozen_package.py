"""The board package as an image freezes it: what the specification names stands there as a number.

A name of stapes_spec is looked up each time that it is used, in a table of 500 that MicroPython fills to the last
places: up to 14,000 cycles of an RP2040 for one constant.
"""

import io
import runpy
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_MODULE = "spec"  # as the package imports stapes_spec


def constants_of(module: Path) -> dict[str, Any]:
    """The module's integers and texts, by name."""
    names = runpy.run_path(str(module))
    return {name: value for name, value in names.items() if name.isupper() and type(value) in (int, str)}


def inlined(source: str, constants: Mapping[str, Any]) -> str:
    """Return a module's source with each spec.NAME of a constant replaced by what it is; lines stay where they are.

    Args:
        source: which has `import stapes_spec as spec`.
        constants: from constants_of; other names are left alone.
    """
    lines = source.splitlines(keepends=True)
    for row, begin, end, value in reversed(list(_uses(source, constants))):
        line = lines[row]
        lines[row] = f"{line[:begin]}{f'({value})' if type(value) is int and value < 0 else repr(value)}{line[end:]}"
    return "".join(lines)


def _uses(source: str, constants: Mapping[str, Any]) -> Iterator[tuple[int, int, int, Any]]:
    """(line, from 0, first column, column behind, value) of each spec.NAME."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for before, module, dot, name in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if (module.string, dot.string) == (_MODULE, ".") and before.string != "." and name.string in constants:
            assert module.start[0] == name.end[0], "a name of the specification goes over the end of a line"
            yield module.start[0] - 1, module.start[1], name.end[1], constants[name.string]


def write_package(package: Path, spec: Path, folder: Path) -> None:
    """Write the package, inlined, to folder/NAME; what has not changed is not written, what is no more is removed.

    Args:
        package: the folder firmware/stapes.
        spec: stapes_spec.py.
        folder: where the package's own folder goes.
    """
    constants = constants_of(spec)
    wanted = {path.relative_to(package.parent): path for path in package.rglob("*.py")}
    for name, path in wanted.items():
        target, text = folder / name, inlined(path.read_text(), constants)
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    for path in (folder / package.name).rglob("*.py"):
        if path.relative_to(folder) not in wanted:
            path.unlink()
