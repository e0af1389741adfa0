"""The figures of `stapes bench board`, computed from counts; the counts themselves come from the emulator."""

from pathlib import Path

import pytest
from stapes_tools.bench.board import FLASH_BYTES_PER_S, BoardCost, flash_bytes_per_step
from stapes_tools.cli.bench import figures_of
from stapes_tools.cli.main import main
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.write import random_model

COST = BoardCost(
    audio_ms=3000, steps=100, cycles=375_000_000, state_bytes=80_000, flash_bytes_per_step=93_000.0,
    joint_evaluations=250, boot_ms=15.04,
)  # fmt: skip


def test_real_time_factor_counts_cycles_and_flash():
    assert FLASH_BYTES_PER_S == 31_000_000
    # 3.75 M cycles at 125 MHz are 30 ms of a 30 ms step; 93 KB at 31 MB/s are 3 ms more.
    assert COST.real_time_factor(125_000_000) == pytest.approx(1.1, rel=1e-12)
    assert COST.real_time_factor(250_000_000) == pytest.approx(0.6, rel=1e-12)


def test_flash_traffic_counts_the_joint_as_often_as_it_ran():
    model = random_model(1)
    rows = describe(model)
    encoder, joint = totals(rows, "encoder").constant_bytes, totals(rows, "joint").constant_bytes
    assert encoder > 1000 and joint > 500
    assert flash_bytes_per_step(model, steps=10, joint_evaluations=0) == encoder
    assert flash_bytes_per_step(model, steps=10, joint_evaluations=25) == encoder + 2.5 * joint


def test_figures_are_named_with_their_units():
    figures = figures_of(COST)
    assert figures["cycles_per_step"] == 3_750_000
    assert figures["cycles_per_audio_second"] == 125_000_000
    assert figures["joint_evaluations_per_step"] == 2.5
    assert figures["real_time_factor_125_mhz"] == 1.1
    assert figures["ram_bytes"] == 80_000


def test_a_missing_recording_is_one_line(capfd, tmp_path: Path):
    assert main(["bench", "board", str(tmp_path / "none.wav")]) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "none.wav" in err
