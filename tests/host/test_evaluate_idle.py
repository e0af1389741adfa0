"""False alarms: `stapes eval --idle`, on sounds whose commands are known from listening to them directly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stapes_tools.cli.main import main
from stapes_tools.errors import UserError
from stapes_tools.evaluate import idle_report
from stapes_tools.evaluate.idle import Idle, listen_idle, recordings_of
from stapes_tools.grammar.compiler import compile_grammar

REPO = Path(__file__).resolve().parents[2]
COFFEE = REPO / "models" / "grammars" / "coffee.yaml"
MODEL = REPO / "models" / "coffee" / "model.tflite"
SAMPLES = REPO / "models" / "samples"
SAID = "large latte with oat milk"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Silence, a command said twice, and one recording deeper down."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "deeper").mkdir()
    speech, rate = soundfile.read(SAMPLES / "coffee_large_latte.flac", dtype="int16")
    quiet = np.zeros(2 * rate, np.int16)
    soundfile.write(folder / "quiet.wav", np.tile(quiet, 2), rate)
    soundfile.write(folder / "twice.flac", np.concatenate([quiet, speech, quiet, speech, quiet]), rate)
    shutil.copy(SAMPLES / "coffee_espresso.flac", folder / "deeper")
    (folder / "notes.txt").write_text("no recording")
    return folder


def run(capfd, *arguments):
    code = main(["eval", *map(str, arguments)])
    return code, *capfd.readouterr()


def refused(capfd, *arguments, says):
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "") and err.count("\n") == 1 and err.startswith("stapes: "), err
    assert says in err, err


def test_every_command_that_is_understood_counts(folder):
    paths = recordings_of(folder)
    assert [path.name for path in paths] == ["coffee_espresso.flac", "quiet.wav", "twice.flac"]
    graph = compile_grammar(COFFEE)
    rows = list(listen_idle(str(MODEL), graph, paths, 1))
    assert list(listen_idle(str(MODEL), graph, paths, 2)) == rows, "so many processes, the same"
    espresso, quiet, twice = rows
    assert (quiet.utterances, quiet.commands, quiet.audio_s) == (0, (), 4.0)
    assert len(espresso.commands) == 1 and "espresso" in espresso.commands[0]
    assert twice.utterances == 2 and [SAID in text for text in twice.commands] == [True, True]


def test_an_hour_is_what_the_sum_makes_of_it():
    rows = [Idle(Path("a.wav"), 900.0, 4, ("go", "stop")), Idle(Path("b.wav"), 900.0, 1, ())]
    shown = idle_report.as_json(rows)
    assert {name: shown[name] for name in ("audio_seconds", "utterances", "commands", "per_hour")} == {
        "audio_seconds": 1800.0,
        "utterances": 5,
        "commands": 2,
        "per_hour": 4.0,
    }
    assert shown["rows"][0]["heard"] == ["go", "stop"] and shown["rows"][1]["per_hour"] == 0.0
    assert idle_report.table(rows).row_count == 2, "one that alarms, and all"
    assert "1 recordings with fewer" in next(idle_report.notes(rows, "m"))
    assert list(idle_report.heard(rows)) == ["a.wav: go", "a.wav: stop"]


def test_the_command_line(capfd, folder):
    code, out, err = run(capfd, folder, "--grammar", COFFEE, "--model", MODEL, "--idle", "--wrong")
    assert code == 0 and out.count("twice.flac: ") == out.count(SAID) == 2 and "all 3" in out, out + err
    code, out, _ = run(capfd, folder / "quiet.wav", "--grammar", COFFEE, "--model", MODEL, "--idle", "--json")
    assert code == 0 and json.loads(out)["commands"] == 0 and len(json.loads(out)["rows"]) == 1


def test_what_does_not_go_with_it(capfd, folder, tmp_path):
    grammar = ("--grammar", COFFEE, "--idle")
    refused(capfd, folder, "--idle", says="add --grammar FILE")
    refused(capfd, folder, *grammar, "--endpoints", says="--idle does not go with --endpoints")
    refused(capfd, folder, *grammar, "--noise", folder / "quiet.wav", says="--idle does not go with --noise")
    refused(capfd, folder, *grammar, "--lead", "3", says="--idle does not go with --lead")
    refused(capfd, folder / "none", *grammar, says="there is no such file")
    refused(capfd, folder / "notes.txt", *grammar, says="notes.txt: ")
    refused(capfd, folder, *grammar, "--model", REPO / "models/general/dense.npz", says="dense.npz: not a TensorFlow")
    with pytest.raises(UserError, match="holds no recordings"):
        recordings_of(tmp_path)
