"""Recordings through the integer model in this process and in others, and the rows made of them."""

import json
import math
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_files import GRAPH, MODEL
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.errors import BoardError, UserError
from stapes_tools.evaluate import report
from stapes_tools.evaluate.bootstrap import Interval
from stapes_tools.evaluate.folder import read_folder
from stapes_tools.evaluate.loop import vocabulary
from stapes_tools.evaluate.noise import CLEAN, Condition
from stapes_tools.evaluate.recognition import Decoder, Samples, hear_all, recognise
from stapes_tools.evaluate.run import Recording, Setup, check_labels, evaluate

SAMPLES = Path(__file__).resolve().parents[2] / "models" / "samples"
RECORDINGS = [SAMPLES / "lights_desk_lamp.flac", SAMPLES / "lights_bedroom.flac"]


pytestmark = pytest.mark.usefixtures("small_loop")


def directly(samples):
    """What the board package says, asked without any of the code under test."""
    recognizer = Recognizer(MODEL, GRAPH, kernels=kernels.install())
    recognizer.accept_waveform(array("h", samples.tobytes()))
    recognizer.input_finished()
    return recognizer.lattice()


def test_what_is_heard_is_what_the_board_package_says():
    recordings = [read_recording(path) for path in RECORDINGS]
    for heard, samples in zip(recognise(MODEL, GRAPH, recordings, 1), recordings, strict=True):
        lattice = directly(samples)
        assert (heard.text, heard.slots, heard.intent) == (lattice.text, lattice.slots, lattice.intent)
        assert heard.complete == lattice.is_complete and heard.text
        assert 0 < heard.cpu_s < 5


def test_other_processes_hear_the_same(small_loop):
    sounds = [Samples(read_recording(path)) for path in RECORDINGS * 3]
    decoders = [Decoder(GRAPH), Decoder(str(small_loop), free=True)]
    here, there = ([*hear_all(MODEL, decoders, sounds, processes)] for processes in (1, 2))
    strip = [[(heard.text, heard.slots, heard.intent) for heard in results] for results in here]
    assert strip == [[(heard.text, heard.slots, heard.intent) for heard in results] for results in there]
    free = here[0][1]
    assert free.complete and free.intent == "free" and set(free.text.split()) <= vocabulary(small_loop)


def test_a_bad_recording_is_named_by_other_processes_too(tmp_path):
    rows = {"lamp": {"slots": {}, "text": "on"}}
    (tmp_path / "refs.json").write_text(json.dumps(rows))
    soundfile.write(str(tmp_path / "lamp.wav"), np.zeros(1000, np.int16), 16000)
    folder = read_folder(tmp_path)
    (tmp_path / "lamp.wav").unlink()
    model = tmp_path / "m.tflite"
    model.write_bytes(MODEL)
    from stapes_tools.evaluate.run import Recording

    sounds = [Recording(folder.utterances[0], CLEAN)]
    with pytest.raises(UserError, match=r"lamp.wav: there is no such file"):
        list(hear_all(str(model), [Decoder(GRAPH)], sounds, 2))


@pytest.mark.parametrize(
    ("model", "graph", "said"),
    [
        (b"GIF89a" + bytes(4000), GRAPH, "not a TensorFlow Lite model"),
        (MODEL, b"GIF89a" + bytes(4000), r"lights.yaml: not a compiled Stapes grammar"),
        ("none.tflite", GRAPH, "none.tflite: .*there is no such file"),
    ],
)
def test_refused_files_are_said_before_any_process_starts(model, graph, said, tmp_path):
    if isinstance(graph, bytes):
        (tmp_path / "g.stg").write_bytes(graph)
    decoder = Decoder(str(tmp_path / "g.stg"), name="lights.yaml")
    with pytest.raises((UserError, BoardError), match=said):
        next(hear_all(model, [decoder], [], 2))


# --- rows ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two commands: one labelled with what this random model makes of it, one with something else."""
    rows = {}
    for number, path in enumerate(RECORDINGS):
        samples = read_recording(path)
        soundfile.write(str(tmp_path / f"r{number}.wav"), samples, 16000)
        lattice = directly(samples)
        slots = lattice.slots if number == 0 else {next(iter(lattice.slots)): "something else"}
        rows[f"r{number}"] = {"slots": slots, "text": lattice.text if number == 0 else lattice.text + " xyzzy"}
    (tmp_path / "refs.json").write_text(json.dumps(rows))
    (tmp_path / "model.tflite").write_bytes(MODEL)
    (tmp_path / "lights.stg").write_bytes(GRAPH)
    soundfile.write(str(tmp_path / "hum.wav"), np.random.default_rng(1).normal(0, 0.1, 16000), 16000)
    return tmp_path


def setup_of(folder, *conditions, grammar="lights.stg"):
    return Setup(folder / "model.tflite", grammar and folder / grammar, "lights.yaml", conditions or (CLEAN,))


