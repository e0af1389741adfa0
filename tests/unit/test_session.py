"""Host and board over the link, in one process: whole sessions, and what goes wrong in them."""

import struct

import numpy as np
import pytest
import stapes
import stapes_spec as spec
from board_thread import BoardThread
from phone_model import phone_model
from scripted_kernels import ScriptedKernels, lattice_bytes
from stapes.endpoint import Endpointer
from stapes.link.host_end import HostLink
from stapes.listener import FinalOnly, Listener
from stapes_tools.device import session as host_side
from stapes_tools.device.session import Order, Session
from stapes_tools.errors import BoardError, UserError
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.transcript import event_as_json, transcribe

STEP = spec.FRONTEND_STEP_SAMPLES
SCRIPT = [(0, 1, 0, ())] * 3 + [(1, 0, 0, (0,)), (2, 0, 1, (0, 1))] + [(2, k, 1, (0, 1)) for k in range(1, 40)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "g.yaml"
    path.write_text('context:\n  expressions:\n    order: ["small latte"]\n')
    return phone_model(), compile_grammar(path)


@pytest.fixture
def connect(files):
    opened = []

    def build(kernels=None, **options):
        board = BoardThread(*files, kernels or ScriptedKernels(SCRIPT, lattice_bytes()), **options)
        session = Session(board, "thread")
        opened.append(session)
        session.connect()
        return session

    yield build
    for session in opened:
        session.close()


def kinds(events):
    return [event.kind for event in events]


@pytest.mark.parametrize("sample_count", [1, 479, 480, 481, 5 * STEP + 7, 100 * STEP])
def test_the_link_changes_nothing(connect, files, sample_count):
    samples = np.arange(sample_count).astype(np.int16)
    far = transcribe(samples, connect())
    listener = Listener(stapes.Recognizer(*files, kernels=ScriptedKernels(SCRIPT, lattice_bytes())), single=True)
    from array import array

    for begin in range(0, sample_count, STEP):
        chunk = array("h", samples[begin : begin + STEP].tobytes())
        listener.accept(chunk, len(chunk))
    listener.finish()
    near = []
    while listener.waiting:
        near.append(listener.take())
    assert [event_as_json(event) for event in far.events] == [event_as_json(event) for event in near]
    assert far.lattice_bytes == lattice_bytes()
    assert far.intent == "orderDrink"
    assert far.text == "small latte"


def test_samples_arrive_unchanged(connect):
    class Recording(ScriptedKernels):
        heard = b""

        def frontend_apply(self, state, samples, features):
            self.heard += bytes(samples)
            return super().frontend_apply(state, samples, features)

    kernels = Recording([(0, 0, 0, ())], lattice_bytes())
    samples = np.random.default_rng(1).integers(-32768, 32768, 3000).astype(np.int16)
    samples[:500] = 0
    transcribe(samples, connect(kernels))
    assert kernels.heard[: 2 * len(samples)] == samples.astype("<i2").tobytes()


def test_two_recordings_in_one_session(connect):
    session = connect()
    samples = np.zeros(50 * STEP, np.int16)
    first, second = transcribe(samples, session), transcribe(samples, session)
    assert kinds(first.events) == kinds(second.events)
    assert kinds(first.events)[-1] == stapes.STATISTICS


def test_a_lattice_longer_than_a_frame(connect):
    names = [f"w{k:05}" for k in range(200)]
    from stapes_tools.lattice.lattice import Edge, Lattice, Word

    edges = [Edge(k, k + 1, k, k, k + 1, -k, 0, True) for k in range(200)]
    data = Lattice(list(range(201)), edges, [Word(name) for name in names], "order", flags=3).to_bytes()
    assert len(data) > 3 * spec.FRAME_PAYLOAD
    transcript = transcribe(np.zeros(10 * STEP, np.int16), connect(ScriptedKernels(SCRIPT, data)))
    assert transcript.lattice_bytes == data


def test_host_never_sends_more_than_the_window(files):
    most = [0]

    class Slow(ScriptedKernels):
        def decoder_step(self, *arguments):
            import time

            time.sleep(0.002)
            most[0] = max(most[0], session._client.link.outbox.pending)
            return super().decoder_step(*arguments)

    with Session(BoardThread(*files, Slow([(0, 0, 0, ())], lattice_bytes())), "thread") as session:
        session.connect()
        transcribe(np.zeros(40 * STEP + 3, np.int16), session)
    assert spec.LINK_WINDOW_FRAMES * spec.FRAME_AUDIO_SAMPLES >= 1920
    assert 2 <= most[0] <= spec.LINK_WINDOW_FRAMES + 1, "the window's audio, and the order to finish"


def test_the_order_to_start_may_carry_a_context(connect):
    kernels = ScriptedKernels(SCRIPT, lattice_bytes())
    session = connect(kernels)
    samples = np.zeros(20 * STEP, np.int16)
    transcribe(samples, session, order=Order(context=("small latte", "latte"), boost=1.5))
    transcribe(samples, session)
    transcribe(samples, session, order=Order(context=()))
    table, nothing = kernels.contexts
    nodes = list(struct.iter_unpack(spec.CONTEXT_NODE_STRUCT, table))
    assert sorted(found for _, found, *_ in nodes) == [0, 0, 1536, 4608] and nothing == b""


@pytest.mark.parametrize(
    ("phrases", "boost", "says"),
    [
        (("small tea",), None, ["tea", "not one of the grammar's"]),
        (("small",), 17, ["boost must be a number from 0 to 16"]),
    ],
)
def test_a_context_that_cannot_be_is_refused(connect, phrases, boost, says):
    session = connect(ScriptedKernels(SCRIPT, lattice_bytes()))
    with pytest.raises((UserError, BoardError)) as error:
        transcribe(np.zeros(20 * STEP, np.int16), session, order=Order(context=phrases, boost=boost))
    for text in says:
        assert text in str(error.value)


@pytest.mark.parametrize(("order", "efforts"), [({}, {50}), ({"effort": 0.3}, {30}), ({"effort": 1}, {100})])
def test_the_order_to_start_may_carry_an_effort(connect, monkeypatch, order, efforts):
    kernels = ScriptedKernels(SCRIPT, lattice_bytes())
    session = connect(kernels)
    _add_to_start(monkeypatch, session, order)
    transcribe(np.zeros(20 * STEP, np.int16), session)
    assert set(kernels.efforts) == efforts


@pytest.mark.parametrize("effort", [-1, 1.5, "much", None])
def test_a_strange_effort_is_named(connect, monkeypatch, effort):
    session = connect(ScriptedKernels(SCRIPT, lattice_bytes()))
    _add_to_start(monkeypatch, session, {"effort": effort})
    with pytest.raises(UserError, match=f"effort {effort!r}"):
        transcribe(np.zeros(20 * STEP, np.int16), session)


def _add_to_start(monkeypatch, session, order):
    """Let the session's commands to start say more."""
    command = session._command

    def more(code, wanted):
        command(code, {**wanted, **order} if code == spec.COMMAND_START else wanted)

    monkeypatch.setattr(session, "_command", more)


def test_steps_are_told_ahead_of_what_they_led_to(connect):
    session = connect()
    plain = transcribe(np.zeros(20 * STEP, np.int16), session)
    events = list(session.recognise(np.zeros(20 * STEP, np.int16), order=Order(trace=True)))
    steps = [event for event in events if event.kind == stapes.event.TRACE]
    rest = [event for event in events if event.kind != stapes.event.TRACE]
    assert kinds(rest) == kinds(plain.events)
    assert [event.trace["step"] for event in steps] == list(range(1, rest[-1].statistics["steps"] + 1))
    partials = [at for at, event in enumerate(events) if event.kind == stapes.PARTIAL]
    assert [len(events[at].words) for at in partials] == [1, 2]
    for at in partials:
        before = [event for event in events[:at] if event.kind == stapes.event.TRACE]
        assert before[-1].trace["words"] == events[at].words
    assert not any(event.trace for event in transcribe(np.zeros(20 * STEP, np.int16), session).events)


def test_a_confirmed_lattice_is_the_speculative_one(connect, monkeypatch):
    class Hasty(FinalOnly):
        steps = 0

        def verdict(self, status, word_count):
            self.steps += 1
            return spec.VERDICT_SPECULATE if self.steps == 10 else super().verdict(status, word_count)

    monkeypatch.setattr("stapes.listener._usual", lambda _: Hasty(Endpointer()))
    heard = transcribe(np.zeros(100 * STEP, np.int16), connect())
    assert [kind for kind in kinds(heard.events) if kind in (stapes.SPECULATIVE, stapes.LATTICE, stapes.CONFIRM)] == [
        stapes.SPECULATIVE,
        stapes.CONFIRM,
    ]
    assert (heard.text, heard.intent) == ("small latte", "orderDrink")
    assert list(heard.slots) == ["size", "drink"] and heard.lattice_bytes


def test_a_fault_of_the_board_is_raised_by_name(connect):
    session = connect(ScriptedKernels(SCRIPT, lattice_bytes(), failing_step=4))
    with pytest.raises(BoardError, match="a buffer is too small") as caught:
        transcribe(np.zeros(20 * STEP, np.int16), session)
    assert caught.value.path == "thread"


def test_an_exception_on_the_board_is_one_line(connect):
    class Broken(ScriptedKernels):
        def decoder_step(self, *_):
            raise IndexError("out of\nrange")

    with pytest.raises(BoardError, match="the recogniser's program failed"):
        transcribe(np.zeros(20 * STEP, np.int16), connect(Broken(SCRIPT, lattice_bytes())))


def test_memory_that_does_not_suffice_is_said(connect):
    class Greedy(ScriptedKernels):
        def model_size(self, model, info):
            return -spec.ERROR_MODEL_MEMORY

    with pytest.raises(UserError, match="more memory than the board has"):
        connect(Greedy(SCRIPT, b""))


@pytest.mark.parametrize("position", [0, 30, 500])
def test_lost_bytes_are_mended(connect, position):
    seen = []

    def drop(data):
        seen.append(data)
        return data[:position] + data[position + 1 :] if len(seen) % 5 == 0 else data

    samples = np.full(40 * STEP, 3, np.int16)
    expected = transcribe(samples, connect())
    found = transcribe(samples, connect(damage=drop))
    assert [event_as_json(event) for event in found.events] == [event_as_json(event) for event in expected.events]
    assert len(seen) >= 5


def test_a_silent_board_times_out(monkeypatch):
    class Silent:
        name = "silent"

        def write(self, data):
            pass

        def read(self, count, timeout_s):
            import time

            time.sleep(min(timeout_s, 0.01))
            return b""

        def close(self):
            pass

    monkeypatch.setattr(host_side, "READY_TIMEOUT_S", 0.1)
    session = Session(Silent(), "silent", slowness=0.1)
    with pytest.raises(BoardError, match="silent: the board did not answer in time; reset the board"):
        session.connect()


def answered(board, link, timeout_s=2.0):
    """Exchange bytes until a message comes."""
    import time

    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        now = time.monotonic_ns() // 1_000_000
        while (out := link.output(now)) is not None:
            board.write(bytes(out))
            link.sent(len(out))
        data = board.read(4096, 0.02)
        while data:
            data = data[link.parser.put(data) :]
            if link.receive(now):
                return bytes(link.payload)
    raise AssertionError("no answer")


@pytest.fixture
def open_link(files):
    board = BoardThread(*files, ScriptedKernels(SCRIPT, lattice_bytes()))
    link = HostLink()
    link.connected(0)
    link.send(spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_STATE))
    answered(board, link)
    yield board, link
    board.close()


