"""Microphones at the emulated RP2040's pins: every sample, every loss, every fault.

What the board reads must be, bit for bit, what the host's audio path makes of the words that the microphone says.
"""

import binascii
import json
from pathlib import Path

import numpy as np
import pytest
import stapes_spec as spec
from stapes.microphone_settings import Settings
from stapes_tools.audio import read_recording
from stapes_tools.device.emulator import EMULATED_BOARD, EmulatedBoard
from stapes_tools.device.microphone_session import HeardByHost, MicrophoneSession
from stapes_tools.device.microphone_sound import Sound, heard, sound_of
from stapes_tools.grammars import compiled
from stapes_tools.models import default_model
from stapes_tools.transcript import transcribe

REPO = Path(__file__).resolve().parents[2]
SAMPLE = REPO / "models" / "samples" / "coffee_never_mind.flac"
GRAMMAR = REPO / "models" / "grammars" / "coffee.yaml"
STEP = spec.FRONTEND_STEP_SAMPLES
TIMEOUT_S = 900.0
OFFSET = 30_000
I2S = {"sck": 10, "ws": 11, "sd": 12}
PINS = {"PDM": {"clock": 14, "data": 15}, "ADC": {"pin": 26}}

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("emulator")]

# Reads steps and sends them; pauses[k] milliseconds before step k.
READ = """
import binascii, gc, json, time, uctypes
from array import array
from stapes.microphone import Microphone, _digital
microphone = _digital({table!r})
chunk = array('h', [0] * 480)
raw = uctypes.bytearray_at(uctypes.addressof(chunk), 960)
heard = bytearray(960 * {steps})
pauses = {pauses!r}
lost = []
faults = []
microphone.readinto(chunk)
heard[:960] = raw
gc.collect()
for k in range(1, {steps}):
    if k in pauses:
        time.sleep_ms(pauses[k])
    before = gc.mem_alloc()
    microphone.readinto(chunk)
    taken = gc.mem_alloc() - before
    heard[960 * k : 960 * (k + 1)] = raw
    fault = microphone.take_fault()
    if fault:
        faults.append(fault.name)
    lost.append(microphone.lost)
levels = list(microphone.levels)
microphone.close()
print(json.dumps([lost, faults, levels, taken]))
print(binascii.b2a_base64(heard).decode())
"""


def table_of(kind, **settings):
    return {"kind": kind, **PINS.get(kind, I2S), **settings}


def read_on_board(image, folder, table, sound, *, steps, pauses=None, slow=False):
    """Return (samples, samples lost after each step, names of faults, levels, bytes of heap a step took)."""
    with EmulatedBoard(image.uf2) as board:
        board.attach_microphone({**sound.order(folder), "slow": slow})
        program = READ.format(table=table, steps=steps, pauses=pauses or {})
        answer, data = board.prompt(TIMEOUT_S).run(program, TIMEOUT_S).splitlines()[:2]
    lost, faults, levels, taken = json.loads(answer)
    return np.frombuffer(binascii.a2b_base64(data), np.int16), lost, faults, levels, taken


def speech(steps):
    return read_recording(SAMPLE)[16000 : 16000 + steps * STEP]


@pytest.mark.parametrize(
    ("kind", "settings", "slow"),
    [
        ("INMP441", {}, False),
        ("ICS-43434", {"channel": "right", "gain_db": 12}, True),
        ("SPH0645", {"state_machine": 5}, False),
        ("PDM", {}, False),
        ("PDM", {"channel": "right"}, True),
        ("ADC", {}, False),
        ("ICS-43434", {"driver": "machine"}, False),
        ("ICS-43434", {"driver": "machine", "channel": "right"}, False),
    ],
)
def test_every_sample_is_what_the_microphone_said(image, tmp_path, kind, settings, slow):
    """slow: the microphone in Python, against the emulator's own PIO; else the one in C."""
    table = table_of(kind, **settings)
    sound = sound_of(speech(3), Settings(table, "rp2"), OFFSET, tail_s=0.1)
    found, lost, faults, _, taken = read_on_board(image, tmp_path, table, sound, steps=4, slow=slow)
    expected = heard(sound)[: 4 * STEP]
    assert np.abs(expected).max() > 500, "the recording should hold speech"
    assert (found == expected).all()
    assert (lost[-1], faults) == (0, [])
    if settings.get("driver") != "machine":
        assert taken == 0, "a step takes nothing from the heap"


