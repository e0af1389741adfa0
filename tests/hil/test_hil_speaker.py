"""From a loudspeaker to a board's own microphone: --speaker."""

import shutil
import subprocess

import pytest
import soundfile
from driver import GRAMMAR, REPO, model
from stapes import event as kinds
from stapes_tools.audio import read_recording
from stapes_tools.device.host import HostSession
from stapes_tools.grammars import compiled
from stapes_tools.transcript import transcribe
from talk import Talk

_PLAYERS = ("paplay", "aplay", "afplay")


@pytest.fixture
def play(request, tmp_path):
    """A function that plays a recording and waits for its end."""
    if not request.config.getoption("--speaker", default=False):
        pytest.skip("needs --speaker, a loudspeaker and a board with a microphone")
    player = next((found for name in _PLAYERS if (found := shutil.which(name))), None)
    assert player, f"none of {', '.join(_PLAYERS)} is installed"

    def playing(samples):
        path = tmp_path / "order.wav"
        soundfile.write(path, samples, 16000, "PCM_16")
        subprocess.run([player, path], check=True, timeout=60)

    return playing


@pytest.mark.parametrize("name", ["coffee_never_mind", "coffee_espresso"])
def test_what_the_loudspeaker_says_is_understood(device, play, figure, name):
    samples = read_recording(REPO / "models" / "samples" / f"{name}.flac")
    with HostSession(model(), compiled(GRAMMAR)) as session:
        session.connect()
        expected = transcribe(samples, session)
    device.listen()
    with Talk(device) as talk:
        play(samples)
        heard = talk.wait(lambda event: event.kind == kinds.INTENT and event.intent is not None, 10)
        assert (heard.intent, dict(heard.slots)) == (expected.intent, dict(expected.slots))
        ended = talk.wait(lambda event: event.kind == kinds.ENDPOINT)
    figure("intent", heard.intent)
    figure("end-point", ended.time_ms, "ms since it listens")
