"""Every implementation on this computer replays the golden vectors."""

import importlib.util
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VECTORS = HERE / "vectors"


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run_golden():
    return load("run_golden")


def test_vectors_are_fresh():
    stale = load("make_golden").stale_files()
    assert not stale, f"run python tests/golden/make_golden.py: {[path.name for path in stale]}"


def test_host_kernels(run_golden, capsys):
    from stapes_tools import kernels

    kernels.install()
    assert run_golden.main(str(VECTORS)) == 0
    assert f"OK {len(list(VECTORS.iterdir()))} vectors (stapes_kernels)" in capsys.readouterr().out


@pytest.mark.unix
def test_reference_on_micropython():
    interpreter = Path(sys.executable).with_name("micropython")
    search = [ROOT / "firmware/reference", ROOT / "firmware/spec/generated"]
    environment = {**os.environ, "MICROPYPATH": ":".join(map(str, search))}
    command = [interpreter, HERE / "run_golden.py", VECTORS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"OK {len(list(VECTORS.iterdir()))} vectors (stapes_reference)" in done.stdout


def damaged(content, position):
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def test_differences_are_found(run_golden, tmp_path, capsys):
    """A wrong byte in a buffer, a wrong result, a strange file and an empty folder all fail."""
    good = (VECTORS / "frontend_noise.trace").read_bytes()
    trace = tmp_path / "one.trace"
    assert run_golden.main(str(tmp_path)) == 1
    assert "no vectors" in capsys.readouterr().out
    result = good.index(b"frontend_init") + len("frontend_init") + 1 + 2 * 10
    assert good[result : result + 4] == struct.pack("<i", 0)
    cases = [
        (damaged(good, len(good) - 1), r"one.trace, record \d+: buffer \d+, byte 239: expected"),
        (damaged(good, result), "frontend_init: expected 1, returned 0"),
        (damaged(good, 0), "not a trace of version 1"),
        (good[:-1], "cut short"),
    ]
    for content, message in cases:
        trace.write_bytes(content)
        assert run_golden.main(str(tmp_path)) == 1
        assert re.search(message, capsys.readouterr().out)
    trace.write_bytes(good)
    assert run_golden.main(str(tmp_path)) == 0


def test_directory_comes_from_a_global_on_boards():
    code = f"GOLDEN_DIRECTORY = {str(VECTORS)!r}; exec(open({str(HERE / 'run_golden.py')!r}).read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and "OK" in done.stdout, done.stdout + done.stderr
