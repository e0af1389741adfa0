"""Which events a recogniser raises, and when: the search follows a script."""

from array import array

import pytest
import stapes
import stapes_spec as spec
from phone_model import phone_model
from scripted_kernels import ScriptedKernels, lattice_bytes
from stapes.listener import Listener
from stapes.recognizer import Recognizer
from stapes_tools.grammar.compiler import compile_grammar

STEP = spec.FRONTEND_STEP_SAMPLES
QUIET = (0, 1, 0, ())
GRAMMAR = """
context:
  expressions:
    order: ["small latte", "latte"]
"""
TWICE = """
context:
  expressions:
    order: ["$size:drink latte", "$size:snack mocha"]
  slots:
    size: [small]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "g.yaml"
    path.write_text(GRAMMAR)
    return phone_model(), compile_grammar(path)


@pytest.fixture
def listening(files):
    def build(script, lattice=None, failing_step=None, light_below=None):
        kernels = ScriptedKernels(script, lattice_bytes() if lattice is None else lattice, failing_step, light_below)
        return Recognizer(files[0], files[1], kernels=kernels), kernels

    return build


class Samples:
    """A microphone that hears n samples of silence."""

    def __init__(self, count):
        self.left = count

    def readinto(self, samples):
        count = min(self.left, len(samples))
        self.left -= count
        return count


def speech(units, words, steps, final=1):
    return [(units, blanks, final, words) for blanks in range(1, steps + 1)]


def kinds(events):
    return [event.kind for event in events]


UTTERANCE = [stapes.LATTICE, stapes.INTENT, stapes.STATISTICS]


def test_events_of_an_utterance_in_order(listening):
    script = [QUIET] * 5 + [(1, 0, 0, ()), (2, 0, 0, (0,)), (3, 0, 0, (0,)), (4, 0, 1, (0, 1))] + speech(4, (0, 1), 30)
    recognizer, _ = listening(script)
    events = list(recognizer.listen(Samples(40 * STEP)))
    assert kinds(events[:8]) == [
        stapes.LISTENING,
        stapes.SPEECH_START,
        stapes.PARTIAL,
        stapes.PARTIAL,
        stapes.ENDPOINT,
        *UTTERANCE,
    ]
    partials = [event for event in events if event.kind == stapes.PARTIAL]
    assert [len(event.words) for event in partials[:2]] == [1, 2]
    assert set(partials[1].words) == {"small", "latte"}
    assert partials[1].text == " ".join(partials[1].words)
    assert events[6].intent == "orderDrink"
    assert events[6].slots == {"size": "small", "drink": "latte"}
    assert events[5].text == "small latte"
    assert events[7].statistics["steps"] == 9 + spec.ENDPOINT_FINAL_TRAILING_MS // spec.FRONTEND_STEP_MS
    assert events[7].statistics["bytes"] == recognizer.memory_bytes


def test_words_that_read_alike_are_told_once(files, tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(TWICE)
    graph = compile_grammar(path)
    grammar = Recognizer(files[0], graph).grammar
    texts = {index: grammar.word_text(index) for index in range(grammar.word_count)}
    one, other = [index for index, text in texts.items() if text == "small"]
    latte = next(index for index, text in texts.items() if text == "latte")
    script = [QUIET] * 5 + [(1, 0, 0, (one,)), (2, 0, 0, (other,)), (3, 0, 0, (one,)), (4, 0, 0, (one, latte))]
    recognizer = Recognizer(files[0], graph, kernels=ScriptedKernels(script, lattice_bytes()))
    told = [event.text for event in recognizer.listen(Samples(10 * STEP)) if event.kind == stapes.PARTIAL]
    assert told == ["small", "small latte"]


def test_times_count_the_audio_heard(listening):
    recognizer, _ = listening([QUIET] * 5 + speech(1, (0,), 100))
    events = list(recognizer.listen(Samples(60 * STEP)))
    # Step k is complete with sample 480 k + 720, which the chunk that ends at 480 (k + 2) brings.
    assert events[1].time_ms == (5 + 2) * 30
    endpoint = next(event for event in events if event.kind == stapes.ENDPOINT)
    assert endpoint.time_ms == (5 + 1) * 30 + spec.ENDPOINT_FINAL_TRAILING_MS
    assert [event.time_ms for event in events] == sorted(event.time_ms for event in events)


def test_silence_says_nothing(listening):
    recognizer, kernels = listening([QUIET])
    assert kinds(recognizer.listen(Samples(100 * STEP))) == [stapes.LISTENING]
    assert kernels.utterances == []


def test_the_end_of_a_recording_ends_the_utterance(listening):
    recognizer, kernels = listening([QUIET, (1, 0, 0, (0,))])
    events = list(recognizer.listen(Samples(10 * STEP)))
    assert stapes.ENDPOINT not in kinds(events)
    assert kinds(events)[-3:] == UTTERANCE
    assert kernels.total_steps == 10 - 1 + spec.ENDPOINT_FLUSH_STEPS


def test_words_that_come_with_the_flush_are_shown(listening):
    recognizer, _ = listening([QUIET] * 12 + [(1, 0, 0, (1,))])
    events = list(recognizer.listen(Samples(5 * STEP)))
    assert kinds(events) == [stapes.LISTENING, stapes.SPEECH_START, stapes.PARTIAL, *UTTERANCE]


def test_two_utterances_in_one_stream(listening):
    recognizer, kernels = listening([QUIET] * 3 + speech(1, (0,), 100))
    events = list(recognizer.listen(Samples(60 * STEP)))
    assert kinds(events).count(stapes.ENDPOINT) == 2
    assert kernels.utterances[:2] == [0, 1]


def test_a_single_utterance_ends_at_its_endpoint(listening):
    recognizer, _ = listening([QUIET] * 3 + speech(1, (0,), 100))
    listener = Listener(recognizer, single=True)
    chunk = array("h", [0] * STEP)
    for _ in range(200):
        listener.accept(chunk, STEP)
    listener.finish()
    events = []
    while listener.waiting:
        events.append(listener.take())
    assert kinds(events).count(stapes.LATTICE) == 1
    assert events[-1].kind == stapes.STATISTICS
    assert listener.over


@pytest.mark.parametrize(("intent", "complete"), [(None, True), ("orderDrink", False), (None, False)])
def test_what_is_not_understood_has_no_intent_and_no_slots(listening, intent, complete):
    recognizer, _ = listening([(1, 0, 0, (0,))], lattice_bytes(intent, complete))
    event = next(event for event in recognizer.listen(Samples(3 * STEP)) if event.kind == stapes.INTENT)
    assert event.intent is None
    assert event.slots == {}


def test_a_fault_is_an_event_and_listening_goes_on(listening):
    recognizer, kernels = listening([QUIET] * 3 + speech(1, (0,), 100), failing_step=2)
    events = recognizer.listen(Samples(60 * STEP))
    first = [next(events) for _ in range(2)]
    assert kinds(first) == [stapes.LISTENING, stapes.ERROR]
    assert first[1].error.name == "buffer_small"
    kernels.failing_step = None
    assert kinds(events)[-3:] == UTTERANCE


def test_streaming_interface(listening):
    recognizer, kernels = listening([QUIET, QUIET, (1, 0, 1, (1, 0))])
    assert recognizer.accept_waveform(array("h")) == 0
    assert recognizer.accept_waveform(array("h", [0] * 719)) == 0
    assert recognizer.accept_waveform(array("h", [0])) == 1
    assert recognizer.partial_result() == ""
    assert recognizer.accept_waveform(memoryview(array("h", [0] * (2 * STEP + 5)))) == 2
    assert sorted(recognizer.partial_result().split()) == ["latte", "small"]
    assert recognizer.input_finished() == spec.ENDPOINT_FLUSH_STEPS
    assert recognizer.lattice().text == "small latte"
    recognizer.reset()
    assert kernels.samples == 0
    assert recognizer.partial_result() == ""


@pytest.mark.parametrize("samples", [b"\0\0", bytearray(4), array("b", [0]), array("i", [0])])
def test_samples_of_another_type_are_refused(listening, samples):
    recognizer, _ = listening([QUIET])
    with pytest.raises(ValueError, match="int16"):
        recognizer.accept_waveform(samples)


def test_a_grammar_for_other_units_is_refused(files):
    graph = bytearray(files[1])
    graph[spec.GRAPH_UNITS_CRC_OFFSET] ^= 1
    with pytest.raises(stapes.StapesError) as caught:
        Recognizer(files[0], bytes(graph), kernels=ScriptedKernels([QUIET], b""))
    assert caught.value.code == spec.ERROR_GRAPH_UNITS


def test_the_effort_reaches_the_kernels_and_light_steps_are_counted(listening):
    recognizer, kernels = listening([QUIET], light_below=60)
    assert recognizer.model.branches
    assert recognizer.effort == 0.5
    recognizer.accept_waveform(array("h", [0] * (720 + 2 * STEP)))
    recognizer.effort = 1
    recognizer.accept_waveform(array("h", [0] * STEP))
    status = recognizer.status
    assert (status[spec.STATUS_INDEX_BRANCH], status[spec.STATUS_INDEX_LIGHT_STEPS]) == (spec.BRANCH_HEAVY, 3)
    recognizer.effort = 0.07
    recognizer.accept_waveform(array("h", [0] * STEP))
    assert (status[spec.STATUS_INDEX_BRANCH], status[spec.STATUS_INDEX_LIGHT_STEPS]) == (spec.BRANCH_LIGHT, 4)
    assert kernels.efforts == [50, 50, 50, 100, 7]
    recognizer.next_utterance()
    assert (status[spec.STATUS_INDEX_BRANCH], status[spec.STATUS_INDEX_LIGHT_STEPS]) == (spec.BRANCH_HEAVY, 0)
    assert recognizer.effort == 0.07


def test_statistics_tell_the_light_steps(listening):
    recognizer, _ = listening([QUIET] * 3 + speech(1, (0,), 100), light_below=60)
    found = [event.statistics for event in recognizer.listen(Samples(60 * STEP)) if event.statistics]
    assert [one["light_steps"] for one in found] == [one["steps"] for one in found]
    recognizer, _ = listening([QUIET] * 3 + speech(1, (0,), 100))
    assert not recognizer.model.branches
    found = [event.statistics for event in recognizer.listen(Samples(60 * STEP)) if event.statistics]
    assert {one["light_steps"] for one in found} == {0}


@pytest.mark.parametrize("effort", [-0.01, 1.01, 50, float("nan")])
def test_an_effort_out_of_range_is_refused(listening, files, effort):
    recognizer, _ = listening([QUIET])
    with pytest.raises(ValueError, match="effort must be from 0 to 1"):
        recognizer.effort = effort
    assert recognizer.effort == 0.5
    with pytest.raises(ValueError, match="effort must be from 0 to 1"):
        Recognizer(files[0], files[1], effort=effort, kernels=ScriptedKernels([QUIET], b""))


def test_every_hundredth_is_an_effort(listening):
    recognizer, kernels = listening([QUIET])
    for percent in range(101):
        recognizer.effort = percent / 100
        recognizer.accept_waveform(array("h", [0] * STEP))
        assert recognizer.effort == percent / 100
    assert kernels.efforts == list(range(1, 101))  # the first samples make no step yet