def test_what_is_not_read_in_time_is_counted_to_the_sample(image, tmp_path):
    table = table_of("ICS-43434")
    sound = sound_of(np.tile(speech(4), 10), Settings(table, "rp2"), OFFSET)
    pauses = {2: 80, 4: 410}
    found, lost, _, _, _ = read_on_board(image, tmp_path, table, sound, steps=6, pauses=pauses)
    expected = heard(sound)
    assert lost[:3] == [0, 0, 0], "80 ms fit in the ring"
    assert lost[3] == lost[4] > 10 * STEP
    gap = lost[-1]
    assert (found[: 4 * STEP] == expected[: 4 * STEP]).all()
    # What follows is there whole; only the high-pass has not heard the gap.
    after = expected[4 * STEP + gap : 6 * STEP + gap].astype(int)
    assert np.abs(after).max() > 500
    assert np.abs(found[4 * STEP :] - after).max() < 0.1 * np.abs(after).max()


@pytest.mark.parametrize(
    ("words", "idle", "name"),
    [
        ([], 0, "microphone_silent"),
        ([], 1, "microphone_stuck"),
        ([0x7FFFFF, 0x800000] * 12_000, 0, "microphone_clipped"),
    ],
)
def test_what_is_no_sound_is_told(image, tmp_path, words, idle, name):
    """No microphone at the pins: the data wire lies low, or high; and one that is shouted at."""
    table = table_of("ICS-43434")
    sound = Sound(Settings(table, "rp2"), np.array(words, np.uint32), 0, idle)
    found, lost, faults, levels, _ = read_on_board(image, tmp_path, table, sound, steps=33)
    assert faults == [name]
    assert lost[-1] == 0
    assert levels[spec.AUDIO_LEVEL_INDEX_SAMPLES] == 32 * STEP
    assert (np.abs(found.astype(int)).max() > 32_000) == (name == "microphone_clipped")


def recognise(session, samples):
    with session:
        session.connect()
        return transcribe(samples, session)


def test_a_sentence_goes_from_the_pins_to_the_hosts_lattice():
    """File, pins, PIO, DMA, recogniser, lattice, serial, host: the host's lattice, bit for bit."""
    samples, graph, model = read_recording(SAMPLE), compiled(GRAMMAR), default_model(GRAMMAR)
    expected = recognise(HeardByHost(model, graph, EMULATED_BOARD, offset=OFFSET), samples)
    found = recognise(MicrophoneSession(model, graph, EMULATED_BOARD, offset=OFFSET), samples)
    assert found.text == "no never mind"
    assert found.lattice_bytes == expected.lattice_bytes
    assert [event.name for event in found.events] == [event.name for event in expected.events]
    assert [event.time_ms for event in found.events] == [event.time_ms for event in expected.events]


def test_a_board_without_a_microphone_says_so_and_stays_reachable():
    graph, model = compiled(GRAMMAR), default_model(GRAMMAR)
    nothing = Sound(Settings(table_of("INMP441"), "rp2"), np.zeros(0, np.uint32), 0, idle=1)
    with MicrophoneSession(model, graph, EMULATED_BOARD, sound=nothing) as session:
        session.connect()
        events = session.recognise(np.zeros(0, np.int16))
        error = next(event.error for event in events if event.error)
        assert error.name == "microphone_stuck"
        session._command(spec.COMMAND_STATE, {})
        replies = []
        while not replies:
            replies = [
                json.loads(payload[spec.COMMAND_BYTES :])
                for kind, payload in session._client.pump(1.0)
                if kind == spec.FRAME_TYPE_REPLY and payload[0] == spec.COMMAND_STATE
            ]
        assert replies[0]["listening"] is True
