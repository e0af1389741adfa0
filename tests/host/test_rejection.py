"""Commands that nobody meant: the doubt of a lattice, and a board package that rejects what has too much of it."""

import json
import shutil
from pathlib import Path

import pytest
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.cli.main import main
from stapes_tools.convert.metadata import decode_metadata, with_settings
from stapes_tools.errors import UserError
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.lattice import as_json, from_json, parse, render

REPO = Path(__file__).resolve().parents[2]
COFFEE = REPO / "models" / "grammars" / "coffee.yaml"
MODEL = (REPO / "models" / "coffee" / "model.tflite").read_bytes()
GRAPH = compile_grammar(COFFEE)
SAMPLES = REPO / "models" / "samples"
# What a coffee machine should not take for an order.
MEANT = ("coffee_espresso", "coffee_large_latte", "coffee_never_mind")
NOT_MEANT = ("lights_bedroom", "lights_desk_lamp")


@pytest.fixture(scope="module")
def ear():
    return Recognizer(MODEL, GRAPH, kernels=kernels.install())


def heard(ear, name):
    ear.reset()
    ear.accept_waveform(memoryview(read_recording(SAMPLES / f"{name}.flac").tobytes()).cast("h"))
    ear.input_finished()
    return ear.lattice()


@pytest.mark.parametrize("name", MEANT)
def test_orders_are_believed(ear, name):
    lattice = heard(ear, name)
    assert lattice.is_complete and not lattice.is_rejected
    assert lattice.meaning[0] is not None and lattice.doubt < ear.rejection


def test_other_speech_is_doubted_more_than_any_order(ear):
    most = max(heard(ear, name).doubt for name in MEANT)
    found = [heard(ear, name) for name in NOT_MEANT]
    assert all(lattice.doubt > most for lattice in found)
    assert all(lattice.meaning == (None, {}) for lattice in found)


def test_the_next_utterance_obeys_another_rejection(ear):
    usual = ear.rejection
    assert usual == decode_metadata(MODEL).rejection / 1024 > 0
    doubt = heard(ear, MEANT[0]).doubt
    try:
        ear.rejection = doubt / 2
        strict = heard(ear, MEANT[0])
        assert strict.is_complete and strict.is_rejected and strict.intent is None and strict.meaning == (None, {})
        assert strict.text == "espresso" or "espresso" in strict.text, "what was heard is told all the same"
        ear.rejection = 0
        assert not heard(ear, MEANT[0]).is_rejected and not any(heard(ear, name).is_rejected for name in NOT_MEANT)
        for bad in (-1, 64, "much", None):
            with pytest.raises(ValueError, match="rejection must be a number from 0 to 63"):
                ear.rejection = bad
    finally:
        ear.rejection = usual


def test_the_next_utterance_obeys_another_lattice_beam(ear):
    usual, wide = ear.lattice_beam, heard(ear, MEANT[1])
    try:
        ear.lattice_beam = 0
        narrow = heard(ear, MEANT[1])
    finally:
        ear.lattice_beam = usual
    assert narrow.edge_count < wide.edge_count and narrow.text == wide.text


def test_formats_keep_the_doubt_and_tell_what_was_rejected(ear):
    usual = ear.rejection
    try:
        ear.rejection = 0.01
        data = bytes(heard(ear, MEANT[1]).data)
    finally:
        ear.rejection = usual
    lattice = parse(data)
    assert lattice.is_rejected and lattice.doubt > 0.01
    shown = as_json(lattice)
    assert shown["rejected"] and shown["doubt"] == lattice.doubt and shown["intent"] is None
    assert from_json(json.loads(json.dumps(shown))) == lattice == parse(lattice.to_bytes())
    assert "intent: rejected" in render(lattice, "text")
    for name in ("rejected", "doubt"):  # a file from before there was any
        del shown[name]
    old = from_json(shown)
    assert not old.is_rejected and old.doubt == 0


