"""A recording heard by an emulated board from its own flash, as if a microphone had filled its buffer: no link."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..device.board_model import model_for_board
from ..device.emulator import EmulatedBoard
from ..device.firmware import Image
from ..device.program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from ..device.romfs import firmware_with_romfs
from ..lattice.lattice import parse
from .emulated import CLOCK_MHZ
from .profile import WANTED, Profile, profile

_AUDIO_ON_BOARD = "/rom/audio.pcm"
_TIMEOUT_S = 3600.0

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
    """

    text: str
    statistics: dict[str, int]
    state_bytes: int
    cycles: int
    profile: Profile
    fetched_per_cycle: float


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
    contents: dict[str, Path | bytes] = {
        Path(MODEL_ON_BOARD).name: model_for_board(model),
        Path(GRAMMAR_ON_BOARD).name: grammar,
        Path(_AUDIO_ON_BOARD).name: audio.astype("<i2").tobytes(),
    }
    with tempfile.TemporaryDirectory() as folder:
        flash = firmware_with_romfs(image.uf2, contents, Path(folder) / "flash.uf2", image.board.name)
        with EmulatedBoard(flash) as board:
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
