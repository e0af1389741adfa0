"""Commands that nobody meant: the doubt of a lattice, and a board package that rejects what has too much of it."""

import json
from pathlib import Path

import pytest
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.cli.main import main
from stapes_tools.convert.metadata import decode_metadata
from stapes_tools.errors import UserError
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.lattice import as_json, from_json, parse, render
from stapes_tools.train.export import with_settings

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
    assert "rejected: a whole command" in capsys.readouterr().out
    assert main(["transcribe", order, "--model", str(model), "--grammar", str(COFFEE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["intent"] is None and told["slots"] == {} and told["lattice"]["rejected"]


def test_a_model_without_end_pointers_has_no_place_for_it():
    general = (REPO / "models" / "general" / "model.tflite").read_bytes()
    with pytest.raises(UserError, match="rejects nothing"):
        with_settings(general, rejection=5.0)
    assert Recognizer(general, GRAPH, kernels=kernels.install()).rejection == 0
