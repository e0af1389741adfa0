"""The sweep of the effort: what it counts, held against the recogniser itself, and how it is asked for."""

import json
from array import array
from pathlib import Path

import numpy as np
import pytest
import soundfile
import stapes_spec as spec
from bad_files import GRAPH, LIGHTS, MODEL
from phone_model import branched_model
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.cli.effort import efforts_of
from stapes_tools.cli.main import main
from stapes_tools.convert.work import work_of
from stapes_tools.errors import UserError
from stapes_tools.evaluate.cost import Steps, cost_of
from stapes_tools.evaluate.silence import first_silent_step, speech_end

SAMPLES = Path(__file__).resolve().parents[2] / "models" / "samples"
RECORDINGS = [SAMPLES / "lights_desk_lamp.flac", SAMPLES / "lights_bedroom.flac"]
BRANCHED = branched_model()
STEP = spec.FRONTEND_STEP_SAMPLES
KEYS = {"effort", "macs_per_second", "light_share", "command_acceptance", "wer", "light_share_trailing", "saved"}


def branches_of(samples, effort):
    """(the branch of each step, joint evaluations), asked of the board package."""
    recognizer = Recognizer(BRANCHED, GRAPH, effort=effort, kernels=kernels.install())
    found = []
    for begin in range(0, len(samples), STEP):
        if recognizer.accept_chunk(array("h", samples[begin : begin + STEP].tobytes())):
            found.append(recognizer.status[spec.STATUS_INDEX_BRANCH])
    return found, recognizer.status[spec.STATUS_INDEX_JOINT_EVALUATIONS]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "orders"
    folder.mkdir()
    rows = {}
    for number, path in enumerate(RECORDINGS):
        soundfile.write(str(folder / f"r{number}.wav"), read_recording(path), 16000)
        rows[f"r{number}"] = {"slots": {}, "text": "turn on the kitchen lights"}
    (folder / "refs.json").write_text(json.dumps(rows))
    (tmp_path / "branched.tflite").write_bytes(BRANCHED)
    (tmp_path / "plain.tflite").write_bytes(MODEL)
    return folder


def evaluate(capfd, folder, *more, model="branched.tflite"):
    words = ["eval", folder, "--model", folder.parent / model, "--grammar", LIGHTS, *more]
    code = main([str(word) for word in words])
    return code, *capfd.readouterr()


def refused(capfd, folder, *more, says, **options):
    code, out, err = evaluate(capfd, folder, *more, **options)
    assert (code, out) == (2, "") and err.count("\n") == 1 and err.startswith("stapes: "), err
    assert all(needle in err for needle in says), err


def test_a_sweep_counts_what_the_recogniser_ran(capfd, folder):
    efforts = [0, 30, 50, 70, 100]
    told = ",".join(map(str, efforts))
    code, out, err = evaluate(capfd, folder, "--sweep", "effort", "--efforts", told, "--json", "--processes", "2")
    assert (code, err) == (0, "")
    rows = json.loads(out)["rows"]
    assert [row["effort"] for row in rows] == [effort / 100 for effort in efforts]
    work = work_of(BRANCHED)
    for row in rows:
        assert set(row) >= KEYS and row["wer_free"] is None and row["out_of_vocabulary"] is None
        assert set(row["command_acceptance"]) == {"value", "low", "high"}
        steps, light, trailing, trailing_light, joints = 0, 0, 0, 0, 0
        for path in RECORDINGS:
            samples = read_recording(path)
            found, evaluations = branches_of(samples, row["effort"])
            end = next(k for k in range(len(found) + 1) if k * STEP >= speech_end(samples))
            steps, light, joints = steps + len(found), light + sum(found), joints + evaluations
            trailing, trailing_light = trailing + len(found[end:]), trailing_light + sum(found[end:])
        encoder = steps * work.arbitrator + (steps - light) * work.heavy + light * work.light
        assert trailing > 10
        assert row["light_share"] == light / steps
        assert row["light_share_trailing"] == trailing_light / trailing
        assert row["saved"] == pytest.approx(1 - encoder / (steps * work.heavy))
        assert row["encoder_macs_per_second"] == pytest.approx(encoder / (steps * 0.03))
        assert row["macs_per_second"] == pytest.approx((encoder + joints * work.joint) / (steps * 0.03))
    shares = [row["light_share"] for row in rows]
    assert shares[0] == 1 and shares[-1] == 0 and shares == sorted(shares, reverse=True)
    assert 0 < shares[2] < 1, "the arbitrator should choose now the one, now the other"
    assert rows[-1]["saved"] < 0 < rows[0]["saved"], "always heavy, the arbitrator is work for nothing"


