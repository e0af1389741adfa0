"""The link over an emulated board's UART: the same events as over its USB serial."""

from pathlib import Path

import numpy as np
import pytest
from stapes_tools.audio import read_recording
from stapes_tools.device.opening import open_session
from stapes_tools.grammars import compiled
from stapes_tools.models import default_model
from stapes_tools.transcript import event_as_json, transcribe

REPO = Path(__file__).resolve().parents[2]
SAMPLE = REPO / "models" / "samples" / "lights_desk_lamp.flac"
SAMPLES = 12_000  # a word or two: the emulator takes its time for each byte on the wire


def heard(on):
    graph = compiled(REPO / "models" / "grammars" / "lights.yaml")
    samples = np.asarray(read_recording(SAMPLE))[8_000 : 8_000 + SAMPLES]
    with open_session(on, default_model(Path("coffee")), graph) as session:
        session.connect()
        return transcribe(samples, session), session.state() if on != "host" else {}


@pytest.mark.emulator
@pytest.mark.xdist_group("emulator")
def test_a_recording_over_the_uart():
    found, state = heard("emulator+uart")
    expected, _ = heard("host")
    assert found.lattice_bytes == expected.lattice_bytes
    shown = [[event_as_json(event) for event in transcript.events] for transcript in (found, expected)]
    for events in shown:
        events[-1].pop("bytes")  # buffers may be laid out otherwise
    assert shown[0] == shown[1]
    assert state["damaged"] == 0 and state["given_up"] == 0, "bytes were lost on a wire that loses none"
    assert 0 < state["final_to_wire_us"] < 1_000_000
