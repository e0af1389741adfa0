"""What the whole image takes while it listens by itself: main.py with microphone, link, LED and watchdog.

A host is at the link and is told of everything. Counted is the time in which the core is awake, from where the
microphone begins to speak to the end of the utterance; a board that waits for samples sleeps.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.link import event_codec

from ..audio import read_recording
from ..device.board_model import model_for_board
from ..device.client import Client, board_fault
from ..device.emulator import EMULATED_BOARD, EmulatedBoard
from ..device.firmware import build_firmware
from ..device.flash_cache import WORD_CYCLES
from ..device.microphone_session import SLOWNESS
from ..device.microphone_sound import board_settings, sound_of
from ..device.program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from ..device.romfs import firmware_with_romfs
from ..errors import BoardError

_TIMEOUT_S = 3600.0
_POLL_S = 0.5


@dataclass(frozen=True)
class Duty:
    """What listening to a recording took.

    Attributes:
        text: what was understood.
        nanoseconds: of the board's time.
        cycles: of the core, awake.
        fetched_per_cycle: words that the flash cache has to fetch.
    """

    text: str
    nanoseconds: int
    cycles: int
    fetched_per_cycle: float

    @property
    def cycles_per_audio_second(self) -> float:
        """Cycles awake per second, those of waiting for flash not counted."""
        return self.cycles / self.nanoseconds * 1e9

    def real_time_factor(self, clock_hz: int) -> float:
        """Share of the time in which a core with this clock is busy, waiting for flash included."""
        return self.cycles_per_audio_second * (1 + WORD_CYCLES * self.fetched_per_cycle) / clock_hz


def measure_duty(recording: Path, model: Path, grammar: Path, followed: Mapping[str, int]) -> Duty:
    """Speak a recording to the microphone of a board that was just switched on.

    Args:
        recording: 16 kHz mono.
        model: .tflite.
        grammar: .stg.
        followed: arguments of EmulatedBoard.trace.
    Raises:
        UserError, BoardError, DeviceError: anything that is wrong, or the board does not listen.
    """
    samples = read_recording(recording)
    image = build_firmware(EMULATED_BOARD)
    settings = board_settings(image.board)
    files: dict[str, Path | bytes] = {
        Path(MODEL_ON_BOARD).name: model_for_board(model),
        Path(GRAMMAR_ON_BOARD).name: grammar,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flash = firmware_with_romfs(image.uf2, files, folder / "flash.uf2", image.board.name)
        with EmulatedBoard(flash) as board:
            board.attach_microphone(sound_of(np.zeros(0, np.int16), settings, tail_s=0.0).order(folder))
            client = Client(board.name, slowness=SLOWNESS)
            client.attach(board)
            client.connect(SLOWNESS)
            board.trace(image.elf, **followed)
            before = board.clock()
            board.speak(sound_of(samples, settings).write(folder))
            text = _text_of_utterance(client)
            spent = board.clock() - before
            return Duty(text, spent.nanoseconds, spent.cycles, board.traced().fetched_per_cycle)


def _text_of_utterance(client: Client) -> str:
    """Wait until the first utterance is over; return what was understood."""
    text = ""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        for kind, payload in client.pump(_POLL_S):
            if kind not in (spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_NEWS):
                continue
            event = event_codec.decode(payload)
            if event.error and event.error.code != spec.ERROR_MICROPHONE_SILENT:  # nobody has spoken yet
                raise board_fault(event.error.code, client.name, event.error.detail)
            if event.lattice:
                text = event.lattice.text  # the speculative one's, if the final one is the same
            if event.kind == kinds.STATISTICS:
                return text
    raise BoardError("it does not hear its microphone", client.name)
