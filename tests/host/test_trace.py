"""`stapes transcribe --trace`: which branch ran and what each step cost, on host and unix alike."""

import json
from array import array
from pathlib import Path

import numpy as np
import pytest
import stapes_spec as spec
from bad_files import GRAPH, LIGHTS, MODEL
from phone_model import branched_model
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.cli import trace_view
from stapes_tools.cli.main import main
from stapes_tools.convert.work import work_of
from stapes_tools.errors import BoardError
from stapes_tools.trace import Step, Trace, as_json, trace_of
from stapes_tools.transcript import Transcript

LAMP = Path(__file__).resolve().parents[2] / "models" / "samples" / "lights_desk_lamp.flac"
BRANCHED = branched_model()
BOARDS = ["host", pytest.param("unix", marks=pytest.mark.unix)]
STEP = spec.FRONTEND_STEP_SAMPLES
KEYS = [
    "format",
    "version",
    "on",
    "recording",
    "audio_ms",
    "step_ms",
    "branches",
    "effort",
    "clock_hz",
    "unit",
    "work",
    "text",
    "intent",
    "slots",
    "words",
    "light_share",
    "steps",
]
STEP_KEYS = [
    "start_ms",
    "end_ms",
    "branch",
    "cycles",
    "multiplications",
    "active_tokens",
    "trailing_blanks",
    "joint_evaluations",
    "words",
    "fed_silence",
]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "branched.tflite"
    path.write_bytes(BRANCHED)
    return path


def transcribe(capfd, model, *more, on="host"):
    words = ["transcribe", LAMP, "--on", on, "--model", model, "--grammar", LIGHTS, *more]
    code = main([str(word) for word in words])
    return code, *capfd.readouterr()


def refused(capfd, *arguments, says, **options):
    code, out, err = transcribe(capfd, *arguments, **options)
    assert (code, out) == (2, "") and err.count("\n") == 1 and err.startswith("stapes: "), err
    assert all(str(needle) in err for needle in says), err


def steps_of(effort, count):
    """(branch, tokens, blanks, joints, words) of the first steps, asked of the board package."""
    recognizer = Recognizer(BRANCHED, GRAPH, effort=effort, kernels=kernels.install())
    samples = np.concatenate([read_recording(LAMP), np.zeros((spec.ENDPOINT_FLUSH_STEPS + 1) * STEP, np.int16)])
    found, joints, shown = [], 0, []
    for begin in range(0, len(samples), STEP):
        if len(found) < count and recognizer.accept_chunk(array("h", samples[begin : begin + STEP].tobytes())):
            status = recognizer.status
            new, joints = status[spec.STATUS_INDEX_JOINT_EVALUATIONS] - joints, status[7]
            words = recognizer.partial_words()
            places = (spec.STATUS_INDEX_BRANCH, spec.STATUS_INDEX_ACTIVE_TOKENS, spec.STATUS_INDEX_TRAILING_BLANKS)
            found.append((*(status[k] for k in places), new, None if words == shown else words))
            shown = words
    return found


@pytest.mark.parametrize("on", BOARDS)
@pytest.mark.parametrize("effort", [0, 50, 100])
def test_each_step_is_what_the_board_package_did(capfd, model, tmp_path, on, effort):
    path = tmp_path / "trace.json"
    code, out, err = transcribe(capfd, model, "--effort", effort, "--trace", path, "--json", on=on)
    assert (code, err) == (0, "")
    trace = json.loads(path.read_text())
    assert trace == json.loads(out)["trace"]
    assert list(trace) == KEYS and all(list(step) == STEP_KEYS for step in trace["steps"])
    assert (trace["format"], trace["version"], trace["on"]) == ("stapes-trace", 1, on)
    assert (trace["effort"], trace["branches"], trace["clock_hz"]) == (effort / 100, True, None)
    steps, work = trace["steps"], work_of(BRANCHED)
    found = steps_of(effort / 100, len(steps))
    assert len(steps) == len(found) > 30
    for number, (step, (branch, tokens, blanks, joints, words)) in enumerate(zip(steps, found, strict=True)):
        assert (step["start_ms"], step["end_ms"]) == (30 * number, 30 * number + 30)
        assert step["branch"] == ("light" if branch else "heavy")
        assert (step["active_tokens"], step["trailing_blanks"], step["joint_evaluations"]) == (tokens, blanks, joints)
        assert step["words"] == words and step["cycles"] is None
        encoder = work.light if branch else work.heavy
        assert step["multiplications"] == work.arbitrator + encoder + joints * work.joint
    own = [step["branch"] for step in steps if not step["fed_silence"]]
    light = own.count("light")
    assert trace["light_share"] == light / len(own)
    assert {0: light == len(own), 50: 0 < light < len(own), 100: light == 0}[effort]


