"""`stapes transcribe` as its users run it, on the host and on MicroPython's unix port."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_files import GRAMMARS, GRAPH, GRAPHS, LIGHTS, MODEL, MODELS, bad_recording, error_of
from stapes_tools.cli.main import main

REPO = Path(__file__).resolve().parents[2]
LAMP = REPO / "models" / "samples" / "lights_desk_lamp.flac"
BOARDS = ["host", pytest.param("unix", marks=pytest.mark.unix)]
on_each_board = pytest.mark.parametrize("on", BOARDS)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    return path


def run(capfd, *words):
    """Run the command in this process; return exit code, standard output, standard error."""
    code = main([str(word) for word in words])
    out, err = capfd.readouterr()
    return code, out, err


def one_line(err, *needles):
    """Check that err is one line that says what is wrong and what to do."""
    assert err.count("\n") == 1, err
    assert err.startswith("stapes: ")
    assert "Traceback" not in err
    for needle in needles:
        assert str(needle) in err, err


def transcribe(capfd, on, model, recording=LAMP, grammar=LIGHTS, *more):
    return run(capfd, "transcribe", recording, "--on", on, "--model", model, "--grammar", grammar, *more)


@on_each_board
def test_json_is_one_object_with_what_was_promised(capfd, model, on):
    code, out, err = transcribe(capfd, on, model, LAMP, LIGHTS, "--json", "--nbest", "3")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert {"text", "intent", "slots", "lattice", "events", "on"} <= set(result)
    assert result["on"] == on
    assert result["text"] == " ".join(
        edge["word"] for edge in result["lattice"]["edges"] if edge["best"] and edge["word"]
    )
    assert all({"time_ms"} <= set(node) for node in result["lattice"]["nodes"])
    kinds = [event["kind"] for event in result["events"]]
    assert kinds[0] == "listening"
    assert kinds[-3:] == ["lattice", "intent", "statistics"]
    assert "partial" in kinds
    times = [event["time_ms"] for event in result["events"]]
    assert times == sorted(times)
    assert 1 <= len(result["nbest"]) <= 3
    assert result["nbest"][0]["text"] == result["text"]


@pytest.mark.unix
def test_host_and_unix_say_the_same_to_the_last_bit(capfd, model, tmp_path):
    results = []
    for on in ("host", "unix"):
        lattice = tmp_path / f"{on}.stl"
        code, out, _ = transcribe(capfd, on, model, LAMP, LIGHTS, "--json", "--lattice", lattice)
        assert code == 0
        results.append((lattice.read_bytes(), {**json.loads(out), "on": ""}))
    assert len(results[0][0]) > 100
    assert results[0] == results[1]


@pytest.mark.unix
def test_a_context_gives_the_same_everywhere(capfd, model, tmp_path):
    """Host, MicroPython with the kernels, the same bytes; and each phrase's gain stands at its words."""
    likely = ("--context", "reading lamp", "--context", "desk lamp", "--boost", "1.5")
    lattices = {}
    for on in ("host", "unix"):
        path = tmp_path / f"{on}.stl"
        code, out, err = transcribe(capfd, on, model, LAMP, LIGHTS, "--json", "--lattice", path, *likely)
        assert (code, err) == (0, "")
        lattices[on] = path.read_bytes()
    assert lattices["host"] == lattices["unix"]
    shown = json.loads(out)["lattice"]
    gains = {edge["word"]: edge["bias"] for edge in shown["edges"] if edge["best"]}
    said = shown["text"]
    assert shown["context"]
    assert sum(gains.values()) == 3 * (said.count("reading lamp") + said.count("desk lamp"))


@on_each_board
@pytest.mark.parametrize(
    ("likely", "says"),
    [
        (("--context", "kitchn lamp"), ["kitchn", "not one of the grammar's", "in 'kitchn lamp'"]),
        (("--context", " "), ["--context has no words"]),
        (("--boost", "2"), ["no --context"]),
        (("--context", "lamp", "--boost", "20"), ["--boost"]),
    ],
)
def test_bad_contexts(capfd, model, on, likely, says):
    code, out, err = transcribe(capfd, on, model, LAMP, LIGHTS, "--json", *likely)
    assert (code, out) == (2, "")
    one_line(err, *says)


