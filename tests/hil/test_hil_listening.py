"""A device that listens: it boots, hears as the host does, and loses nothing on a bad line."""

import random

import numpy as np
import pytest
import stapes_spec as spec
from driver import GRAMMAR, REPO, Borrowed, model
from stapes import event as kinds
from stapes_tools.audio import read_recording
from stapes_tools.device.host import HostSession
from stapes_tools.device.session import Order, Session
from stapes_tools.grammars import compiled
from stapes_tools.transcript import transcribe
from talk import Talk

_RATE = spec.AUDIO_SAMPLE_RATE_HZ
_QUIET = 300
_LOSSY = """
from stapes.startup import run
class Lossy:
    lost = steps = 0
    def readinto(self, samples):
        self.steps += 1
        if self.steps == 4:
            self.lost += 960
        return len(samples)
run(microphone=Lossy())
"""


@pytest.fixture(scope="module")
def sound():
    """The spoken part of a recording, and the silence that ends it."""
    samples = read_recording(REPO / "models" / "samples" / "coffee_never_mind.flac")
    loud = np.flatnonzero(np.abs(samples.astype(int)) > _QUIET)
    spoken = samples[max(0, loud[0] - _RATE // 10) : loud[-1] + _RATE // 10]
    return np.concatenate([spoken, np.zeros(_RATE * 6 // 5, np.int16)])


@pytest.fixture(scope="module")
def expected(sound):
    """What the host makes of it."""
    with HostSession(model(), compiled(GRAMMAR)) as session:
        session.connect()
        return transcribe(sound, session)


@pytest.fixture
def listening(device):
    """The device, listening as its image does."""
    device.listen()
    return device


def test_boots_and_says_what_it_is(listening, figure, note_about):
    """Without a microphone it says so, and serves the host."""
    with Talk(listening) as talk:
        note_about(talk.about)
        assert talk.about["firmware"] == spec.PROJECT_VERSION
        assert talk.about["kernels"] == "stapes_kernels"
        assert all(len(talk.about[name]) == 16 for name in ("firmware_hash", "model_hash", "grammar_hash"))
        figure("recogniser", talk.about["bytes"], "bytes")
        talk.command(spec.COMMAND_STATE)
        failed, state = talk.reply(spec.COMMAND_STATE)
        assert not failed and state["given_up"] == state["refusals"] == 0
        if listening.kind == "unix":
            assert talk.error(spec.ERROR_MICROPHONE).advice


@pytest.mark.slow_on_emulator
def test_hears_what_the_host_hears(listening, sound, expected, figure):
    """Words, end-point and lattice, bit for bit."""
    with listening.session() as session:
        session.connect()
        found = transcribe(sound, session)
    assert found.text == expected.text and len(found.text.split()) >= 2
    assert found.lattice_bytes == expected.lattice_bytes
    assert found.intent == expected.intent is not None
    ends = [[event.time_ms for event in heard.events if event.kind == kinds.ENDPOINT] for heard in (found, expected)]
    assert ends[0] == ends[1] and len(ends[0]) == 1
    assert ends[0][0] < 1000 * len(sound) // _RATE, "the end-pointer should not need the recording's end"
    figure("end-point", ends[0][0], "ms")
    figure("lattice", len(found.lattice_bytes), "bytes")


@pytest.mark.slow_on_emulator
def test_hears_the_same_on_a_line_that_damages_bytes(listening, sound, expected, figure):
    """One byte in 2000 is changed, both ways."""
    noise = random.Random(7)
    changed = [0]

    def damage(data):
        found = bytearray(data)
        for k in range(len(found)):
            if noise.random() < 1 / 2000:
                found[k] ^= 1 << noise.randrange(8)
                changed[0] += 1
        return bytes(found)

    stream = Borrowed(listening.stream(), damage)
    with Session(stream, listening.name, slowness=listening.slowness) as session:
        session.connect()
        found = transcribe(sound, session)
    assert changed[0] > 3, "the line was too good"
    assert found.lattice_bytes == expected.lattice_bytes and found.intent == expected.intent
    figure("bytes changed", changed[0])


def test_a_context_is_obeyed_or_refused_by_name(listening, figure):
    """Phrases of the grammar's words are taken; a word that it lacks is named."""
    with Talk(listening) as talk:
        for phrases, failed, code in (
            (["never mind"], 0, None),
            (["kitchn"], 1, spec.ERROR_CONTEXT_WORD),
            ([], 0, None),
        ):
            talk.replies.clear()
            talk.command(spec.COMMAND_CONTEXT, {"phrases": phrases})
            found, answer = talk.reply(spec.COMMAND_CONTEXT)
            assert (found, answer.get("code")) == (failed, code)
            assert not failed or answer["where"] == "kitchn"


@pytest.mark.slow_on_emulator
def test_a_context_gains_the_same_as_on_the_host(listening, sound, expected):
    """Its lattice, with what each word gained, bit for bit."""
    order = Order(context=("never mind", "mind"), boost=1.5)
    with HostSession(model(), compiled(GRAMMAR)) as session:
        session.connect()
        host = transcribe(sound, session, order=order)
    with listening.session() as session:
        session.connect()
        found = transcribe(sound, session, order=order)
    assert found.lattice_bytes == host.lattice_bytes != expected.lattice_bytes
    assert found.lattice.has_context


@pytest.mark.slow_on_emulator
def test_lost_samples_are_told(device, figure):
    device.listen(_LOSSY)
    with Talk(device) as talk:
        event = talk.wait(lambda event: event.kind == kinds.OVERRUN, 20)
        assert event.lost == 960
    figure("samples lost and told", event.lost)


@pytest.mark.slow_on_emulator
def test_reset_in_the_middle_of_a_sentence(listening, sound):
    """What follows a reset is heard as if nothing had been."""
    with Talk(listening) as talk:
        first = talk.about
        talk.command(spec.COMMAND_START, {"utterance": 5, "audio": True})
        assert talk.reply(spec.COMMAND_START) == (0, {})
    listening.listen()
    with Talk(listening) as talk:
        assert {**talk.about} == {**first}
        talk.command(spec.COMMAND_STATE)
        _, state = talk.reply(spec.COMMAND_STATE)
        assert state["utterance"] <= 1, "the count begins anew; who has a microphone hears the first utterance already"
