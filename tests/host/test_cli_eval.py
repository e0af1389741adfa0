"""`stapes eval` as its users run it: rows, table, picture, and one line for each mistake."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_files import GRAPH, LIGHTS, MODEL, bad_recording
from stapes_tools.cli.eval import conditions_of
from stapes_tools.cli.main import main
from stapes_tools.errors import UserError

LAMP = Path(__file__).resolve().parents[2] / "models" / "samples" / "lights_desk_lamp.flac"
RATES = ("command_acceptance", "wer", "wer_free")


pytestmark = pytest.mark.usefixtures("small_loop")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "orders"
    folder.mkdir()
    shutil.copy(LAMP, folder / "lamp.flac")
    soundfile.write(str(folder / "noisy.wav"), np.random.default_rng(1).normal(0, 0.05, 8000), 16000)
    label(folder, lamp={"room": "kitchen"}, noisy={})
    soundfile.write(str(tmp_path / "hum.wav"), np.random.default_rng(2).normal(0, 0.1, 4000), 16000)
    (tmp_path / "model.tflite").write_bytes(MODEL)
    (tmp_path / "lights.stg").write_bytes(GRAPH)
    return folder


def label(folder, **slots):
    rows = {name: {"slots": values, "text": "turn on the kitchen lights"} for name, values in slots.items()}
    (folder / "refs.json").write_text(json.dumps(rows))


def evaluate(capfd, folder, *more, grammar="lights.stg"):
    """Run the command in this process; return exit code, standard output, standard error."""
    words = ["eval", folder, "--model", folder.parent / "model.tflite", "--processes", "1", *more]
    if grammar:
        words += ["--grammar", folder.parent / grammar]
    code = main([str(word) for word in words])
    return code, *capfd.readouterr()


def refused(capfd, folder, *more, says, grammar="lights.stg"):
    """Check that the command ends with 2 and one line that holds every needle."""
    code, out, err = evaluate(capfd, folder, *more, grammar=grammar)
    assert (code, out) == (2, ""), err
    assert err.startswith("stapes: ") and err.count("\n") == 1, err
    for needle in says:
        assert str(needle) in err, err


def test_json_has_one_row_for_each_condition(capfd, folder):
    code, out, err = evaluate(capfd, folder, "--json", "--noise", folder.parent / "hum.wav", "--snr", "24,6.5")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert list(result) == ["rows"]
    assert [row["snr_db"] for row in result["rows"]] == [None, 24, 6.5]
    assert [row["noise"] for row in result["rows"]] == [None, "hum.wav", "hum.wav"]
    for row in result["rows"]:
        assert row["utterances"] == 2
        for name in RATES:
            assert set(row[name]) == {"value", "low", "high"}
            assert 0 <= row[name]["low"] <= row[name]["value"] <= row[name]["high"]
        assert 0 < row["real_time_factor"] < 0.5
        assert row["model_bytes"] == len(MODEL)
        assert row["audio_seconds"] == soundfile.info(str(LAMP)).duration + 0.5
        assert 0 <= row["out_of_vocabulary"] <= 1
        assert "wrong" not in row


def test_a_yaml_grammar_gives_the_same_as_the_compiled_one(capfd, folder):
    shutil.copy(LIGHTS, folder.parent / "lights.yaml")
    rows = [json.loads(evaluate(capfd, folder, "--json", grammar=f"lights.{form}")[1]) for form in ("stg", "yaml")]
    for row in rows:
        row["rows"][0].pop("real_time_factor")
    assert rows[0] == rows[1]


def test_the_grammar_alone_changes_no_other_figure(capfd, folder):
    both, alone = (json.loads(evaluate(capfd, folder, "--json", *more)[1]) for more in ([], ["--grammar-only"]))
    for key in ("command_acceptance", "wer", "utterances"):
        assert alone["rows"][0][key] == both["rows"][0][key]
    assert alone["rows"][0]["wer_free"] is None and both["rows"][0]["wer_free"] is not None
    refused(capfd, folder, "--grammar-only", grammar=None, says=["--grammar-only has no grammar", "add --grammar FILE"])


def test_wrong_commands(capfd, folder):
    label(folder, lamp={"room": "somewhere else"})
    code, out, _ = evaluate(capfd, folder, "--json", "--wrong")
    assert code == 0
    (wrong,) = json.loads(out)["rows"][0]["wrong"]
    assert wrong["name"] == "lamp" and wrong["said_slots"] == {"room": "somewhere else"} and wrong["heard"]
    code, out, _ = evaluate(capfd, folder, "--wrong")
    assert "lamp (clean)\n  said   turn on the kitchen lights  room='somewhere else'\n  heard  " in out


def test_the_table(capfd, folder):
    code, out, err = evaluate(capfd, folder, "--noise", folder.parent / "hum.wav", "--limit", "1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "accepted, %" in lines[0] and "no grammar, %" in lines[0]
    starts = [line.split("  ")[0] for line in lines[1:5]]
    assert starts == ["clean", "hum, 6 dB", "hum, 12 dB", "hum, 24 dB"]
    assert f"model.tflite: {len(MODEL):,} bytes; real-time factor 0." in out
    assert "\x1b" not in out


def test_read_speech(capfd, folder):
    (folder / "refs.json").unlink()
    (folder / "text.tsv").write_text("lamp\tSwitch on, please!\nnoisy\tchapter 1\n")
    code, out, err = evaluate(capfd, folder, "--json", grammar=None)
    assert code == 0 and err == "left out because their transcripts hold numbers in digits: 1\n"
    (row,) = json.loads(out)["rows"]
    assert row["command_acceptance"] is None and row["wer"] is None and row["wer_free"]["value"] > 0
    code, out, _ = evaluate(capfd, folder, grammar=None)
    assert code == 0 and out.splitlines()[1].split()[:4] == ["clean", "1", "-", "-"]


def test_the_picture(capfd, folder):
    plot = folder.parent / "acceptance.png"
    code, _, err = evaluate(capfd, folder, "--noise", folder.parent / "hum.wav", "--plot", plot)
    assert (code, err) == (0, "")
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and plot.stat().st_size > 10_000
    refused(capfd, folder, "--plot", plot.with_suffix(".jpg"), says=["acceptance.jpg", "does not end in .png"])
    refused(capfd, folder, "--plot", plot.parent / "none" / "a.png", says=["a.png", "folder does not exist"])
    refused(capfd, folder, "--plot", plot, says=["no command acceptance to draw", "--grammar"], grammar=None)


def test_conditions():
    hum = Path("hum.wav")
    assert [condition.snr_db for condition in conditions_of(hum, None)] == [None, 6.0, 12.0, 24.0]
    assert [condition.snr_db for condition in conditions_of(hum, " 12, 6,12 ")] == [None, 12.0, 6.0]
    assert [condition.noise for condition in conditions_of(None, None)] == [None]
    with pytest.raises(UserError, match="--snr has no noise to mix; add --noise FILE"):
        conditions_of(None, "6")


@pytest.mark.parametrize("snr", ["", "six", "6,,12", "nan", "inf", "1e9", "6;12"])
def test_wrong_snrs(capfd, folder, snr):
    noise = folder.parent / "hum.wav"
    refused(capfd, folder, "--noise", noise, "--snr", snr, says=["in --snr is not a number of dB", "--snr 6,12,24"])


RECORDINGS = {
    "rate": "44100 Hz",
    "stereo": "2 channels",
    "empty": "holds no samples",
    "nothing": "the file is empty",
    "damaged": "not a WAV",
    "cut": "cut short",
}


@pytest.mark.parametrize("case", RECORDINGS)
def test_bad_recordings(capfd, folder, case):
    refused(capfd, folder, says=[bad_recording(folder / "noisy.wav", case), RECORDINGS[case]])


@pytest.mark.parametrize("case", RECORDINGS)
def test_bad_noise(capfd, folder, case):
    path = bad_recording(folder / "noisy.wav", case).rename(folder.parent / "noise.wav")
    label(folder, lamp={})
    refused(capfd, folder, "--noise", path, says=[path, RECORDINGS[case]])


def test_missing_files(capfd, folder):
    refused(capfd, folder, "--noise", folder / "none.wav", says=[folder / "none.wav", "there is no such file"])
    refused(capfd, folder, grammar="none.yaml", says=["none.yaml", "there is no such file"])
    refused(capfd, folder, "--model", folder / "none.tflite", says=["none.tflite", "there is no such file"])
    refused(capfd, folder / "none", says=["none", "there is no such folder"])
    (folder / "lamp.flac").unlink()
    refused(capfd, folder, says=[folder / "refs.json", "'lamp'", "put lamp.wav"])
    (folder / "refs.json").write_text("{")
    refused(capfd, folder, says=[folder / "refs.json", "is not JSON"])
    (folder / "refs.json").unlink()
    refused(capfd, folder, says=[folder, "there is no refs.json"])


def test_files_of_another_kind(capfd, folder):
    refused(capfd, folder, "--model", LAMP, says=["lights_desk_lamp.flac", "not a TensorFlow Lite model"])
    refused(capfd, folder, grammar="model.tflite", says=["model.tflite", "not a grammar"])
    (folder.parent / "bad.stg").write_bytes(GRAPH[:500])
    refused(capfd, folder, grammar="bad.stg", says=["bad.stg", "cut short or damaged"])


def test_labels_of_another_grammar(capfd, folder):
    label(folder, lamp={"drink": "latte"})
    refused(capfd, folder, says=["refs.json", "'lamp'", "'drink'", "lights.stg"])


def test_a_missing_package_is_named(capfd, folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(capfd, folder, says=["the package jiwer is not installed", "make demo"])


def test_silent_noise(capfd, folder):
    soundfile.write(str(folder.parent / "hush.wav"), np.zeros(100), 16000)
    refused(capfd, folder, "--noise", folder.parent / "hush.wav", says=["hush.wav", "the noise is silent"])
