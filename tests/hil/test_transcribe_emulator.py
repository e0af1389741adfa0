"""One recording through the firmware image on the emulated RP2040: the host's lattice, bit for bit."""

from pathlib import Path

import pytest
import stapes_spec as spec
from stapes_tools.audio import read_recording
from stapes_tools.device.opening import open_session
from stapes_tools.grammars import compiled
from stapes_tools.transcript import event_as_json, transcribe

REPO = Path(__file__).resolve().parents[2]
ORDERS = REPO.parent / "shared" / "data" / "barista_dev"
SAMPLE = REPO / "models" / "samples" / "lights_desk_lamp.flac"
MODEL = REPO / "models" / "first" / "model.tflite"
LONGEST_S = 2  # of audio; the emulator takes about half a minute for each second


def recording():
    """Part of the first real order, or a sample where the orders are not at hand."""
    orders = sorted(ORDERS.glob("*.flac"))
    path = orders[0] if orders else SAMPLE
    grammar = ORDERS / "coffee_maker.yaml" if orders else REPO / "models" / "grammars" / "lights.yaml"
    samples = read_recording(path)
    first = 2 * spec.AUDIO_SAMPLE_RATE_HZ if orders else 0  # before that there is room noise
    return samples[first : first + LONGEST_S * spec.AUDIO_SAMPLE_RATE_HZ], compiled(grammar)


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
    assert len(found.lattice.edges) >= 1
    assert found.lattice_bytes == expected.lattice_bytes
    events = [[event_as_json(event) for event in transcript.events] for transcript in (found, expected)]
    for shown in events:
        shown[-1].pop("bytes")  # buffers may be laid out otherwise
    assert events[0] == events[1]