def test_the_command_line_says_what_was_rejected(capsys, tmp_path):
    model = tmp_path / "strict.tflite"
    model.write_bytes(with_settings(MODEL, rejection=0.01))
    order = str(SAMPLES / "coffee_espresso.flac")
    assert main(["transcribe", order, "--model", str(model), "--grammar", str(COFFEE)]) == 0
    assert "rejected, as it hardly sounds like a command" in capsys.readouterr().out
    assert main(["transcribe", order, "--model", str(model), "--grammar", str(COFFEE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["intent"] is None and told["slots"] == {} and told["lattice"]["rejected"]


def test_a_model_without_end_pointers_has_no_place_for_it():
    general = (REPO / "models" / "general" / "model.tflite").read_bytes()
    with pytest.raises(UserError, match="rejects nothing"):
        with_settings(general, rejection=5.0)
    assert Recognizer(general, GRAPH, kernels=kernels.install()).rejection == 0


# --- stapes endpoint rejection --------------------------------------------------------------


@pytest.fixture
def orders(tmp_path):
    """Two orders with their labels."""
    folder = tmp_path / "orders"
    folder.mkdir()
    said = {
        "coffee_espresso": {"shots": "double", "drink": "espresso"},
        "coffee_large_latte": {"size": "large", "drink": "latte"},
    }
    for name in said:
        shutil.copy(SAMPLES / f"{name}.flac", folder)
    references = {name: {"text": "any", "slots": slots} for name, slots in said.items()}
    (folder / "refs.json").write_text(json.dumps(references))
    return folder


@pytest.fixture
def others(tmp_path):
    """What is said to a lamp."""
    folder = tmp_path / "others"
    folder.mkdir()
    for name in NOT_MEANT:
        shutil.copy(SAMPLES / f"{name}.flac", folder)
    return folder


def rejection(capfd, *words):
    code = main(["endpoint", "rejection", *map(str, words)])
    return code, *capfd.readouterr()


def test_what_a_rejection_costs_and_is_worth(capfd, orders, others, tmp_path):
    model, plot = REPO / "models" / "coffee" / "model.tflite", tmp_path / "doubt.png"
    words = [model, "--grammar", COFFEE, "--orders", orders, "--others", others, "--processes", 1]
    code, out, err = rejection(capfd, *words, "--json", "--plot", plot)
    assert code == 0, err
    found = json.loads(out)
    assert found["rejection"] == decode_metadata(MODEL).rejection / 1024
    rates = [row["orders"][0]["command_acceptance"]["value"] for row in found["rows"]]
    alarms = [row["alarms_per_hour"] for row in found["rows"]]
    assert [row["rejection"] for row in found["rows"]][:2] == [0, 2] and found["rejection"] in {
        row["rejection"] for row in found["rows"]
    }
    assert rates[0] == 1 and rates[1:] == sorted(rates[1:]), "the first has none"
    assert alarms[1:] == sorted(alarms[1:]) and alarms[0] >= alarms[-1]
    assert plot.read_bytes().startswith(b"\x89PNG")
    code, out, err = rejection(capfd, *words)
    assert code == 0 and "none" in out and f"{found['rejection']:g} *" in out and "alarms an hour" in out, err


def test_a_rejection_is_written_into_the_file(capfd, tmp_path):
    model, other = tmp_path / "model.tflite", tmp_path / "other.tflite"
    model.write_bytes(MODEL)
    assert rejection(capfd, model, "--set", 4.25, "-o", other)[0] == 0
    assert model.read_bytes() == MODEL and decode_metadata(other.read_bytes()).rejection == 4.25 * 1024
    assert rejection(capfd, other, "--set", 0)[0] == 0
    assert Recognizer(other.read_bytes(), GRAPH, kernels=kernels.install()).rejection == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "there is nothing to measure"),
        (["--set", 64], "is not in the range"),
        (["--set", 5, "--orders", "here"], "measures nothing"),
        (["--grammar", COFFEE, "--others", SAMPLES, "-o", "other.tflite"], "-o has nothing to write"),
        (["--grammar", COFFEE], "there is nothing to measure"),
        (["--grammar", COFFEE, "--others", "nowhere.wav"], "nowhere.wav"),
        (["--grammar", COFFEE, "--others", SAMPLES, "--plot", "doubt.jpg"], "does not end in .png"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(capfd, words, says):
    code, out, err = rejection(capfd, REPO / "models" / "coffee" / "model.tflite", *words)
    assert (code, out) == (2, "") and err.count("\n") == 1 and says in err, err