def test_the_table_and_the_picture(capfd, folder):
    plot = folder.parent / "curve.png"
    code, out, err = evaluate(capfd, folder, "--sweep", "effort", "--plot", plot, "--processes", "1")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "effort, %" in lines[0] and "M mult./s" in lines[0] and "trailing, %" in lines[0]
    assert [line.split()[0] for line in lines[1:8]] == ["0", "20", "40", "50", "60", "80", "100"]
    assert "35 dB" in out and "condition" not in out
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and plot.stat().st_size > 10_000


@pytest.mark.usefixtures("small_loop")
def test_one_effort(capfd, folder):
    rows = []
    for more in (("--effort", "0"), ("--effort", "100"), ()):
        code, out, err = evaluate(capfd, folder, "--json", "--processes", "1", *more)
        assert (code, err) == (0, "")
        rows += json.loads(out)["rows"]
    assert [row["effort"] for row in rows] == [0, 1, None]
    assert [row["light_share"] for row in rows[:2]] == [1, 0]
    steps = [branches_of(read_recording(path), spec.ARBITRATOR_EFFORT_PERCENT / 100)[0] for path in RECORDINGS]
    assert rows[2]["light_share"] == sum(map(sum, steps)) / sum(map(len, steps))
    assert all(row["wer_free"] for row in rows)


@pytest.mark.usefixtures("small_loop")
def test_a_plain_model_has_a_cost_but_no_shares(capfd, folder):
    code, out, _ = evaluate(capfd, folder, "--json", "--processes", "1", model="plain.tflite")
    (row,) = json.loads(out)["rows"]
    assert code == 0 and row["macs_per_second"] > row["encoder_macs_per_second"]
    assert row["encoder_macs_per_second"] == pytest.approx(work_of(MODEL).heavy / 0.03)
    assert row["light_share"] is row["light_share_trailing"] is row["saved"] is row["effort"] is None


@pytest.mark.parametrize("more", [("--sweep", "effort"), ("--effort", "40")])
def test_a_plain_model_is_refused(capfd, folder, more):
    refused(capfd, folder, *more, says=["plain.tflite", "no light branch"], model="plain.tflite")


def test_a_checkpoint_is_refused(capfd, folder):
    (folder.parent / "dense.npz").write_bytes(b"")
    refused(capfd, folder, "--sweep", "effort", says=["dense.npz", "checkpoint"], model="dense.npz")


def test_mistakes_in_the_options(capfd, folder):
    refused(capfd, folder, "--efforts", "50", says=["--efforts has no sweep", "--sweep effort"])
    refused(capfd, folder, "--effort", "1", "--sweep", "effort", says=["exclude each other"])
    refused(capfd, folder, "--effort", "101", says=["101"])
    refused(capfd, folder, "--sweep", "noise", says=["noise", "effort"])
    assert efforts_of(" 50,0, 50,100") == [50, 0, 100]
    for text in ("", "0,,1", "0.5", "-1", "101", "nan", "²"):
        with pytest.raises(UserError, match="in --efforts is not a whole number of per cent"):
            efforts_of(text)


def tone(level, count):
    return (level * np.sin(np.arange(count) * 0.3)).astype(np.int16)


def test_where_speech_ends():
    loud, quiet = tone(10000, 1600), tone(10000 * 10 ** (-36 / 20), 1600)
    kept = tone(10000 * 10 ** (-34 / 20), 1600)
    assert speech_end(np.concatenate([loud, quiet])) == 1600
    assert speech_end(np.concatenate([loud, kept, quiet])) == 3200
    assert speech_end(np.concatenate([quiet, loud])) == 3200
    assert speech_end(np.zeros(1000, np.int16)) == 1000 and speech_end(loud[:100]) == 100
    assert first_silent_step(np.concatenate([loud, quiet])) == 4, "step 3 begins at sample 1440, step 4 at 1920"


def test_costs_of_nothing():
    work = work_of(BRANCHED)
    assert cost_of(work, []) is None and cost_of(work, [Steps()]) is None
    assert cost_of(work, [Steps(count=4)]).light_share_trailing is None