def test_a_row(folder):
    (row,) = evaluate(read_folder(folder), setup_of(folder))
    assert (row.condition, row.utterances) == (CLEAN, 2)
    assert row.command_acceptance == Interval(0.5, 0.0, 1.0)
    words = sum(len(utterance.text.split()) for utterance in read_folder(folder).utterances)
    assert row.wer.value == 1 / words and row.wer.low == 0.0
    assert row.wer_free.value > 0.5
    assert row.out_of_vocabulary > 0
    assert 0 < row.real_time_factor < 0.5
    assert row.audio_s == sum(soundfile.info(str(path)).duration for path in RECORDINGS)
    assert row.model_bytes == len(MODEL)
    assert [mistake.name for mistake in row.mistakes] == ["r1"]
    assert row.mistakes[0].said == row.mistakes[0].heard + " xyzzy"


def test_a_row_for_each_condition_and_somebody_watches(folder):
    seen = []

    def track(things, total, what):
        for count, thing in enumerate(things, 1):
            seen.append((what, count, total))
            yield thing

    conditions = [CLEAN, Condition(folder / "hum.wav", 20.0), Condition(folder / "hum.wav", -20.0)]
    rows = list(evaluate(read_folder(folder), setup_of(folder, *conditions), track))
    assert [row.condition for row in rows] == conditions
    assert [row for row in seen if row[0] == "recognising"] == [("recognising", n, 6) for n in range(1, 7)]
    assert ("reading", 2, 2) in seen
    texts = [[mistake.heard for mistake in row.mistakes] for row in rows]
    assert texts[2] != texts[0]
    again = list(evaluate(read_folder(folder), setup_of(folder, *conditions)))
    assert [row.mistakes for row in again] == [row.mistakes for row in rows]


def test_every_hearing_is_another_and_all_count(folder):
    utterances = read_folder(folder)
    noisy = Condition(folder / "hum.wav", 10.0)
    setup = replace(setup_of(folder, CLEAN, noisy), hearings=3)
    clean, mixed = evaluate(utterances, setup)
    singles = [
        [directly(Recording(one, CLEAN, hearing=n).samples()).text for n in range(3)] for one in utterances.utterances
    ]
    assert (clean.utterances, clean.hearings, mixed.hearings) == (2, 3, 3)
    # The labels of the first recording are what its first hearing gave.
    right = sum(text == singles[0][0] for text in singles[0])
    assert clean.audio_s == pytest.approx(3 * sum(soundfile.info(str(path)).duration for path in RECORDINGS))
    assert [mistake.name for mistake in clean.mistakes].count("r1") == 3
    heard = {mistake.heard for mistake in clean.mistakes if mistake.name == "r1"}
    assert heard == set(singles[1])
    assert clean.command_acceptance.value >= right / 6


def test_a_hearing_begins_later_and_in_other_noise(folder):
    one = read_folder(folder).utterances[0]
    first, second, again = (Recording(one, CLEAN, hearing=n).samples() for n in (0, 1, 96))
    assert len(second) == len(first) + 185 and not second[:185].any()
    np.testing.assert_array_equal(second[185:], first)
    np.testing.assert_array_equal(again, first)
    delays = {len(Recording(one, CLEAN, hearing=n).samples()) for n in range(96)}
    assert len(delays) == 96
    noisy = Condition(folder / "hum.wav", 10.0)
    stretches = [Recording(one, noisy, hearing=n).samples()[-1000:].tolist() for n in (0, 96)]
    assert stretches[0] != stretches[1]


def test_noise_is_heard_alone_before_a_recording(folder):
    utterances = read_folder(folder)
    noisy = Condition(folder / "hum.wav", 10.0)
    for condition in (CLEAN, noisy):
        plain, later = (Recording(utterances.utterances[0], condition, lead_s=s).samples() for s in (0.0, 0.5))
        np.testing.assert_array_equal(later[8000:], plain)
        assert len(later) == len(plain) + 8000 and later[:8000].any() == (condition is noisy)
    (row,) = evaluate(utterances, replace(setup_of(folder, noisy), lead_s=0.5))
    (short,) = evaluate(utterances, setup_of(folder, noisy))
    assert row.lead_s == 0.5 and row.audio_s == pytest.approx(short.audio_s + 2 * 0.5)
    assert "after 0.5 s of noise" in next(report.notes([row], "m")) and "after" not in next(report.notes([short], "m"))


def test_read_speech_has_no_commands(folder):
    (folder / "refs.json").unlink()
    (folder / "text").write_text("r0 SWITCH ON\nr1 SWITCH OFF\n")
    (row,) = evaluate(read_folder(folder), setup_of(folder, grammar=None))
    assert row.command_acceptance is None and row.wer is None and row.wer_free is not None
    assert math.isclose(row.wer_free.value * 4, round(row.wer_free.value * 4))
    (row,) = evaluate(read_folder(folder), setup_of(folder))
    assert row.command_acceptance is None and row.wer is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slots": {"rom": "kitchen"}}, r"refs.json: 'r0' has the slot 'rom', which lights.yaml .*'room'\?"),
        ({"intent": "dance"}, r"refs.json: 'r0' has the intent 'dance', which lights.yaml does not know; give the"),
    ],
)
def test_labels_that_the_grammar_cannot_give_are_refused(folder, change, said):
    rows = json.loads((folder / "refs.json").read_text())
    rows["r0"].update(change)
    (folder / "refs.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=said):
        check_labels(read_folder(folder), folder / "lights.stg", "lights.yaml")
