"""Ten real recordings on the emulated board: each lattice is the host's, bit for bit. A quarter of an hour."""

import json

import pytest
from driver import REPO, model
from stapes_tools.audio import read_recording
from stapes_tools.device.opening import open_session
from stapes_tools.grammars import compiled
from stapes_tools.transcript import transcribe

_FOLDER = REPO.parent / "shared" / "data" / "barista_dev"
_COUNT = 10

pytestmark = [
    pytest.mark.slow,
    pytest.mark.emulator,
    pytest.mark.skipif(not _FOLDER.is_dir(), reason=f"needs the recordings of {_FOLDER.name}"),
]


def _recordings():
    """The first by name, which says nothing about what they hold."""
    names = sorted(json.loads((_FOLDER / "refs.json").read_text())) if _FOLDER.is_dir() else []
    return [_FOLDER / f"{name}.flac" for name in names[:_COUNT]]


@pytest.fixture(scope="module")
def sessions():
    """The host and an emulated RP2040, with the coffee benchmark's own grammar."""
    grammar = compiled(_FOLDER / "coffee_maker.yaml")
    with open_session("host", model(), grammar) as host, open_session("emulator", model(), grammar) as board:
        host.connect()
        board.connect()
        yield host, board


@pytest.mark.parametrize("recording", _recordings(), ids=lambda path: path.stem[:8])
def test_the_board_hears_what_the_host_hears(sessions, recording, figure):
    samples = read_recording(recording)
    host, board = (transcribe(samples, session) for session in sessions)
    assert board.lattice_bytes == host.lattice_bytes
    assert board.intent == host.intent and board.slots == host.slots
    figure("lattice", len(board.lattice_bytes), "bytes")
