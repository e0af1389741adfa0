"""A recording heard by an emulated board without its link: spoken to its microphone, or from its own flash."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import stapes_spec as spec

from ..device.board_model import model_for_board
from ..device.emulator import EmulatedBoard, Fetches
from ..device.firmware import Image
from ..device.memory_map import our_data_bytes
from ..device.microphone_sound import board_settings, sound_of
from ..device.program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from ..device.romfs import firmware_with_romfs
from ..lattice.lattice import parse
from .emulated import CLOCK_MHZ
from .profile import WANTED, Profile, profile

MICROPHONE, FLASH = "microphone", "flash"
_AUDIO_ON_BOARD = "/rom/audio.pcm"
_TAIL_STEPS = 150  # of silence behind what is spoken to a microphone, so that the end-pointer decides
_COPIES_AUDIO = "memmove"  # out of the flash, through its cache: a microphone's samples come by DMA
_TIMEOUT_S = 3600.0

_CODE = """
import gc, json, time
from array import array
import stapes_spec as spec
from stapes.listener import Listener
from stapes.microphone import Microphone
from stapes.recognizer import Recognizer
def hear():
    ear.reset()
    listener = Listener(ear, single=True)
    for k in range(len(begins)):
        if listener.over:
            break
        read(k)
        begins[k] = time.ticks_us()
        listener.accept(chunk, spec.FRONTEND_STEP_SAMPLES)
        ends[k] = time.ticks_us()
    listener.finish()
    while listener.waiting:
        yield listener.take()
def listen():
    for event in hear():
        if event.lattice:
            found['lattice'] = event.lattice
        if event.statistics:
            found['statistics'] = event.statistics
    span[0], span[1] = begins[0], time.ticks_us()
begins = array('I', [0] * STEPS)
ends = array('I', begins)
found, span = {}, array('I', [0, 0])
"""

_READERS = {
    FLASH: f"""
audio = memoryview(open({_AUDIO_ON_BOARD!r}, 'rb'))
chunk = bytearray(2 * spec.FRONTEND_STEP_SAMPLES)
def read(k):
    chunk[:] = audio[k * len(chunk) : (k + 1) * len(chunk)]
microphone = None
""",
    MICROPHONE: """
chunk = array('h', [0] * spec.FRONTEND_STEP_SAMPLES)
def read(k):
    microphone.readinto(chunk)
""",
}

# What of the heap is taken is counted from where there is code, but nothing that listens.
_LOAD = f"""
gc.collect()
empty = gc.mem_alloc()
ear = Recognizer({MODEL_ON_BOARD!r}, grammar={GRAMMAR_ON_BOARD!r})
"""
_SOLDERED = "microphone = Microphone.from_board()\n"

_HEAR = """
listen()
gc.collect()
found['heap'] = gc.mem_alloc() - empty
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
        ram_bytes: of recogniser, listener, microphone, and of the kernels' own variables.
        cycles: of the core, awake, from the first sample to the last event, without reading a recording from flash.
        profile: where the cycles went.
        fetched_per_cycle: words that the flash cache has to fetch, those of the recording not counted.
    """

    text: str
    statistics: dict[str, int]
    ram_bytes: int
    cycles: int
    profile: Profile
    fetched_per_cycle: float


def hear(
    audio: np.ndarray, model: Path, grammar: Path, image: Image, *, followed: Mapping[str, int], source: str
) -> Heard:
    """Recognise a recording on the emulated RP2040 without its link.

    Args:
        audio: int16 [n], 16 kHz; from flash a last step that is not whole is left out.
        model: .tflite.
        grammar: .stg.
        image: the firmware.
        followed: arguments of EmulatedBoard.trace.
        source: MICROPHONE, the board's own, at its pins; FLASH, as if a microphone had filled its buffer.
    Raises:
        BoardError, DeviceError: the board fails.
    """
    spoken = source == MICROPHONE
    steps = len(audio) // spec.FRONTEND_STEP_SAMPLES + (_TAIL_STEPS if spoken else 0)
    contents: dict[str, Path | bytes] = {
        Path(MODEL_ON_BOARD).name: model_for_board(model),
        Path(GRAMMAR_ON_BOARD).name: grammar,
        **({} if spoken else {Path(_AUDIO_ON_BOARD).name: audio.astype("<i2").tobytes()}),
    }
    with tempfile.TemporaryDirectory() as folder:
        flash = firmware_with_romfs(image.uf2, contents, Path(folder) / "flash.uf2", image.board.name)
        with EmulatedBoard(flash) as board:
            if spoken:
                tail_s = _TAIL_STEPS * spec.FRONTEND_STEP_MS / 1000
                sound = sound_of(audio, board_settings(image.board), tail_s=tail_s)
                board.attach_microphone(sound.order(Path(folder)))
            prompt = board.prompt()
            prompt.run(_CODE.replace("STEPS", str(steps)) + _READERS[source], _TIMEOUT_S)
            prompt.run(_LOAD + (_SOLDERED if spoken else ""), _TIMEOUT_S)
            board.sample(image.elf, WANTED)
            board.trace(image.elf, **followed)
            found: dict[str, Any] = json.loads(prompt.run(_HEAR, _TIMEOUT_S))
            began, ended = found["span"]
            counted = profile(board.samples(), (began, ended), found["steps"], CLOCK_MHZ)
            return Heard(
                text=parse(bytes.fromhex(found["lattice"]), path="emulator").text,
                statistics=found["statistics"],
                ram_bytes=found["heap"] + our_data_bytes(image.map),
                cycles=sum(counted.stages.values()) if spoken else _without_reading(found),
                profile=counted,
                fetched_per_cycle=_fetched_per_cycle(board.traced(), spoken),
            )


def _without_reading(found: Mapping[str, Any]) -> int:
    """Cycles of the steps, and of what comes after the last."""
    steps, (_, ended) = found["steps"], found["span"]
    return CLOCK_MHZ * (sum(end - begin for begin, end in steps) + ended - steps[-1][1])


def _fetched_per_cycle(fetches: Fetches, spoken: bool) -> float:
    if spoken or not fetches.cycles:
        return fetches.fetched_per_cycle
    return fetches.fetched_per_cycle - fetches.data.get(_COPIES_AUDIO, 0) / fetches.cycles
