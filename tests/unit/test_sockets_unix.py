"""MicroPython's unix port and the host over real sockets on loopback: TCP and TLS, with key and without."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from phone_model import phone_model
from stapes import event as kinds
from stapes_tools.cli.main import main
from stapes_tools.device.addresses import load_key, open_stream
from stapes_tools.device.keys import new_keys
from stapes_tools.device.monitor import Monitor
from stapes_tools.device.opening import open_session
from stapes_tools.device.unix import interpreter, module_path
from stapes_tools.errors import BoardError, UserError
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.transcript import transcribe

HERE = Path(__file__).parent
pytestmark = pytest.mark.unix
NAMES = [kinds.LATTICE, kinds.INTENT]


class Board:
    """The process, its port, and what it needs to be spoken to."""

    def __init__(self, folder, secured, with_key, utterances=3, step_ms=4):
        grammar = folder / "g.yaml"
        grammar.write_text('context:\n  expressions:\n    order: ["small latte"]\n')
        (folder / "g.stg").write_bytes(compile_grammar(grammar))
        (folder / "m.tflite").write_bytes(phone_model())
        self.pin = new_keys(folder / "keys")
        settings = json.loads((folder / "keys" / "settings.json").read_text())
        link = {}
        if with_key:
            link["key"] = settings["link"]["key"]
        if secured:
            for name in ("certificate", "private_key"):
                link[name] = str(folder / "keys" / settings["link"][name])
        (folder / "settings.json").write_text(json.dumps({"link": link}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.where = f"tls://127.0.0.1:{self.port}?pin={self.pin}" if secured else f"tcp://127.0.0.1:{self.port}"
        self.key_file = folder / "keys" / "device.key"
        self.key = load_key(self.key_file) if with_key else None
        words = [HERE / "station_on_unix.py", self.port, folder / "settings.json", folder / "m.tflite"]
        words += [folder / "g.stg", utterances, step_ms]
        environment = dict(os.environ, MICROPYPATH=f"{HERE}:{module_path()}")
        self.process = subprocess.Popen(
            [interpreter(), "-X", "heapsize=8M", *map(str, words)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.line() == "ready"

    def line(self):
        return self.process.stdout.readline().strip()

    def monitor(self, key=None, notice=lambda _: None):
        return Monitor("board", lambda: open_stream(self.where), key or self.key, notice, retry_s=10)

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def board(tmp_path):
    with contextlib.ExitStack() as stack:

        def build(*arguments, **options):
            made = Board(tmp_path, *arguments, **options)
            stack.callback(made.close)
            return made

        yield build


def utterances(monitor, count):
    """Numbers of the utterances in the lattices and intents that came, in order."""
    found = []
    for event in monitor.events():
        if event.kind in NAMES:
            found.append((event.kind, event.utterance))
        if len(found) == 2 * count:
            return found
    return found


def expected(count):
    return [(kind, number) for number in range(1, count + 1) for kind in NAMES]


@pytest.mark.parametrize("secured", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("with_key", [False, True], ids=["open", "key"])
def test_every_event_arrives(board, secured, with_key):
    made = board(secured, with_key)
    with made.monitor() as monitor:
        assert utterances(monitor, 3) == expected(3)


def test_cut_connections_are_resumed(board):
    made = board(True, True, utterances=12, step_ms=8)
    streams = []

    def connect():
        streams.append(open_stream(made.where))
        return streams[-1]

    with Monitor("board", connect, made.key, retry_s=10) as monitor:
        found = []
        for event in monitor.events():
            if event.kind in NAMES:
                found.append((event.kind, event.utterance))
            if event.kind == kinds.SPEECH_START and len(streams) < 4:
                streams[-1]._socket.shutdown(socket.SHUT_RDWR)
            if len(found) == 24:
                break
    assert found == expected(12)
    assert len(streams) == 4


def test_a_wrong_key_is_refused_and_logged(board):
    made = board(False, True, step_ms=20)
    with made.monitor(bytes(32)) as monitor, pytest.raises(UserError, match="device key is not the other end's"):
        next(monitor.events())
    with socket.create_connection(("127.0.0.1", made.port)) as stranger:
        stranger.sendall(os.urandom(3000) + b"\0" * 3000)
        stranger.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while stranger.recv(4096):
                pass
    with made.monitor() as monitor:
        assert utterances(monitor, 1) == expected(1)
    while not (line := made.line()).startswith("link: refused"):
        assert line.startswith("intent")


def test_a_host_without_the_key_is_refused(board):
    made = board(False, True, step_ms=20)
    with Monitor("board", lambda: open_stream(made.where)) as monitor, pytest.raises(UserError, match="asks for one"):
        next(monitor.events())


def test_a_board_without_the_key_is_refused(board):
    made = board(False, False, step_ms=20)
    with made.monitor(bytes(32)) as monitor, pytest.raises(UserError, match="the board did not prove it"):
        next(monitor.events())


def test_another_certificate_is_refused(board):
    made = board(True, False, step_ms=20)
    made.where = made.where.replace(made.pin, "0" * 64)
    with made.monitor() as monitor, pytest.raises(UserError, match="certificate is not the pinned one"):
        next(monitor.events())


def test_a_recording_is_sent_to_a_board_that_listens(board, monkeypatch):
    made = board(True, True, utterances=500, step_ms=1)
    monkeypatch.setenv("STAPES_KEY", str(made.key_file))
    with open_session(made.where, Path("unused"), Path("unused")) as session:
        session.connect()
        transcript = transcribe(np.zeros(20000, np.int16), session)
    assert transcript.text == "small latte"
    assert [event.kind for event in transcript.events][-2:] == [kinds.INTENT, kinds.STATISTICS]


def test_nobody_there_is_said():
    with (
        Monitor("board", lambda: open_stream("tcp://127.0.0.1:1")) as monitor,
        pytest.raises(BoardError, match="no conn"),
    ):
        next(monitor.events())


def monitor_command(*words):
    command = [Path(sys.executable).parent / "stapes", "monitor", *words]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_prints_json_lines(board):
    made = board(True, True, utterances=500)
    process = monitor_command(made.where, "--key", made.key_file, "--json", "--count", "2")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["kind"] for event in events if event["kind"] in ("lattice", "intent")] == ["lattice", "intent"] * 2
    assert next(event for event in events if event["kind"] == "lattice")["text"] == "small latte"


def test_ctrl_c_ends_the_command_cleanly(board):
    made = board(False, False, utterances=500, step_ms=20)
    process = monitor_command(made.where)
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err and err.rstrip().endswith("stapes: interrupted")


def test_exit_codes_of_the_command(board, tmp_path, capfd):
    made = board(False, True, utterances=500, step_ms=20)
    for words, code in (
        (["tcp://127.0.0.1:1"], 3),
        (["tcp://:1"], 2),
        ([made.where], 2),
        ([made.where, "--key", str(tmp_path / "none")], 2),
    ):
        assert main(["monitor", *words]) == code
        out, err = capfd.readouterr()
        assert out == ""
        assert err.count("\n") == 1 and err.startswith("stapes: "), err
