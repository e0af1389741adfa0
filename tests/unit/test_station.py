"""A board that listens by itself: what it does for a host, and what a slow or absent host does to it."""

import json
import random
import time

import pytest
import stapes
import stapes_spec as spec
from scripted_kernels import ScriptedKernels, lattice_bytes
from stapes import recognizer
from stapes.errors import StapesError
from stapes.link import event_codec
from stapes.link.host_end import HostLink
from stapes.settings import Settings
from stapes.station import Station
from stapes.wifi import join
from test_downstream import Samples, files_of_one_command

SCRIPT = [(0, 1, 0, ())] * 3 + [(1, 0, 0, (0,)), (2, 0, 1, (0, 1))] + [(2, k, 1, (0, 1)) for k in range(1, 40)]


class Wire:
    """A transport whose other end is a HostLink that takes so many bytes per step of the board."""

    prompt = False
    strict = False

    def __init__(self, bytes_per_step=100000, there=True):
        self.host = HostLink(None, random.Random(5).randbytes)
        self.pace = bytes_per_step
        self.fresh = there
        self.there = there
        self.pending = b""
        self.heard = []
        self.room = 256
        if there:
            self.host.connected(self.now())

    def now(self):
        return time.monotonic_ns() // 1_000_000

    def begins(self):
        fresh, self.fresh = self.fresh, False
        return fresh

    def readinto(self, buffer, wait_ms):
        if not self.there:
            return 0
        self._host_reads()
        out = self.host.output(self.now())
        if out is None:
            return 0
        count = min(len(out), len(buffer))
        buffer[:count] = out[:count]
        self.host.sent(count)
        return count

    def _host_reads(self):
        data, self.pending = self.pending[: self.pace], self.pending[self.pace :]
        while data:
            data = data[self.host.parser.put(data) :]
            while kind := self.host.receive(self.now()):
                lost = self.host.inbox.missed
                self.heard.append((kind, lost if kind == spec.FRAME_TYPE_GIVEN_UP else bytes(self.host.payload)))

    def write(self, view):
        count = min(len(view), self.room - len(self.pending))
        if count > 0:
            self.pending += bytes(view[:count])
        return max(count, 0) if self.there else 0

    def hang_up(self):
        pass

    def events(self):
        kinds = (spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_NEWS)
        return [event_codec.decode(payload) for kind, payload in self.heard if kind in kinds]

    def command(self, code, order=None):
        self.host.send(spec.FRAME_TYPE_COMMAND, bytes([code, 0, 0, 0]) + json.dumps(order or {}).encode())

    def replies(self):
        return [(p[0], p[1], json.loads(p[4:])) for kind, p in self.heard if kind == spec.FRAME_TYPE_REPLY]


def station(microphone, wire):
    ear = stapes.Recognizer(*files_of_one_command(), kernels=ScriptedKernels(SCRIPT, lattice_bytes()))
    return Station(ear, microphone, wire)


def test_the_host_hears_what_the_loop_hears():
    wire = Wire()
    near = [repr(event) for event in station(Samples(100), wire)]
    far = [repr(event) for event in wire.events()]
    assert [line for line in near if "lattice" in line or "intent" in line] == [
        line for line in far if "lattice" in line or "intent" in line
    ]
    assert len([line for line in far if "lattice" in line]) >= 3


def test_files_are_not_read_for_a_host_once_the_microphone_runs(monkeypatch):
    """On a board that takes longer than the microphone's ring lasts, and the first sound was lost."""
    read = []
    digest = recognizer.digest
    monkeypatch.setattr(recognizer, "digest", lambda data: read.append(None) or digest(data))
    wire = Wire()
    made = station(Samples(9), wire)
    assert len(read) == 2
    list(made)
    assert len(read) == 2 and len(wire.host.about["model_hash"]) == len(wire.host.about["grammar_hash"]) == 16


def test_a_slow_reader_costs_no_sample_and_partials_first(monkeypatch):
    monkeypatch.setattr("stapes.station._LINGER_MS", 0)
    wire = Wire(bytes_per_step=6)
    sound = Samples(3000)
    made = station(sound, wire)
    began = time.monotonic()
    near = list(made)
    assert time.monotonic() - began < 30, "it waited for its reader"
    assert sound.left == -1, "every step of the microphone was heard"
    assert len([event for event in near if event.kind == stapes.LATTICE]) > 80
    outbox = made.link.outbox
    assert outbox.dropped > 50
    lattices = [event.utterance for event in wire.events() if event.kind == stapes.LATTICE]
    assert lattices == sorted(set(lattices))


def test_nobody_there_costs_nothing(monkeypatch):
    monkeypatch.setattr("stapes.station._LINGER_MS", 0)
    made = station(Samples(2000), Wire(there=False))
    near = list(made)
    assert len([event for event in near if event.kind == stapes.LATTICE]) > 50
    assert made.link.outbox.pending <= spec.LINK_OUTBOX_MESSAGES
    assert made.link.outbox.given_up > 0


def steps(made, count):
    """Run so many steps, taking events as they come."""
    found = []
    for _ in range(count):
        while (event := made._take()) is not None:
            found.append(event)
        made._advance()
    return found


