"""Write the golden vectors, by the reference: tests/golden/vectors/NAME.trace.

Each file record_*.py beside this script contributes its TRACES: {name: function(Recorder)}.

Usage: python tests/golden/make_golden.py [--check]

With --check nothing is written; the exit code is 1 when a file is stale.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
MOST_BYTES = 9 << 15  # of all vectors together: they must fit beside the model, in 0.28 of the ROMFS


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs():
    """Return {path: bytes} of every trace."""
    import stapes_reference

    trace = _load(HERE / "trace.py")
    files = {}
    for path in sorted(HERE.glob("record_*.py")):
        for name, record in _load(path).TRACES.items():
            recorder = trace.Recorder(stapes_reference)
            record(recorder)
            files[VECTORS / f"{name}.trace"] = recorder.encoded()
    total = sum(map(len, files.values()))
    if total > MOST_BYTES:
        raise ValueError(f"the golden vectors take {total} bytes, more than {MOST_BYTES}")
    return files


def stale_files():
    """Return the paths of traces that are missing, differ, or are no longer made."""
    files = outputs()
    stale = [path for path, content in files.items() if not path.exists() or path.read_bytes() != content]
    return stale + [path for path in VECTORS.glob("*.trace") if path not in files]


def main(arguments):
    """Write the traces, or with --check say which are stale."""
    if "--check" in arguments:
        stale = stale_files()
        for path in stale:
            print(f"{path.name} is stale: run python tests/golden/make_golden.py", file=sys.stderr)
        return 1 if stale else 0
    VECTORS.mkdir(exist_ok=True)
    for path in VECTORS.glob("*.trace"):
        path.unlink()
    for path, content in outputs().items():
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
