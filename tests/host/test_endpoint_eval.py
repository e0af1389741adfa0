"""`stapes eval --endpoints` on made-up recordings with known ends, and `stapes endpoint tune` on a tiny set."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import stapes_spec as spec
from bad_files import GRAPH, LIGHTS, MODEL
from stapes.endpoint import Endpointers
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.cli.main import main
from stapes_tools.convert.endpointer import with_endpointer
from stapes_tools.convert.metadata import EndpointSettings, decode_metadata
from stapes_tools.convert.pack import densify, pack
from stapes_tools.convert.read import read_model
from stapes_tools.endpoint.truth import speech_ms
from stapes_tools.evaluate.endpoints import Listened
from stapes_tools.evaluate.folder import Utterance
from stapes_tools.evaluate.noise import CLEAN

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernels"))
from endpoint_runner import with_random_net  # beside the kernels' tests

RATE = spec.AUDIO_SAMPLE_RATE_HZ
STEP_MS = spec.FRONTEND_STEP_MS
SILENCE_STEPS = EndpointSettings().silence_steps


def burst(ms, rng):
    return rng.normal(0, 0.2, ms * RATE // 1000)


def quiet(ms, rng):
    return rng.normal(0, 0.0002, ms * RATE // 1000)


@pytest.fixture
def folder(tmp_path):
    """Noise bursts instead of speech: ends at 1600 ms, at 2200 ms after a short pause, at 3200 after a long one."""
    folder = tmp_path / "orders"
    folder.mkdir()
    rng = np.random.default_rng(3)
    speech = {
        "plain": [quiet(600, rng), burst(1000, rng), quiet(3000, rng)],
        "short_pause": [quiet(600, rng), burst(700, rng), quiet(300, rng), burst(600, rng), quiet(100, rng)],
        "long_pause": [quiet(600, rng), burst(700, rng), quiet(1300, rng), burst(600, rng), quiet(300, rng)],
    }
    rows = {}
    for name, parts in speech.items():
        soundfile.write(str(folder / f"{name}.wav"), np.concatenate(parts), RATE)
        rows[name] = {"slots": {}, "text": "turn on the kitchen lights"}
    (folder / "refs.json").write_text(json.dumps(rows))
    (tmp_path / "model.tflite").write_bytes(MODEL)
    (tmp_path / "lights.stg").write_bytes(GRAPH)
    (tmp_path / "lights.yaml").write_text(LIGHTS if isinstance(LIGHTS, str) else Path(LIGHTS).read_text())
    return folder


def run(capfd, *words):
    code = main([str(word) for word in words])
    return code, *capfd.readouterr()


def evaluate(capfd, folder, *more):
    model, grammar = folder.parent / "model.tflite", folder.parent / "lights.stg"
    return run(capfd, "eval", folder, "--model", model, "--grammar", grammar, "--endpoints", "--processes", 1, *more)


def energy_row(out):
    (row,) = [row for row in json.loads(out)["rows"] if row["rule"] == "energy"]
    return row


# --- evaluation --------------------------------------------------------------------------


def test_energy_rule_on_known_ends(capfd, folder):
    """One of three is cut off in its pause; the others end so many quiet steps after their true end."""
    code, out, err = evaluate(capfd, folder, "--json")
    assert (code, err) == (0, "")
    row = energy_row(out)
    assert row["utterances"] == 3
    assert row["early_cut_rate"] == pytest.approx(1 / 3)
    assert row["undecided_rate"] == 0
    # A step holds 45 ms of sound: it is loud with a part of the burst in it, and over when all of it was heard.
    expected = SILENCE_STEPS * STEP_MS
    assert abs(row["final_latency_ms"]["median"] - expected) <= 3 * STEP_MS
    lead = EndpointSettings().lead_steps * STEP_MS
    assert row["lead_ms"] == {"median": lead, "p90": lead}
    assert row["time_saved_ms" if "time_saved_ms" in row else "saved_ms"] == lead


def test_models_own_row_comes_first(capfd, folder):
    (folder.parent / "model.tflite").write_bytes(with_random_net(MODEL, 1, EndpointSettings(0, 30, -20)))
    code, out, err = evaluate(capfd, folder, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert [row["rule"] for row in result["rows"]] == ["net", "trailing", "energy"]
    assert {name: value for name, value in result.items() if name != "rows"} == result["rows"][0]
    for name in ("final_latency_ms", "speculative_latency_ms", "early_cut_rate", "revised_rate", "command_acceptance"):
        assert name in result


def test_processes_agree(capfd, folder):
    one = evaluate(capfd, folder, "--json")
    two = evaluate(capfd, folder, "--json", "--processes", 2)
    assert one == two


def test_table_and_picture(capfd, folder):
    picture = folder.parent / "latencies.png"
    code, out, err = evaluate(capfd, folder, "--plot", picture)
    assert (code, err) == (0, "")
    assert "trailing" in out and "energy" in out and "3 recordings" in out
    assert picture.read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--wrong"], "leave --wrong out"),
        (["--effort", "0"], "leave --effort out"),
        (["--sweep", "effort"], "leave --sweep out"),
        (["--plot", "x.gif"], ".png"),
        (["--noise", "nowhere.wav"], "nowhere.wav"),
    ],
)
def test_what_does_not_go_together(capfd, folder, words, says):
    code, out, err = evaluate(capfd, folder, *words)
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1


def test_a_grammar_is_needed(capfd, folder):
    code, _, err = run(capfd, "eval", folder, "--model", folder.parent / "model.tflite", "--endpoints")
    assert code == 2 and "--grammar" in err


def test_recording_without_speech(capfd, folder):
    soundfile.write(str(folder / "plain.wav"), np.zeros(RATE), RATE)
    code, _, err = evaluate(capfd, folder)
    assert code == 2 and "plain.wav" in err and "no speech" in err


@pytest.mark.parametrize(("name", "repeats"), [("long_pause", True), ("short_pause", False)])
def test_recordings_go_on_after_the_end(folder, name, repeats):
    """With their own last 200 ms, or with digital silence where they stop sooner."""
    path = folder / f"{name}.wav"
    samples, end = Listened(Utterance(name, path, "", {}), CLEAN).samples()
    heard, _ = soundfile.read(str(path), dtype="int16")
    assert speech_ms(samples)[1] == end
    assert len(samples) == (end + 2500) * RATE // 1000
    tail = samples[len(heard) :]
    assert np.array_equal(tail[:3200], heard[-3200:]) if repeats else not tail.any()


# --- tuning -------------------------------------------------------------------------------


def tune(capfd, folder, target, *more):
    words = ["--engine", "flite", "--commands", 16, "--epochs", 2, "--data", folder / "nowhere", "-o", target]
    grammar = folder.parent / "lights.yaml"
    return run(capfd, "endpoint", "tune", folder.parent / "model.tflite", "--grammar", grammar, *words, *more)


def test_tuner_writes_a_net_and_thresholds(capfd, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    target, again = tmp_path / "tuned.tflite", tmp_path / "again.tflite"
    code, out, err = tune(capfd, folder, target)
    assert code == 0, err
    assert "recordings" in out and "cut off" in out
    data = target.read_bytes()
    settings = decode_metadata(data).endpoint
    assert settings is not None and settings != EndpointSettings()
    assert [part.name for part in read_model(data).subgraphs][-1] == "endpointer"
    rejection = decode_metadata(data).rejection / 1024
    assert rejection > 0 and f"doubted by more than {rejection:g} nats" in out
    assert with_endpointer(data, None, None) == MODEL
    assert densify(pack(data)[0])[0] == data
    assert tune(capfd, folder, again)[0] == 0
    assert again.read_bytes() == data, "equal seeds give equal files"
    _hears(data, settings)


def _hears(data, settings):
    """The board package takes net and thresholds from the file."""
    ear = Recognizer(data, GRAPH, kernels=kernels.install())
    assert ear.model.has_endpointer
    pointers = Endpointers(ear)
    assert pointers.rule == spec.ENDPOINT_RULE_NET
    assert list(ear.model.endpoint) == settings.config(0)[1:]
    rng = np.random.default_rng(1)
    verdicts = []
    for samples in np.split((rng.normal(0, 2000, 480 * 80)).astype(np.int16), 80):
        if ear.accept_chunk(samples):
            verdicts.append(pointers.verdict(ear.status, 0))
    assert len(verdicts) > 70 and set(verdicts) <= {0, 1, 2, 3}


def test_packed_models_can_be_tuned(capfd, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("STAPES_CACHE", str(tmp_path / "cache"))
    packed = pack(MODEL)[0]
    (folder.parent / "model.tflite").write_bytes(packed)
    target = tmp_path / "tuned.tflite"
    assert tune(capfd, folder, target)[0] == 0
    assert with_endpointer(target.read_bytes(), None, None) == packed


def test_compiled_grammars_cannot_be_spoken(capfd, folder):
    (folder.parent / "lights.yaml").unlink()
    words = ["endpoint", "tune", folder.parent / "model.tflite", "--grammar", folder.parent / "lights.stg"]
    code, _, err = run(capfd, *words)
    assert code == 2 and ".yaml" in err and err.count("\n") == 1


def test_foreign_file(capfd, folder):
    (folder.parent / "model.tflite").write_bytes(b"RIFF" * 10)
    code, _, err = tune(capfd, folder, folder / "x.tflite")
    assert code == 2 and "TFL3" in err and err.count("\n") == 1