def test_commands_stop_start_and_ask(monkeypatch):
    monkeypatch.setattr("stapes.station._REST_MS", 0)
    wire = Wire()
    sound = Samples(10**6)
    made = station(sound, wire)
    steps(made, 20)
    wire.command(spec.COMMAND_STOP)
    steps(made, 5)
    left = sound.left
    assert steps(made, 20) == [] and sound.left == left
    wire.command(spec.COMMAND_STATE)
    steps(made, 5)
    code, failed, state = wire.replies()[-1]
    assert (code, failed, state["listening"]) == (spec.COMMAND_STATE, 0, False)
    wire.command(spec.COMMAND_EFFORT, {"effort": 0.25})
    wire.command(spec.COMMAND_EFFORT, {"effort": 2})
    wire.command(spec.COMMAND_LATTICE, {"bytes": 500, "beam": 2.5, "rejection": 4.5})
    wire.command(spec.COMMAND_LATTICE, {"bytes": 0})
    wire.command(spec.COMMAND_LATTICE, {"beam": "wide"})
    wire.command(spec.COMMAND_LATTICE, {"rejection": 64})
    wire.command(spec.COMMAND_START, {"audio": True, "trace": True})
    wire.command(spec.COMMAND_START)
    assert steps(made, 10)[0].kind == stapes.LISTENING
    assert sound.left < left
    failed = [reply for reply in wire.replies() if reply[1]]
    refused = [(reply[0], reply[2]["code"], reply[2]["detail"]) for reply in failed]
    assert refused == [
        (spec.COMMAND_EFFORT, spec.ERROR_LINK_COMMAND, "effort 2"),
        (spec.COMMAND_LATTICE, spec.ERROR_LINK_COMMAND, "lattice_bytes must be from 1 to 8192, is 0"),
        (spec.COMMAND_LATTICE, spec.ERROR_LINK_COMMAND, "lattice_beam must be a number from 0 to 32, is 'wide'"),
        (spec.COMMAND_LATTICE, spec.ERROR_LINK_COMMAND, "rejection must be a number from 0 to 63, is 64"),
        (spec.COMMAND_START, spec.ERROR_LINK_COMMAND, "its steps cannot be traced"),
    ]
    assert made._recognizer.effort == 0.25
    ear = made._recognizer
    assert (ear.lattice_bytes, ear.lattice_beam, ear.rejection) == (500, 2.5, 4.5)


def test_the_time_from_decision_to_wire_is_known():
    wire = Wire()
    made = station(Samples(100), wire)
    drained = []
    made.server._drain = lambda wait_ms: drained.append(wait_ms) or True
    assert made.server.state()["final_to_wire_us"] is None
    results = [event for event in made if event.kind in (stapes.LATTICE, stapes.CONFIRM)]
    assert len(drained) == len(results) >= 3
    assert made.server.state()["final_to_wire_us"] > 0
    assert all(event.decided_us is not None for event in results)


def test_audio_for_tests_takes_the_microphones_place(monkeypatch):
    monkeypatch.setattr("stapes.station._REST_MS", 0)
    wire = Wire()
    sound = Samples(10**6)
    made = station(sound, wire)
    steps(made, 5)
    wire.command(spec.COMMAND_START, {"audio": True, "single": True, "utterance": 500})
    for _ in range(10):
        wire.host.send(spec.FRAME_TYPE_AUDIO, bytes(2 * spec.FRAME_AUDIO_SAMPLES))
    wire.command(spec.COMMAND_FINISH)
    steps(made, 5)
    left = sound.left
    steps(made, 60)
    assert sound.left == left
    kinds = [event.kind for event in wire.events() if event.utterance == 500]
    assert kinds[-3:-1] == [stapes.INTENT, stapes.STATISTICS] or kinds[-2] == stapes.INTENT
    assert kinds[-1] == stapes.STOPPED
    assert stapes.LATTICE in kinds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        ('{"wifi": {"ssid": "a"}}', "wifi needs ssid and password"),
        ('{"link": 3}', "link is no object"),
        ('{"link": {"key": "00"}}', "64 hexadecimal digits, not 2"),
        ('{"link": {"key": 7}}', "settings"),
        ('{"link": {"certificate": "/none", "private_key": "/none"}}', "there is no such file"),
    ],
)
def test_settings_that_are_wrong(tmp_path, text, said):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(StapesError, match=said):
        Settings(str(path))


class Radio:
    """network.WLAN as far as it is used."""

    def __init__(self, after):
        self.after, self.given = after, None

    def active(self, on):
        assert on

    def isconnected(self):
        self.after -= 1
        return self.after < 0

    def connect(self, ssid, password):
        self.given = (ssid, password)

    def ifconfig(self):
        return ("10.0.0.7", "", "", "")

    def status(self):
        return -2


def test_joining_a_wireless_network():
    radio = Radio(3)
    assert join("home", "secret", wlan=radio) == "10.0.0.7"
    assert radio.given == ("home", "secret")
    with pytest.raises(StapesError, match=r"home: .*did not join.*status -2 after 0 s") as caught:
        join("home", "secret", timeout_ms=300, wlan=Radio(99))
    assert "secret" not in str(caught.value)
