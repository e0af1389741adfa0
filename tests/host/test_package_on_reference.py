"""The whole board package on the plain Python kernels: the same events and lattice as on the C kernels."""

from array import array

import pytest
import stapes_reference
from bad_files import GRAPH, MODEL
from stapes.listener import Listener
from stapes.recognizer import Recognizer
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.transcript import event_as_json
from test_transcribe import LAMP

STEP = 480


def listen(module, samples):
    recognizer = Recognizer(bytearray(MODEL), bytearray(GRAPH), kernels=module)
    listener = Listener(recognizer, single=True)
    for begin in range(0, len(samples), STEP):
        chunk = array("h", samples[begin : begin + STEP].tobytes())
        listener.accept(chunk, len(chunk))
    listener.finish()
    events = []
    while listener.waiting:
        events.append(listener.take())
    lattice = next(bytes(event.lattice.data) for event in events if event.lattice)
    shown = [event_as_json(event) for event in events]
    shown[-1].pop("bytes")  # the reference lays its buffers out otherwise
    return shown, lattice


@pytest.mark.parametrize("seconds", [0.02, 1.0])
def test_reference_and_native_kernels_give_the_same_events(seconds):
    samples = read_recording(LAMP)[8000 : 8000 + int(16000 * seconds)]
    assert listen(stapes_reference, samples) == listen(kernels.install(), samples)
