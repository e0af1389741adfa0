"""A recording heard by an emulated board from its own flash, as if a microphone had filled its buffer.

Alone, or by a station that tells a host what it hears.
"""

import contextlib
import json
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.event import Event
from stapes.link import event_codec

from ..device.board_model import model_for_board
from ..device.client import Client
from ..device.emulator import EmulatedBoard
from ..device.firmware import Image
from ..device.program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from ..device.romfs import firmware_with_romfs
from ..lattice.lattice import parse
from .emulated import CLOCK_MHZ
from .profile import WANTED, Profile, profile

_AUDIO_ON_BOARD = "/rom/audio.pcm"
_TIMEOUT_S = 3600.0
_SLOWNESS = 100.0  # of the emulator, on a busy computer: how long the host waits

_LOAD = f"""
import json, time
from array import array
import stapes_spec as spec
from stapes.listener import Listener
from stapes.recognizer import Recognizer
ear = Recognizer({MODEL_ON_BOARD!r}, grammar={GRAMMAR_ON_BOARD!r})
audio = memoryview(open({_AUDIO_ON_BOARD!r}, 'rb'))
chunk = bytearray(2 * spec.FRONTEND_STEP_SAMPLES)
begins = array('I', [0] * (len(audio) // len(chunk)))
ends = array('I', begins)
"""

_HEAR = """
def hear():
    ear.reset()
    listener = Listener(ear, single=True)
    size = len(chunk)
    for k in range(len(begins)):
        if listener.over:
            break
        begins[k] = time.ticks_us()
        chunk[:] = audio[k * size : (k + 1) * size]
        listener.accept(chunk, spec.FRONTEND_STEP_SAMPLES)
        ends[k] = time.ticks_us()
    listener.finish()
    while listener.waiting:
        yield listener.take()
def listen():
    span[0] = time.ticks_us()
    for event in hear():
        if event.lattice:
            found['lattice'] = event.lattice
        if event.statistics:
            found['statistics'] = event.statistics
    span[1] = time.ticks_us()
found, span = {'bytes': ear.memory_bytes}, array('I', [0, 0])
listen()
found['lattice'] = bytes(found['lattice'].data).hex()
found['span'] = list(span)
found['steps'] = [(b, e) for b, e in zip(begins, ends) if e]
print(json.dumps(found))
"""

_STATION = f"""
import json, time
from array import array
import stapes_spec as spec
from stapes.event import STOPPED, Event
from stapes.recognizer import Recognizer
from stapes.station import Station
from stapes.transport import StandardTransport
audio = memoryview(open({_AUDIO_ON_BOARD!r}, 'rb'))
class Microphone:
    def __init__(self):
        self.at = self.count = 0
        self.begins = array('I', [0] * (len(audio) // (2 * spec.FRONTEND_STEP_SAMPLES) + 1))
        self.ends = array('I', self.begins)
    def readinto(self, chunk):
        if self.count:
            self.ends[self.count - 1] = time.ticks_us()
        size = 2 * len(chunk)
        part = audio[self.at : self.at + size]
        if len(part) < size:
            return 0
        memoryview(chunk)[:] = array('h', part)
        self.at += size
        self.begins[self.count] = time.ticks_us()
        self.count += 1
        return len(chunk)
microphone = Microphone()
ear = Recognizer({MODEL_ON_BOARD!r}, grammar={GRAMMAR_ON_BOARD!r})
station = Station(ear, microphone, StandardTransport())
station.server.wanted = False
station.run()
station.server.send_event(Event(STOPPED, 0, utterance=ear.utterance))
while station.link.outbox.pending:
    station.server.poll(20)
over = time.ticks_us()
"""

_REPORT = """
print(json.dumps({
    'steps': [(b, e) for b, e in zip(microphone.begins, microphone.ends) if e],
    'end': over,
    'bytes': ear.memory_bytes,
    'state': station.server.state(),
}))
"""


@dataclass(frozen=True)
class Heard:
    """What a board heard, and what it spent.

    Attributes:
        text: the words of the best path.
        statistics: of the utterance.
        state_bytes: RAM of the recogniser.
        cycles: from the first sample to the last event.
        profile: where the cycles went.
        fetched_per_cycle: words that the flash cache has to fetch.
        final_to_wire_us: see Server; None: nobody was told.
    """

    text: str
    statistics: dict[str, int]
    state_bytes: int
    cycles: int
    profile: Profile
    fetched_per_cycle: float
    final_to_wire_us: int | None = None


