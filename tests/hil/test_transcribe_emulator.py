"""One recording through the firmware image on the emulated RP2040: the host's lattice, bit for bit."""

import sys
from pathlib import Path

import pytest
from stapes_tools.audio import read_recording
from stapes_tools.device.opening import open_session
from stapes_tools.device.session import Order
from stapes_tools.grammars import compiled
from stapes_tools.models import default_model
from stapes_tools.transcript import event_as_json, transcribe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from phone_model import branched_model

REPO = Path(__file__).resolve().parents[2]
ORDERS = REPO.parent / "shared" / "data" / "barista_dev"
SAMPLE = REPO / "models" / "samples" / "lights_desk_lamp.flac"
MODEL = default_model(Path("coffee"))


def recording():
    """The shortest real order, or a sample where the orders are not at hand.

    The emulator takes 15 to 30 seconds for each second of audio.
    """
    orders = {path: read_recording(path) for path in sorted(ORDERS.glob("*.flac"))}
    if orders:
        return min(orders.values(), key=len), compiled(ORDERS / "coffee_maker.yaml")
    return read_recording(SAMPLE), compiled(REPO / "models" / "grammars" / "lights.yaml")


def recognise(on, samples, graph):
    with open_session(on, MODEL, graph) as session:
        about = session.connect()
        return about, transcribe(samples, session)


@pytest.mark.emulator
@pytest.mark.xdist_group("emulator")
def test_the_emulated_board_says_what_the_host_says():
    samples, graph = recording()
    _, expected = recognise("host", samples, graph)
    about, found = recognise("emulator", samples, graph)
    assert about["board"] == "rp2"
    assert about["kernels"] == "stapes_kernels"
    assert len(found.text.split()) >= 3, "the recording should hold more than silence"
    assert found.lattice_bytes == expected.lattice_bytes
    events = [[event_as_json(event) for event in transcript.events] for transcript in (found, expected)]
    for shown in events:
        shown[-1].pop("bytes")  # buffers may be laid out otherwise
    assert events[0] == events[1]


@pytest.mark.emulator
@pytest.mark.xdist_group("emulator")
def test_the_emulated_board_takes_the_same_branch_at_every_step(tmp_path):
    model = tmp_path / "branched.tflite"
    model.write_bytes(branched_model())
    samples, graph = read_recording(SAMPLE), compiled(REPO / "models" / "grammars" / "lights.yaml")
    records = {}
    for on in ("host", "emulator"):
        with open_session(on, model, graph) as session:
            about = session.connect()
            assert about["branches"]
            records[on] = transcribe(samples, session, order=Order(effort=50, trace=True)).records
    assert about["clock_hz"] == 125_000_000
    spent = {branch: [r["us"] for r in records["emulator"] if r["branch"] == branch] for branch in (0, 1)}
    assert min(map(len, spent.values())) > 3, "both branches should have run"
    assert all(0 < us < 30_000 for times in spent.values() for us in times)
    strip = [[{**record, "us": None} for record in found] for found in records.values()]
    assert strip[0] == strip[1]
