"""The emulator compiled here is the emulator as it was installed, cycle by cycle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stapes_tools.device import emulator_core
from stapes_tools.device.errors import BuildError

PROGRAM = Path(__file__).with_name("core_state.py")


def states(uf2, core):
    """What core_state.py prints with a core; the module of the inner loop; the file that the core came from."""
    environment = os.environ | {emulator_core.CHOICE: core}
    done = subprocess.run([sys.executable, PROGRAM, uf2], env=environment, capture_output=True, text=True, check=True)
    loop, file = done.stderr.splitlines()[-2:]
    return done.stdout.splitlines()[:10], loop, Path(file)


@pytest.mark.emulator
def test_both_cores_boot_alike(image):
    folder = emulator_core.compiled_core()  # a BuildError says what is missing: `make test` installs it
    compiled, loop, ours = states(image.uf2, "")
    installed, loop_of_wheel, theirs = states(image.uf2, "wheel")
    assert loop == "stapes_tools.device.emulator_loop" != loop_of_wheel
    assert ours.parent == folder and theirs.parent != ours.parent
    assert len(compiled) == 10 and len({line.split()[-1] for line in compiled}) > 5, "it does not run"
    assert compiled == installed


def test_a_compiler_that_is_missing_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BuildError, match="no C compiler \\(no-such-compiler\\)"):
        emulator_core.compiled_core()
    assert emulator_core.ready_core() is None
    assert "which is slow: no C compiler" in capsys.readouterr().err
    assert not list(tmp_path.glob("emulator-core-*")), "nothing is left behind that looks whole"


def test_the_installed_core_can_be_asked_for(monkeypatch):
    monkeypatch.setenv(emulator_core.CHOICE, "wheel")
    assert emulator_core.compiled_core() is None
