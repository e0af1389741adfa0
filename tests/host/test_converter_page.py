"""The commands of docs/converter.md run as they stand, in their order, and what it points at exists."""

import re
import shlex
from pathlib import Path

import public_models
import pytest
from stapes_tools.cli.main import main
from stapes_tools.convert import calibration

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "converter.md").read_text()


def test_the_commands_run(tmp_path, monkeypatch, capfd):
    commands = re.findall(r"^    stapes (.+)$", PAGE, re.M)
    assert {command.split()[0] for command in commands} == {"convert", "inspect", "sparsify", "pack", "densify"}
    net, rows = public_models.save(tmp_path, "keyword_net")
    net.rename(tmp_path / "net.keras")
    rows.rename(tmp_path / "inputs.npy")
    (tmp_path / "models").symlink_to(REPO / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration, "MOST_STEPS", 40)
    for command in commands:
        assert main(shlex.split(command)) == 0, command + capfd.readouterr().err
    assert (tmp_path / "dense.tflite").read_bytes() and (tmp_path / "net.png").stat().st_size > 10_000


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)", PAGE))))
def test_links_lead_somewhere(target):
    assert (REPO / "docs" / target).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))))
def test_tests_that_are_named_exist(name):
    assert (REPO / name).exists()