def command(code, body=b""):
    return bytes([code, 0, 0, 0]) + body


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        (spec.FRAME_TYPE_AUDIO, bytes(4), "audio of 4 bytes"),
        (77, b"", "type 77"),
        (spec.FRAME_TYPE_COMMAND, b"\1", "a command of 1 bytes"),
        (spec.FRAME_TYPE_COMMAND, command(99), "command 99"),
        (spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_START, b"{"), "no JSON object"),
        (spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_START, b"[1]"), "no JSON object"),
        (spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_START, b'{"audio": 1, "utterance": "x"}'), "TypeError"),
        (spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_CONTEXT, b'{"phrases": "latte"}'), "a list or a dictionary"),
        (spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_CONTEXT, b'{"phrases": ["tea"]}'), '"where": "tea"'),
        (spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_START, b'{"context": ["latte"]}'), "context must be an object"),
    ],
)
def test_messages_that_make_no_sense_are_answered_by_name(open_link, kind, payload, said):
    board, link = open_link
    link.send(kind, payload)
    assert said in answered(board, link).decode("latin-1")
    link.send(spec.FRAME_TYPE_COMMAND, command(spec.COMMAND_STATE))
    assert b'"pending"' in answered(board, link)


def test_the_board_says_who_it_is(connect):
    about = connect().about
    assert about["protocol"] == spec.VERSION_PROTOCOL
    assert {"board", "id", "firmware", "firmware_hash", "model_hash", "grammar_hash", "kernels"} <= set(about)
    assert about["model_hash"] == connect().about["model_hash"] != about["grammar_hash"]


def test_goodbye_ends_the_service(files):
    board = BoardThread(*files, ScriptedKernels(SCRIPT, b""))
    session = Session(board, "thread")
    session.connect()
    session.close()
    assert not board.thread.is_alive()


def test_pacing_takes_as_long_as_the_recording(files):
    import time

    with Session(BoardThread(*files, ScriptedKernels([(0, 0, 0, ())], lattice_bytes())), "t", speed=4.0) as session:
        session.connect()
        began = time.monotonic()
        transcribe(np.zeros(40 * STEP, np.int16), session)
        assert 0.25 < time.monotonic() - began < 3
