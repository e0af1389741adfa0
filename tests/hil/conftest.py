"""Boards and images for the tests of this folder, built once and shared."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stapes_tools.device.firmware import build_firmware
from stapes_tools.device.natmod import host_arch, install_natmod

_GOLDEN = Path(__file__).parents[1] / "golden"
_MICROPYTHON = Path(sys.executable).with_name("micropython")


@pytest.fixture(scope="session")
def image():
    """The firmware image of the RP2040."""
    return build_firmware("rp2040_pico")


@pytest.fixture(scope="session")
def golden_files():
    """Name on the board to contents: the golden vectors and the script that replays them."""
    files = {path.name: path.read_bytes() for path in sorted((_GOLDEN / "vectors").glob("*.trace"))}
    assert len(files) > 5
    return {"run_golden.py": (_GOLDEN / "run_golden.py").read_bytes(), **files}


@pytest.fixture(scope="session")
def golden_folder():
    """Where the golden vectors and their script lie on this computer."""
    return _GOLDEN


@pytest.fixture(scope="session")
def run_unix(tmp_path_factory):
    """A function that runs a program on the unix port with the native module as k, and returns its output."""
    assert host_arch() == "x64"
    folder = install_natmod("x64", tmp_path_factory.mktemp("unix")).parent
    environment = {**os.environ, "MICROPYPATH": f"{folder}:.frozen"}

    def run(program):
        command = [_MICROPYTHON, "-c", "import stapes_kernels as k\n" + program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
