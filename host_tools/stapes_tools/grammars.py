"""Grammar files on their way to a board: compiled when they are YAML, cached by content."""

import sys
from pathlib import Path

from .device.cache import cached, content_hash
from .errors import UserError
from .grammar import compile_graph, read_grammar

_COMPILED = "grammar.stg"


def compiled(path: Path, warn: bool = True) -> Path:
    """Return the compiled form (.stg) of a grammar file; a .stg file is returned as it is.

    Args:
        path: .stg, or .yaml/.yml.
        warn: print what is legal but probably not meant on standard error, when it is compiled.
    Raises:
        UserError: the file is missing or cannot be compiled.
    """
    if path.suffix not in (".stg", ".yaml", ".yml"):
        raise UserError("not a grammar", path, "give a grammar file (.yaml) or a compiled one (.stg)")
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "there is no such file"
        raise UserError(what, path, "check the path")
    if path.suffix == ".stg":
        return path
    try:
        key = content_hash([path, *Path(__file__).parent.glob("grammar/*.py")])
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "check its permissions") from None
    return cached("grammar", key, lambda folder: _compile(path, folder / _COMPILED, warn)) / _COMPILED


def _compile(path: Path, target: Path, warn: bool) -> None:
    done = compile_graph(read_grammar(path))
    target.write_bytes(done.graph.to_bytes())
    for line in done.warnings if warn else ():
        print(f"stapes: warning: {line}", file=sys.stderr)