@on_each_board
def test_what_a_pipe_shows(capfd, model, on):
    code, out, err = transcribe(capfd, on, model)
    assert (code, err) == (0, "")
    assert "listening" in out
    assert "speech starts" in out
    assert "intent   switch" in out
    assert "slots    " in out
    assert "* is the best path" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("suffix", [".json", ".lat", ".slf", ".dot", ".txt", ".svg", ".stl"])
def test_lattice_files(capfd, model, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    code, _, err = transcribe(capfd, "host", model, LAMP, LIGHTS, "--lattice", path)
    assert (code, err) == (0, "")
    assert path.stat().st_size > 50


def test_unknown_lattice_format_is_said_before_the_work(capfd, model, tmp_path):
    code, out, err = transcribe(capfd, "host", model, LAMP, LIGHTS, "--lattice", tmp_path / "out.doc")
    assert (code, out) == (2, "")
    one_line(err, "out.doc", ".slf")


@on_each_board
@pytest.mark.parametrize("case", MODELS)
def test_bad_models(capfd, tmp_path, on, case):
    contents, name = MODELS[case]
    path = tmp_path / "bad.tflite"
    path.write_bytes(contents)
    code, out, err = transcribe(capfd, on, path)
    fault, text, advice = error_of(name)
    assert (code, out) == (2 if fault == "user" else 3, "")
    one_line(err, path, text, advice)


@on_each_board
@pytest.mark.parametrize("case", GRAPHS)
def test_bad_compiled_grammars(capfd, model, tmp_path, on, case):
    contents, name = GRAPHS[case]
    path = tmp_path / "bad.stg"
    path.write_bytes(contents)
    code, out, err = transcribe(capfd, on, model, LAMP, path)
    fault, text, advice = error_of(name)
    assert (code, out) == (2 if fault == "user" else 3, "")
    one_line(err, path, text, advice)


@pytest.mark.parametrize("case", GRAMMARS)
def test_bad_grammars(capfd, model, tmp_path, case):
    contents, named = GRAMMARS[case]
    path = tmp_path / "g.yaml"
    path.write_text(contents)
    code, out, err = transcribe(capfd, "unix", model, LAMP, path)
    assert (code, out) == (2, "")
    one_line(err, path, named)


@on_each_board
@pytest.mark.parametrize("what", ["model", "grammar"])
def test_missing_files(capfd, model, tmp_path, on, what):
    nothing = tmp_path / ("none.tflite" if what == "model" else "none.stg")
    files = {"model": model, "grammar": LIGHTS, what: nothing}
    code, out, err = transcribe(capfd, on, files["model"], LAMP, files["grammar"])
    assert (code, out) == (2, "")
    one_line(err, nothing, "there is no such file")


@on_each_board
def test_folders_instead_of_files(capfd, model, tmp_path, on):
    for files in ((tmp_path, LIGHTS), (model, tmp_path)):
        code, out, err = transcribe(capfd, on, files[0], LAMP, files[1])
        assert (code, out) == (2, "")
        one_line(err, tmp_path)


@on_each_board
@pytest.mark.parametrize("case", ["rate", "stereo", "empty", "cut", "gigabyte", "missing"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_bad_recordings(capfd, model, tmp_path, on, case, form):
    path = bad_recording(tmp_path / "bad.wav", case)
    code, out, err = transcribe(capfd, on, model, path, LIGHTS, *form)
    assert (code, out) == (2, "")
    one_line(err, path, "; ")


@on_each_board
@pytest.mark.parametrize("samples", [1, 300, 16000])
def test_recordings_with_nothing_in_them(capfd, model, tmp_path, on, samples):
    path = tmp_path / "silence.wav"
    soundfile.write(str(path), np.zeros(samples, np.int16), 16000)
    code, out, err = transcribe(capfd, on, model, path, LIGHTS, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["events"][-1]["kind"] == "statistics"


@pytest.mark.parametrize("where", ["/dev/ttyNONE", "COM99", "toaster"])
def test_boards_that_are_not_there(capfd, where):
    code, out, err = run(capfd, "transcribe", LAMP, "--on", where)
    assert (code, out) == (2, "")
    one_line(err, where, "unix, host, emulator" if where != "toaster" else "host, unix, emulator")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transcribe"], "Missing argument 'FILE'"),
        (["sing"], "No such command 'sing'"),
        (["transcribe", "--loud", "a.wav"], "No such option '--loud'"),
        (["transcribe", "a.wav", "--nbest", "many"], "'many'"),
    ],
)
def test_mistakes_in_the_command(capfd, words, said):
    code, out, err = run(capfd, *words)
    assert (code, out) == (2, "")
    one_line(err, said, "stapes --help")


def test_an_unexpected_fault_is_one_line_and_debug_shows_the_traceback(capfd, model, monkeypatch):
    def explode(*_):
        raise RuntimeError("boom\nbang")

    monkeypatch.setattr("stapes_tools.cli.transcribe.open_session", explode)
    code, out, err = transcribe(capfd, "host", model)
    assert (code, out) == (3, "")
    one_line(err, "RuntimeError: boom bang", "--debug")
    code, _, err = transcribe(capfd, "host", model, LAMP, LIGHTS, "--debug")
    assert code == 3
    assert "Traceback" in err


@pytest.mark.unix
def test_a_board_whose_program_ends_is_a_fault_of_ours(capfd, model, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "stapes_kernels.py").write_text("raise ValueError('no kernels here')\n")
    monkeypatch.setattr("stapes_tools.device.opening.native_module", lambda: broken / "stapes_kernels.mpy")
    code, out, err = transcribe(capfd, "unix", model)
    assert (code, out) == (3, "")
    one_line(err, "unix", "no kernels here")


@pytest.mark.unix
def test_plain_python_kernels_are_said_aloud(capfd, model, tmp_path, monkeypatch):
    recording = tmp_path / "silence.wav"
    soundfile.write(recording, np.zeros(1600, dtype=np.int16), 16000)
    monkeypatch.setattr("stapes_tools.device.opening.native_module", lambda: None)
    code, _, err = transcribe(capfd, "unix", model, recording)
    assert code == 0
    assert "The kernels run in plain Python" in err


@pytest.mark.parametrize("option", ["--model", "--grammar"])
def test_files_for_a_board_at_a_port_are_not_ignored(capfd, option):
    code, out, err = run(capfd, "transcribe", LAMP, "--on", "/dev/ttyACM99", option, "x")
    assert (code, out) == (2, "")
    one_line(err, "/dev/ttyACM99", option, "make firmware")


def test_a_reader_that_has_seen_enough_is_no_failure(model):
    command = [Path(sys.executable).parent / "stapes", "transcribe", LAMP, "--on", "host", "--model", model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


def test_control_characters_in_names_stay_harmless(capfd, model):
    code, _, err = transcribe(capfd, "host", model, "a\x1b[31mb\nc.wav")
    assert code == 2
    one_line(err, "there is no such file")
    assert "\x1b" not in err


def test_help_and_version(capfd):
    code, out, _ = run(capfd, "--help")
    assert code == 0
    for word in ("transcribe", "demo", "grammar", "Recognise:", "Examples:"):
        assert word in out
    assert run(capfd, "--version")[1].startswith("stapes, version ")
    assert "Usage: stapes" in run(capfd)[1]
    for verb in ("transcribe", "demo", "grammar", "lattice", "model"):
        code, out, _ = run(capfd, verb, "--help")
        assert code == 0
        assert f"Usage: stapes {verb}" in out


def test_a_graph_as_it_is_compiled_gives_the_same(capfd, model, tmp_path):
    (tmp_path / "lights.stg").write_bytes(GRAPH)
    results = [
        transcribe(capfd, "host", model, LAMP, grammar, "--json")[1] for grammar in (LIGHTS, tmp_path / "lights.stg")
    ]
    assert results[0] == results[1]


def test_stapes_model(capfd, model, tmp_path):
    code, out, _ = run(capfd, "model", model)
    assert code == 0
    assert "multiplications" in out
    code, _, err = run(capfd, "model", tmp_path / "none.tflite")
    assert code == 2
    one_line(err, "none.tflite")


@pytest.mark.unix
def test_interrupt_ends_with_130_and_leaves_no_process(model, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(str(path), np.random.default_rng(1).integers(-99, 99, 16000 * 100).astype(np.int16), 16000)
    program = (
        "import sys, stapes_tools.cli.transcribe as t; from stapes_tools.cli.main import main; "
        "real = t.open_session; "
        "t.open_session = lambda on, model, grammar, speed, names: real(on, model, grammar, 1.0, names); "
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["transcribe", path, "--model", model, "--grammar", LIGHTS]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "listening" in process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    one_line(err.lstrip("\n"), "interrupted")  # the first newline ends the terminal's ^C
    time.sleep(0.1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    assert children.stdout == ""
