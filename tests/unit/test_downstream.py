"""Speculation from the end-pointer's verdict to the work downstream: start, reset, confirm, whatever happens."""

import asyncio
import functools
import random
import tempfile
from array import array
from pathlib import Path

import pytest
import stapes
import stapes_spec as spec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from noisy_channel import NoisyChannel, Pair
from phone_model import phone_model
from scripted_kernels import ScriptedKernels, lattice_bytes
from stapes import event as kinds
from stapes.event import Event
from stapes.link import event_codec
from stapes.link.board_end import BoardLink
from stapes.link.host_end import HostLink
from stapes.listener import Listener
from stapes_tools.grammar.compiler import compile_grammar

STEP = spec.FRONTEND_STEP_SAMPLES
NONE, SPECULATE, RETRACT, FINAL = range(4)
UTTERANCE_END = [stapes.INTENT, stapes.STATISTICS]


class Scripted:
    """An end-pointer that gives the verdicts it is told to, one per step."""

    def __init__(self, verdicts=()):
        self.verdicts = list(verdicts)
        self.resets = 0

    def speech(self, status):
        return True

    def verdict(self, status, word_count):
        return self.verdicts.pop(0) if self.verdicts else NONE

    def reset(self):
        self.resets += 1


@pytest.fixture(scope="module")
def files():
    return files_of_one_command()


class Samples:
    """A microphone that hears n steps, and loses some samples before the third."""

    def __init__(self, steps, loses=0):
        self.left, self.loses, self.lost = steps, loses, 0

    def readinto(self, samples):
        self.left -= 1
        if self.left == 2:
            self.lost += self.loses
        return len(samples) if self.left >= 0 else 0


def recognizer(files, lattices=None):
    """A recogniser whose lattice is the same always, or the next of a list each time."""
    kernels = ScriptedKernels([(2, 0, 1, (0, 1))], lattice_bytes())
    if lattices:
        real = kernels.decoder_lattice

        def changing(*arguments):
            kernels.lattice = lattices.pop(0) if len(lattices) > 1 else lattices[0]
            return real(*arguments)

        kernels.decoder_lattice = changing
    return stapes.Recognizer(*files, kernels=kernels)


def heard(files, verdicts, lattices=None):
    """Kinds and revisions after SPEECH_START and PARTIAL."""
    listening = recognizer(files, lattices).listen(Samples(len(verdicts) + 1), Scripted(verdicts))
    return [(event.kind, event.revision) for event in listening][3:]


def test_what_was_speculated_is_confirmed_without_its_lattice(files):
    events = heard(files, [NONE, SPECULATE, SPECULATE, NONE, FINAL])
    assert events[:3] == [(stapes.SPECULATIVE, 0), (stapes.ENDPOINT, None), (stapes.CONFIRM, 0)]
    assert [kind for kind, _ in events[3:5]] == UTTERANCE_END


def test_speech_that_resumes_resets_and_a_revision_starts(files):
    events = heard(files, [SPECULATE, RETRACT, RETRACT, SPECULATE, FINAL])
    expected = [(stapes.SPECULATIVE, 0), (stapes.RESET, 0), (stapes.SPECULATIVE, 1)]
    assert events[:5] == [*expected, (stapes.ENDPOINT, None), (stapes.CONFIRM, 1)]


def test_words_that_changed_reset_and_the_lattice_is_sent(files):
    other = lattice_bytes(intent="another")
    events = heard(files, [SPECULATE, FINAL], [lattice_bytes(), other])
    expected = [(stapes.SPECULATIVE, 0), (stapes.ENDPOINT, None), (stapes.RESET, 0), (stapes.LATTICE, 1)]
    assert events[:4] == expected


def test_an_end_without_speculation_sends_the_lattice(files):
    assert heard(files, [RETRACT, FINAL])[:2] == [(stapes.ENDPOINT, None), (stapes.LATTICE, 0)]


def test_a_fault_resets_what_was_started(files):
    ear = recognizer(files)
    ear._kernels.failing_step = 3
    kinds_heard = [event.kind for event in ear.listen(Samples(5), Scripted([NONE, SPECULATE]))]
    at = kinds_heard.index(stapes.ERROR)
    assert kinds_heard[at - 2 : at] == [stapes.SPECULATIVE, stapes.RESET]


def test_lattices_say_what_they_are(files):
    lattices = [
        e.lattice for e in recognizer(files).listen(Samples(9), Scripted([SPECULATE, RETRACT, FINAL])) if e.lattice
    ]
    assert [(lattice.revision, lattice.is_final) for lattice in lattices[:2]] == [(0, False), (1, True)]


def test_lost_samples_are_told(files):
    events = list(recognizer(files).listen(Samples(5, loses=777), Scripted()))
    overruns = [event for event in events if event.kind == stapes.OVERRUN]
    assert [event.lost for event in overruns] == [777]
    assert event_codec.decode(event_codec.encode(overruns[0])).lost == 777


def test_for_async_for_and_functions_hear_the_same(files):
    verdicts = [NONE, SPECULATE, RETRACT, FINAL, SPECULATE, FINAL]

    def listening():
        return recognizer(files).listen(Samples(8), Scripted(verdicts))

    async def collect(microphone=None):
        return [repr(event) async for event in (microphone or listening())]

    class AsyncSamples(Samples):
        async def readinto_async(self, samples):
            await asyncio.sleep(0)
            return super().readinto(samples)

        def readinto(self, samples):
            raise AssertionError("the asynchronous one is there")

    looped = [repr(event) for event in listening()]
    called = []
    listening().run(lambda event: called.append(repr(event)))
    assert looped == called == asyncio.run(collect())
    patient = recognizer(files).listen(AsyncSamples(8), Scripted(verdicts))
    assert looped == asyncio.run(collect(patient))
    assert len(looped) > 10


