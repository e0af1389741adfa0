"""Microphones at pins: waking up, faults in the sound, losses; the words come from a list."""

import asyncio
from array import array

import pytest
import stapes_spec as spec
from stapes import event as kinds
from stapes.digital_microphone import DigitalMicrophone
from stapes.errors import StapesError
from stapes.listener import Listener
from stapes.listening import Listening, fault_of
from stapes.microphone import Microphone
from stapes.microphone_settings import Settings
from stapes.startup import Staged
from stapes_tools import kernels

STEP = spec.FRONTEND_STEP_SAMPLES
SETTINGS = Settings({"kind": "ICS-43434", "sck": 10, "ws": 11, "sd": 12}, "rp2")
OFFSET = 40_000


class Source:
    """Words of a function of the sample's number."""

    def __init__(self, value):
        self._value = value
        self.lost = 0
        self.read_so_far = 0
        self.closed = False

    def read(self, count):
        begin = self.read_so_far
        self.read_so_far += count
        return array("I", [(self._value(k) << 8) & 0xFFFFFFFF for k in range(begin, begin + count)])

    async def read_async(self, count):
        await asyncio.sleep(0)
        return self.read(count)

    def close(self):
        self.closed = True


def microphone(value):
    sources = []

    def opened(settings):
        assert settings is SETTINGS
        sources.append(Source(value))
        return sources[-1]

    return DigitalMicrophone(SETTINGS, opened, kernels), sources


def heard(found, steps):
    chunk = array("h", [0] * STEP)
    out = []
    for _ in range(steps):
        assert found.readinto(chunk) == STEP
        out += chunk
    return out


def noise(k):
    return OFFSET + (k * 7919 % 41) - 20


def test_it_starts_when_it_is_first_read_and_skips_what_it_says_while_it_wakes_up():
    found, sources = microphone(lambda k: OFFSET + 160 * (k % 50))
    assert not sources and found.lost == 0
    samples = heard(found, 1)
    assert sources[0].read_so_far == (SETTINGS.startup_steps + 1) * STEP
    # The offset, the ramp's mean included, is known by then.
    assert abs(sum(samples) / len(samples)) < 3
    assert max(samples) - min(samples) == pytest.approx(160 * 49 / 16, abs=2)


def test_closed_it_starts_anew():
    found, sources = microphone(noise)
    heard(found, 1)
    found.close()
    assert sources[0].closed
    heard(found, 1)
    assert len(sources) == 2


def test_others_may_run_meanwhile():
    found, sources = microphone(noise)
    chunk = array("h", [0] * STEP)
    assert asyncio.run(found.readinto_async(chunk)) == STEP
    assert sources[0].read_so_far == (SETTINGS.startup_steps + 1) * STEP
    assert chunk.tolist() == heard(microphone(noise)[0], 1)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (lambda k: 0, "microphone_silent"),
        (lambda k: -1, "microphone_stuck"),
        (lambda k: 123, "microphone_stuck"),
        (lambda k: 8_388_607 if k // 8 % 2 else -8_388_608, "microphone_clipped"),
        (lambda k: 7_000_000 if k % 40 == 0 else noise(k), "microphone_clipped"),
    ],
)
def test_what_is_no_sound_is_told_once_and_heard_all_the_same(value, name):
    found, _ = microphone(value)
    faults = []
    for _ in range(100):
        heard(found, 1)
        fault = found.take_fault()
        if fault:
            faults.append(fault)
    assert [fault.name for fault in faults] == [name]
    assert str(faults[0]).startswith("ICS-43434: ")
    assert faults[0].advice in str(faults[0])


class Hearing(Source):
    """One that makes the samples itself."""

    def hear(self, state, samples):
        assert kernels.audio_apply(state, self.read(len(samples)), samples) == len(samples)


def test_a_source_that_makes_the_samples_itself_gives_the_same_and_the_same_faults():
    other, _ = microphone(lambda k: 0 if k > 100 * STEP else noise(k))
    found = DigitalMicrophone(SETTINGS, lambda _: Hearing(lambda k: 0 if k > 100 * STEP else noise(k)), kernels)
    told = []
    for _ in range(200):
        assert heard(found, 1) == heard(other, 1)
        faults = found.take_fault(), other.take_fault()
        assert str(faults[0]) == str(faults[1])
        told += [fault.name for fault in faults if fault]
    assert told == ["microphone_silent"] * 2
    assert found.levels == other.levels


@pytest.mark.parametrize("value", [noise, lambda k: 7_000_000 if k % 100 == 0 else noise(k)])
def test_quiet_noise_and_a_crack_now_and_then_are_sound(value):
    found, _ = microphone(value)
    heard(found, 70)
    assert found.take_fault() is None
    assert found.levels[spec.AUDIO_LEVEL_INDEX_SAMPLES] == 32 * STEP


def test_a_fault_that_comes_back_is_told_again():
    found, _ = microphone(lambda k: 0 if k // (64 * STEP) % 2 else noise(k))
    told = 0
    for _ in range(400):
        heard(found, 1)
        told += found.take_fault() is not None
    assert told == 3


class Recognizer:
    """Hears nothing."""

    utterance = 0
    status = array("i", [0] * spec.STATUS_INDEX_COUNT)

    words = array("H", [0])
    model = type("Model", (), {"has_endpointer": False})

    def step(self, samples, endpoint):
        return 0

    def input_finished(self):
        pass


def test_faults_and_losses_become_events_and_listening_goes_on():
    found, sources = microphone(lambda k: 0)
    events = Listening(Recognizer(), found)
    assert next(events).kind == kinds.LISTENING
    event = next(events)
    assert event.kind == kinds.ERROR
    assert event.error.code == spec.ERROR_MICROPHONE_SILENT
    assert event.time_ms == 31 * spec.FRONTEND_STEP_MS
    sources[0].lost = 960
    event = next(events)
    assert (event.kind, event.lost) == (kinds.OVERRUN, 960)


def test_a_fault_does_not_end_an_utterance():
    listener = Listener(Recognizer(), endpointer=type("E", (), {"reset": lambda self: None})())
    listener.take()
    listener.fault(StapesError(spec.ERROR_MICROPHONE_CLIPPED, "INMP441"))
    assert listener.take().error.code == spec.ERROR_MICROPHONE_CLIPPED
    assert not listener.over and not listener.waiting


def test_the_watchdogs_microphone_passes_faults_on():
    found, _ = microphone(lambda k: 0)
    staged = Staged(found, type("W", (), {"at": lambda self, stage: None})())
    chunk = array("h", [0] * STEP)
    for _ in range(33):
        staged.readinto(chunk)
    assert fault_of(staged).code == spec.ERROR_MICROPHONE_SILENT
    assert fault_of(staged) is None
    assert fault_of(object()) is None


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: Microphone.i2s("SPH0645", 10, 11, 12, channel="right"), "SPH0645"),
        (lambda: Microphone.i2s("INMP441", 2, 3, 4, gain_db=30), "INMP441"),
    ],
)
def test_microphones_by_their_pins(make, kind):
    assert make()._settings.kind == kind


def test_a_wrong_pin_is_named_by_the_constructor():
    with pytest.raises(StapesError, match="pin 3 is given for both sck and ws"):
        Microphone.i2s("INMP441", 3, 3, 4)