def hear(audio: np.ndarray, model: Path, grammar: Path, image: Image, followed: Mapping[str, int]) -> Heard:
    """Recognise a recording on the emulated RP2040 without its link.

    Args:
        audio: int16 [n], 16 kHz; a last step that is not whole is left out.
        model: .tflite.
        grammar: .stg.
        image: the firmware.
        followed: arguments of EmulatedBoard.trace.
    Raises:
        BoardError, DeviceError: the board fails.
    """
    with _board(audio, model, grammar, image) as board:
        prompt = board.prompt()
        prompt.run(_LOAD, _TIMEOUT_S)
        board.sample(image.elf, WANTED)
        board.trace(image.elf, **followed)
        found: dict[str, Any] = json.loads(prompt.run(_HEAR, _TIMEOUT_S))
        began, ended = found["span"]
        return Heard(
            text=parse(bytes.fromhex(found["lattice"]), path="emulator").text,
            statistics=found["statistics"],
            state_bytes=found["bytes"],
            cycles=CLOCK_MHZ * (ended - began),
            profile=profile(board.samples(), (began, ended), found["steps"], CLOCK_MHZ),
            fetched_per_cycle=board.traced().fetched_per_cycle,
        )


@contextlib.contextmanager
def _board(audio: np.ndarray, model: Path, grammar: Path, image: Image) -> Iterator[EmulatedBoard]:
    """A board with everything in its ROMFS."""
    contents: dict[str, Path | bytes] = {
        Path(MODEL_ON_BOARD).name: model_for_board(model),
        Path(GRAMMAR_ON_BOARD).name: grammar,
        Path(_AUDIO_ON_BOARD).name: audio.astype("<i2").tobytes(),
    }
    with tempfile.TemporaryDirectory() as folder:
        flash = firmware_with_romfs(image.uf2, contents, Path(folder) / "flash.uf2", image.board.name)
        with EmulatedBoard(flash) as board:
            yield board


def hear_and_tell(audio: np.ndarray, model: Path, grammar: Path, image: Image, followed: Mapping[str, int]) -> Heard:
    """The same by a station, all of the recording, while a host takes its events.

    Args and Raises: see hear. The text is the first utterance's, the statistics are summed.
    """
    with _board(audio, model, grammar, image) as board:
        prompt = board.prompt()
        prompt.start(_STATION, _TIMEOUT_S)
        client = Client(board.name, slowness=_SLOWNESS)
        client.attach(board, prompt.leftover())
        client.connect(_TIMEOUT_S)
        board.sample(image.elf, WANTED)
        board.trace(image.elf, **followed)
        client.link.send(spec.FRAME_TYPE_COMMAND, struct.pack(spec.COMMAND_STRUCT, spec.COMMAND_START, 0, 0) + b"{}")
        events = list(_events(client))
        samples, traced = board.samples(), board.traced()
        found: dict[str, Any] = json.loads(board.prompt().run(_REPORT, _TIMEOUT_S).splitlines()[-1])
        lattices = [event.lattice.text for event in events if event.lattice]
        sums = [event.statistics for event in events if event.statistics]
        began, ended = found["steps"][0][0], found["end"]
        return Heard(
            text=lattices[0] if lattices else "",
            statistics={name: sum(one[name] for one in sums) for name in (sums[0] if sums else {})},
            state_bytes=found["bytes"],
            cycles=CLOCK_MHZ * (ended - began),
            profile=profile(samples, (began, ended), found["steps"], CLOCK_MHZ),
            fetched_per_cycle=traced.fetched_per_cycle,
            final_to_wire_us=found["state"]["final_to_wire_us"],
        )


def _events(client: Client) -> Iterator[Event]:
    """What a station tells until it has heard all of the recording."""
    while True:
        for kind, payload in client.pump(1.0):
            if kind in (spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_NEWS):
                event = event_codec.decode(payload)
                if event.kind == kinds.STOPPED:
                    client.flush()
                    return
                yield event
