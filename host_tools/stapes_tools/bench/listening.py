"""A recording heard by an emulated board from its own flash, as if a microphone had filled its buffer.

Alone, or by a station that tells a host what it hears.
"""

import contextlib
import json
import struct
import tempfile
from collections.abc import Iterator
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
from ..device.emulator import EmulatedBoard, Samples
from ..device.firmware import Image
from ..device.program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from ..device.romfs import firmware_with_romfs
from ..lattice.lattice import parse
from .emulated import CLOCK_MHZ
from .profile import WANTED

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
steps = array('I', [0] * (len(audio) // len(chunk)))
"""

_HEAR = """
def hear():
    ear.reset()
    listener = Listener(ear, single=True)
    size = len(chunk)
    for k in range(len(steps)):
        begun = time.ticks_us()
        chunk[:] = audio[k * size : (k + 1) * size]
        listener.accept(chunk, spec.FRONTEND_STEP_SAMPLES)
        steps[k] = time.ticks_diff(time.ticks_us(), begun)
    listener.finish()
    while listener.waiting:
        yield listener.take()
found = {'steps': steps, 'bytes': ear.memory_bytes}
for event in hear():
    if event.lattice:
        found['lattice'] = bytes(event.lattice.data).hex()
    if event.statistics:
        found['statistics'] = event.statistics
found['steps'] = list(steps)
print(json.dumps(found))
"""


_STATION = f"""
import json, time
from array import array
from stapes.event import STOPPED, Event
from stapes.recognizer import Recognizer
from stapes.station import Station
from stapes.transport import StandardTransport
audio = memoryview(open({_AUDIO_ON_BOARD!r}, 'rb'))
class Microphone:
    def __init__(self):
        self.at = self.begun = 0
        self.steps = []
    def readinto(self, chunk):
        now = time.ticks_us()
        if self.at:
            self.steps.append(time.ticks_diff(now, self.begun))
        size = 2 * len(chunk)
        part = audio[self.at : self.at + size]
        if len(part) < size:
            return 0
        memoryview(chunk)[:] = array('h', part)
        self.at += size
        self.begun = time.ticks_us()
        return len(chunk)
microphone = Microphone()
ear = Recognizer({MODEL_ON_BOARD!r}, grammar={GRAMMAR_ON_BOARD!r})
station = Station(ear, microphone, StandardTransport())
station.server.wanted = False
station.run()
station.server.send_event(Event(STOPPED, 0, utterance=ear.utterance))
while station.link.outbox.pending:
    station.server.poll(20)
"""

_REPORT = """
print(json.dumps({'steps': microphone.steps, 'bytes': ear.memory_bytes, 'state': station.server.state()}))
"""


@dataclass(frozen=True)
class Heard:
    """What a board heard, and what it spent.

    Attributes:
        text: the words of the best path.
        statistics: of the utterance.
        state_bytes: RAM of the recogniser.
        cycles: from the first sample to the last event.
        boot_ms: from power-up to the USB serial port.
        samples: where the cycles went.
        steps: cycles of every step.
        final_to_wire_us: see Server; None: nobody was told.
    """

    text: str
    statistics: dict[str, int]
    state_bytes: int
    cycles: int
    boot_ms: float
    samples: Samples
    steps: list[int]
    final_to_wire_us: int | None = None


def hear(audio: np.ndarray, model: Path, grammar: Path, image: Image) -> Heard:
    """Recognise a recording on the emulated RP2040 without its link.

    Args:
        audio: int16 [n], 16 kHz; a last step that is not whole is left out.
        model: .tflite.
        grammar: .stg.
        image: the firmware.
    Raises:
        BoardError, DeviceError: the board fails.
    """
    with _board(audio, model, grammar, image) as board:
        prompt = board.prompt()
        prompt.run(_LOAD, _TIMEOUT_S)
        board.sample(image.elf, WANTED)
        before = board.clock()
        found: dict[str, Any] = json.loads(prompt.run(_HEAR, _TIMEOUT_S))
        return Heard(
            text=parse(bytes.fromhex(found["lattice"]), path="emulator").text,
            statistics=found["statistics"],
            state_bytes=found["bytes"],
            cycles=(board.clock() - before).cycles,
            boot_ms=board.boot_nanoseconds() / 1e6,
            samples=board.samples(),
            steps=[CLOCK_MHZ * us for us in found["steps"]],
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


def hear_and_tell(audio: np.ndarray, model: Path, grammar: Path, image: Image) -> Heard:
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
        before = board.clock()
        client.link.send(spec.FRAME_TYPE_COMMAND, struct.pack(spec.COMMAND_STRUCT, spec.COMMAND_START, 0, 0) + b"{}")
        events = list(_events(client))
        cycles, samples = (board.clock() - before).cycles, board.samples()
        found: dict[str, Any] = json.loads(board.prompt().run(_REPORT, _TIMEOUT_S).splitlines()[-1])
        lattices = [event.lattice.text for event in events if event.lattice]
        sums = [event.statistics for event in events if event.statistics]
        return Heard(
            text=lattices[0] if lattices else "",
            statistics={name: sum(one[name] for one in sums) for name in (sums[0] if sums else {})},
            state_bytes=found["bytes"],
            cycles=cycles,
            boot_ms=board.boot_nanoseconds() / 1e6,
            samples=samples,
            steps=[CLOCK_MHZ * us for us in found["steps"]],
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