def test_a_trace_changes_nothing(capfd, model):
    plain, traced = (json.loads(transcribe(capfd, model, "--json", *more)[1]) for more in ((), ("--trace",)))
    trace = traced.pop("trace")
    assert traced == plain
    assert " ".join(word["text"] for word in trace["words"]) == plain["text"] == trace["text"]
    changes = [step["words"] for step in trace["steps"] if step["words"] is not None]
    shown = [event["text"] for event in plain["events"] if event["kind"] == "partial"]
    assert set(shown) <= {" ".join(words) for words in changes}


def test_what_a_pipe_shows(capfd, model):
    code, out, err = transcribe(capfd, model, "--trace")
    assert (code, err) == (0, "") and "\x1b" not in out
    below = out[out.index("  time  branch") :]
    assert "█" in below and "░" in below and "multiplications" in below and "effort: its own" in below


def test_a_plain_model(capfd, model):
    model.write_bytes(MODEL)
    code, out, _ = transcribe(capfd, model, "--trace", "--json")
    trace = json.loads(out)["trace"]
    assert code == 0 and (trace["branches"], trace["light_share"], trace["effort"]) == (False, None, None)
    work = work_of(MODEL)
    assert {step["branch"] for step in trace["steps"]} == {"heavy"}
    assert all(s["multiplications"] == work.heavy + s["joint_evaluations"] * work.joint for s in trace["steps"])
    assert "the model has no light branch" in transcribe(capfd, model, "--trace")[1]


@pytest.mark.parametrize("on", BOARDS)
def test_an_effort_needs_branches(capfd, model, on):
    model.write_bytes(MODEL)
    refused(capfd, model, "--effort", 50, says=["no light branch", "leave the effort out"], on=on)


def test_the_picture(capfd, model, tmp_path):
    picture = tmp_path / "trace.png"
    code, out, err = transcribe(capfd, model, "--trace-plot", picture)
    assert (code, err) == (0, "") and "branch  " not in out
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and picture.stat().st_size > 20_000


def test_files_that_cannot_be_written_are_said_before_the_work(capfd, model, tmp_path):
    refused(capfd, model, "--trace", tmp_path / "trace.wav", says=["trace.wav", "does not end in .json"])
    refused(capfd, model, "--trace-plot", tmp_path / "t.jpg", says=["t.jpg", "does not end in .png"])
    refused(capfd, model, "--trace", tmp_path / "no" / "t.json", says=["t.json", "folder does not exist"])


def test_silence_that_is_fed_at_the_end_is_marked(capfd, model, tmp_path):
    import soundfile

    samples = read_recording(LAMP)[: 20 * STEP]  # cut in the middle of the sentence
    soundfile.write(str(tmp_path / "cut.wav"), samples, 16000)
    words = ["transcribe", tmp_path / "cut.wav", "--on", "host", "--model", model, "--grammar", LIGHTS]
    assert main([str(word) for word in [*words, "--trace", "--json"]]) == 0
    trace = json.loads(capfd.readouterr().out)["trace"]
    assert trace["audio_ms"] == 600 and len(trace["steps"]) == 20 + spec.ENDPOINT_FLUSH_STEPS - 1
    assert [step["fed_silence"] for step in trace["steps"]] == [k >= 20 for k in range(len(trace["steps"]))]
    own = trace["steps"][:20]
    assert trace["light_share"] == sum(step["branch"] == "light" for step in own) / 20


def record(us):
    return {"step": 1, "branch": 1, "tokens": 3, "blanks": 2, "joints": 4, "us": us, "words": ["on"]}


def test_cycles_come_from_the_boards_clock():
    transcript = Transcript("emulator", records=[record(1500)], statistics={"steps": 1})
    about = {"clock_hz": 125_000_000, "branches": True}
    trace = trace_of(transcript, about, read_recording(LAMP), LAMP, work=None, effort=20)
    assert trace.steps == [Step(0, 30, "light", 187_500, None, 3, 2, 4, ["on"], False)]
    assert trace.unit == "cycles" and trace.costs() == [187_500]
    shown = as_json(trace)
    assert (shown["work"], shown["unit"], shown["clock_hz"], shown["effort"]) == (None, "cycles", 125_000_000, 0.2)


def test_a_board_that_tells_nothing():
    transcript = Transcript("/dev/ttyACM0", statistics={"steps": 7})
    with pytest.raises(BoardError, match="ttyACM0: the board tells nothing of its steps; flash it"):
        trace_of(transcript, {}, read_recording(LAMP), LAMP, work=None, effort=None)


def test_a_trace_of_nothing_is_shown():
    trace = Trace("host", "a.wav", 1, True, None, None, None, "", None, {}, [], [])
    assert trace.light_share == 0 and len(list(trace_view.notes(trace))) == 2
    assert trace_view.table(trace).row_count == 0
