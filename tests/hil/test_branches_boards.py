"""A model with branches on the boards: they take the host's branches, and the outputs are the host's."""

import io
from itertools import pairwise
from pathlib import Path

import branch_steps
import numpy as np
import pytest
from branch_steps import EACH, EFFORTS, SAMPLES
from stapes_tools import kernels
from stapes_tools.convert.topology import Block, Branching
from stapes_tools.convert.write import random_model
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.romfs import firmware_with_romfs

STEPS = EACH * len(EFFORTS)
HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
PROGRAM = "import branch_steps\nwith open({audio!r}, 'rb') as f: print(branch_steps.run(k, {model!r}, f))\n"


@pytest.fixture(scope="module")
def model():
    """Random weights, and 24 channels."""
    return random_model(5, units=9, joint=8, blocks=(Block(3), Block(5)), branching=Branching((1,), 4, 3))


@pytest.fixture(scope="module")
def audio():
    """Noise that comes and goes."""
    rng = np.random.default_rng(3)
    loudness = np.repeat(rng.choice([20.0, 900.0, 9000.0], STEPS + 2), SAMPLES)
    return np.clip(rng.normal(0, 1, loudness.size) * loudness, -32768, 32767).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def expected(model, audio):
    """What the host says."""
    line = branch_steps.run(kernels, bytearray(model), io.BytesIO(audio))
    branches = line.split()[0]
    assert sum(a != b for a, b in pairwise(branches)) > 8, f"{branches} hardly alternates: this proves nothing"
    assert branches[3 * EACH : 5 * EACH] == EACH * "1" + EACH * "0"
    return line


@pytest.mark.unix
def test_the_unix_port_takes_the_hosts_branches(run_unix, model, audio, expected, tmp_path):
    files = {"model": tmp_path / "model.tflite", "audio": tmp_path / "audio"}
    files["model"].write_bytes(model)
    files["audio"].write_bytes(audio)
    paths = [str(path) for path in (HERE, FIRMWARE, FIRMWARE / "spec" / "generated")]
    names = {name: str(path) for name, path in files.items()}
    assert run_unix(f"import sys\nsys.path.extend({paths!r})\n" + PROGRAM.format(**names)) == expected


@pytest.mark.emulator
@pytest.mark.xdist_group("emulator")
def test_the_emulated_board_takes_the_hosts_branches(image, model, audio, expected, tmp_path):
    files = {"model.tflite": model, "audio": audio, "branch_steps.py": (HERE / "branch_steps.py").read_bytes()}
    program = "import stapes_kernels as k\n" + PROGRAM.format(model="/rom/model.tflite", audio="/rom/audio")
    with EmulatedBoard(firmware_with_romfs(image.uf2, files, tmp_path / "flash.uf2")) as board:
        assert board.prompt().run(program, 300).strip() == expected
