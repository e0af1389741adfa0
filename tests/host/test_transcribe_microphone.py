"""`stapes transcribe --microphone` without an emulator: the audio path in this process, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import stapes_spec as spec
from stapes.microphone_settings import Settings
from stapes_tools.audio import read_recording
from stapes_tools.cli.main import main
from stapes_tools.device import boards
from stapes_tools.device.emulator import EMULATED_BOARD
from stapes_tools.device.microphone_sound import board_settings, heard, sound_of

REPO = Path(__file__).resolve().parents[2]
SAMPLE = REPO / "models" / "samples" / "coffee_never_mind.flac"
I2S = {"sck": 10, "ws": 11, "sd": 12}
TABLES = [
    {"kind": "INMP441", **I2S},
    {"kind": "ICS-43434", "gain_db": 48, **I2S},
    {"kind": "SPH0645", "channel": "right", **I2S},
    {"kind": "PDM", "clock": 14, "data": 15},
    {"kind": "ADC", "pin": 26},
]


def run(capfd, *words):
    code = main(["transcribe", str(SAMPLE), *words])
    out, err = capfd.readouterr()
    return code, out, err


def test_the_microphone_hears_the_same_words(capfd):
    found = []
    for more in ([], ["--microphone"]):
        code, out, err = run(capfd, "--on", "host", "--json", *more)
        assert (code, err) == (0, "")
        found.append(json.loads(out))
    assert found[0]["text"] == found[1]["text"] == "no never mind"
    assert found[0]["lattice"] != found[1]["lattice"], "gain, rounding and noise should have left their traces"


@pytest.mark.parametrize("on", ["unix", "/dev/ttyACM9", "tcp://board"])
def test_where_nothing_can_be_played_to(capfd, on):
    code, out, err = run(capfd, "--on", on, "--microphone")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and "only where it is emulated" in err and on in err


def test_a_wrong_board_file_is_named(capfd, tmp_path, monkeypatch):
    text = (REPO / "boards" / EMULATED_BOARD / "board.toml").read_text().replace("ws = 11", "ws = 14")
    (tmp_path / EMULATED_BOARD).mkdir()
    (tmp_path / EMULATED_BOARD / "board.toml").write_text(text)
    monkeypatch.setattr(boards, "_BOARDS", tmp_path)
    for on in ("host", "emulator"):
        code, _, err = run(capfd, "--on", on, "--microphone")
        assert code == 2
        assert err.count("\n") == 1
        assert f"boards/{EMULATED_BOARD}/board.toml" in err
        assert "ws is pin 14; it must be the one after sck, 11" in err


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["kind"])
def test_every_kind_brings_the_recording_back(table):
    """At its own level, but for noise, bits and filters."""
    samples = read_recording(SAMPLE)[16000:24000]
    settings = Settings(table, "rp2")
    found = heard(sound_of(samples, settings, offset=50_000, tail_s=0.1)).astype(float)
    original = samples.astype(float)
    # The filters of PDM take their time.
    best = max(np.corrcoef(found[lag : lag + 7000], original[:7000])[0, 1] for lag in range(20))
    assert best > 0.98
    assert 20 * np.log10(np.std(found[:7500]) / np.std(original[:7500])) == pytest.approx(0, abs=1)


def test_the_recording_begins_where_the_board_begins_to_hear():
    settings = board_settings(boards.load_board(EMULATED_BOARD))
    click = np.zeros(480, np.int16)
    click[0] = 20_000
    found = heard(sound_of(click, settings, tail_s=0.05))
    assert found[0] > 19_000 and np.abs(found[1:]).max() < 200
    assert len(found) % spec.FRONTEND_STEP_SAMPLES == 0