@pytest.mark.parametrize("details", [
    (kinds.PARTIAL, {"words": ["a", "ü"]}),
    (kinds.INTENT, {"intent": None, "slots": {}}),
    (kinds.CONFIRM, {"intent": "order", "slots": {"a": "b"}, "revision": 3}),
    (kinds.RESET, {"revision": 65535}),
    (kinds.STATISTICS, {"statistics": {"steps": 4}}),
    (kinds.SPEECH_START, {}),
])  # fmt: skip
def test_events_come_through_the_codec(details):
    kind, given = details
    event = Event(kind, 2**31, utterance=2**32 - 1, **given)
    found = event_codec.decode(event_codec.encode(event))
    names = ("kind", "time_ms", "utterance", "words", "intent", "slots", "statistics")
    assert all(getattr(found, name) == getattr(event, name) for name in names)
    assert found.revision == (event.revision or 0)


class Watched(stapes.Downstream):
    """States the order: idle -> started -> idle, by reset or confirm of that very lattice."""

    def __init__(self):
        super().__init__()
        self.started = None
        self.confirmed = []

    def start(self, event):
        assert self.started is None, "something is still started"
        self.started = (event.utterance, event.revision)

    def reset(self):
        assert self.started is not None, "nothing to reset"
        self.started = None

    def confirm(self, event):
        assert self.started == (event.utterance, event.revision), "confirmed what was not started"
        self.started = None
        self.confirmed.append(event.utterance)


@functools.cache
def files_of_one_command():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.yaml"
        path.write_text('context:\n  expressions:\n    order: ["small latte"]\n')
        return phone_model(), compile_grammar(path)


class SpeculationOverALink(RuleBasedStateMachine):
    """Random verdicts on a board, a link that is cut and damaged, and a handler at each end."""

    def __init__(self):
        super().__init__()
        self.kernels = ScriptedKernels([(2, 0, 1, (0, 1))], lattice_bytes())
        self.pointer = Scripted()
        ear = stapes.Recognizer(*files_of_one_command(), kernels=self.kernels)
        self.listener = Listener(ear, endpointer=self.pointer)
        board = BoardLink(lambda: {}, None, random.Random(1).randbytes)
        host = HostLink(None, random.Random(2).randbytes)
        self.pair = Pair(board, host, NoisyChannel(1, 0.002, bytes_per_ms=20.0), NoisyChannel(2, 0.002))
        self.pair.connect()
        self.near, self.far = Watched(), Watched()
        self.ended = []
        self.lost = 0

    @rule(verdict=st.sampled_from([NONE, SPECULATE, RETRACT, FINAL]))
    def one_step(self, verdict):
        self.pointer.verdicts = [verdict]
        self.listener.accept(array("h", [0] * STEP), STEP)
        self.pass_on()

    @rule(intent=st.sampled_from(["orderDrink", "another", None]))
    def other_words(self, intent):
        self.kernels.lattice = lattice_bytes(intent)

    @rule()
    def a_fault(self):
        self.kernels.failing_step = self.kernels.steps + 1
        self.one_step(NONE)
        self.kernels.failing_step = None

    def pass_on(self):
        while self.listener.waiting:
            event = self.listener.take()
            self.near.feed(event)
            if event.kind in (stapes.LATTICE, stapes.CONFIRM):
                self.ended.append(event.utterance)
            message = event_codec.encode(event)
            if event.kind in event_codec.NEWS:
                self.pair.board.offer(message)
            else:
                self.pair.board.send(spec.FRAME_TYPE_EVENT, message)

    @rule(milliseconds=st.sampled_from([1, 20, 300]))
    def time_passes(self, milliseconds):
        for _ in range(milliseconds):
            self.pair.step()
        self.hear()

    def hear(self):
        for kind, payload in self.pair.heard_by_host:
            if kind == spec.FRAME_TYPE_GIVEN_UP:
                self.lost += payload
                self.far.feed(Event(stapes.GIVEN_UP, 0, lost=payload))
            else:
                self.far.feed(event_codec.decode(payload))
        self.pair.heard_by_host.clear()

    @rule()
    def cut(self):
        self.pair.cut()

    @precondition(lambda self: self.pair.host.state == 3)
    @rule()
    def restore(self):
        self.pair.connect()

    @invariant()
    def near_handler_is_up_to_date(self):
        assert self.near.confirmed == self.ended
        assert (self.near.event is None) == (self.near.started is None)

    def teardown(self):
        """Once the link is back, the far handler has confirmed everything but what was given up."""
        for _ in range(20000):
            if (self.pair.host.state != 2 and self.pair.host.state != 1) or self.pair.board.state == 3:
                self.pair.connect()
            self.pair.step()
            if self.pair.host.state == 2 and not self.pair.board.outbox.pending:
                break
        self.hear()
        assert self.pair.board.outbox.pending == 0
        assert self.far.confirmed == sorted(set(self.far.confirmed))
        missing = len(self.ended) - len(self.far.confirmed)
        assert missing == 0 if self.lost == 0 else 0 <= missing <= 2 * self.lost
        assert self.far.started == self.near.started or self.lost


SpeculationOverALink.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSpeculationOverALink = SpeculationOverALink.TestCase
