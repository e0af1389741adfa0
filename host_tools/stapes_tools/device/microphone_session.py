"""Sessions in which the board hears its own microphone, and a recording is what is spoken to it."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.errors import StapesError as PackageError
from stapes.event import Event
from stapes.microphone_settings import Settings

from ..errors import UserError
from .board_model import model_for_board
from .boards import load_board
from .client import board_fault
from .emulator import EmulatedBoard
from .firmware import build_firmware
from .host import HostSession
from .microphone_sound import Sound, board_settings, heard, sound_of
from .program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD, microphone_program
from .romfs import firmware_with_romfs
from .session import PLAIN, Order, Progress, Session

_PROGRESS_S = 0.2
SLOWNESS = 60.0  # wall seconds for one of a board that is spoken to, on a busy computer


def _settings(board_name: str) -> Settings:
    try:
        return board_settings(load_board(board_name))
    except PackageError as error:
        raise board_fault(error.code, f"boards/{board_name}/board.toml", error.detail) from None


class HeardByHost(HostSession):
    """The board package in this process hears what its audio path makes of a recording."""

    def __init__(
        self, model: Path, grammar: Path, board_name: str, names: Mapping[str, str] | None = None, offset: int = 0
    ) -> None:
        super().__init__(model, grammar, None, names)
        self._microphone = _settings(board_name)
        self._offset = offset
        self._utterance = 1  # as a board that listens by itself counts

    def recognise(
        self, samples: np.ndarray, progress: Progress = lambda _: None, order: Order = PLAIN
    ) -> Iterator[Event]:
        """As HostSession's, after the audio path."""
        sound = sound_of(samples, self._microphone, self._offset)
        yield from super().recognise(heard(sound), lambda done: progress(min(done, len(samples))), order)


class MicrophoneSession(Session):
    """An emulated board with a microphone at its pins, to which recordings are spoken.

    Args:
        model: a .tflite file.
        grammar: a .stg file.
        board_name: a folder of boards/; its board.toml says which microphone it is, and at which pins.
        names: path of a file given here to the name that errors call it.
        offset: DC offset of the microphone, 2^23 is full scale.
        sound: what it says, in place of a recording.
    """

    def __init__(
        self,
        model: Path,
        grammar: Path,
        board_name: str,
        names: Mapping[str, str] | None = None,
        *,
        offset: int = 0,
        sound: Sound | None = None,
    ) -> None:
        self._microphone = _settings(board_name)
        self._board_name = board_name
        self._names = dict(names or {})
        self._paths = {MODEL_ON_BOARD: model, GRAMMAR_ON_BOARD: grammar}
        self._offset = offset
        self._sound = sound
        self._folder = tempfile.TemporaryDirectory(prefix="stapes-microphone-")
        self._asked = 0.0
        self._spoken = 0
        board = self._power_up()
        files = {there: self._names.get(str(here), str(here)) for there, here in self._paths.items()}
        super().__init__(board, "emulator", slowness=SLOWNESS, files=files, heard=self._left)

    def _power_up(self) -> EmulatedBoard:
        contents: dict[str, Path | bytes] = {
            Path(MODEL_ON_BOARD).name: model_for_board(self._paths[MODEL_ON_BOARD]),
            Path(GRAMMAR_ON_BOARD).name: self._paths[GRAMMAR_ON_BOARD],
        }
        firmware = build_firmware(self._board_name).uf2
        flash = firmware_with_romfs(firmware, contents, Path(self._folder.name) / "flash.uf2", self._board_name)
        board = EmulatedBoard(flash)
        try:
            silence = sound_of(np.zeros(0, np.int16), self._microphone, self._offset, tail_s=0.0)
            board.attach_microphone((self._sound or silence).order(Path(self._folder.name)))
            prompt = board.prompt(10.0 * SLOWNESS)
            prompt.start(microphone_program(MODEL_ON_BOARD, GRAMMAR_ON_BOARD))
            self._left = prompt.leftover()
        except BaseException:
            board.close()
            self._folder.cleanup()
            raise
        return board

    def close(self) -> None:
        """Switch the board off; safe to call twice."""
        super().close()
        self._folder.cleanup()

    def recognise(
        self, samples: np.ndarray, progress: Progress = lambda _: None, order: Order = PLAIN
    ) -> Iterator[Event]:
        """Speak a recording to the microphone; yield the events of the first utterance, statistics last.

        What is wrong with the sound, or was lost, is among the events. A session speaks once.

        Args:
            samples: int16 [n], 16 kHz, mono.
            progress: called with the samples spoken so far.
            order: effort only.
        Raises:
            BoardError, UserError: what the board or the link reports; nothing was understood as speech.
        """
        order.check(self.about.get("branches", False), self.name)
        if order.trace:
            advice = "leave --microphone or the trace out"
            raise UserError("a board that hears its own microphone tells no steps", self.name, advice)
        assert isinstance(self.stream, EmulatedBoard)
        sound = self._sound or sound_of(samples, self._microphone, self._offset)
        self.stream.speak(sound.write(Path(self._folder.name)))
        end = len(sound.words)
        self._command(spec.COMMAND_START, order.as_json())
        self._answered = time.monotonic()
        while True:
            for event in self._events():
                if event.kind == kinds.ERROR and not _of_the_sound(event.error):
                    raise self._fault(event.error)
                yield event
                if event.kind == kinds.STATISTICS:
                    return
            spoken = self._how_far()
            progress(max(0, min(len(samples), (spoken - sound.lead) // sound.words_per_sample)))
            if spoken > end + sound.lead:
                return

    def _how_far(self) -> int:
        """Words spoken so far, asked from time to time."""
        if time.monotonic() - self._asked > _PROGRESS_S:
            self._asked = time.monotonic()
            self._spoken = self.stream.microphone_words()  # type: ignore[attr-defined]
        return self._spoken


def _of_the_sound(error: PackageError) -> bool:
    """Whether the board goes on listening all the same."""
    return error.code in (spec.ERROR_MICROPHONE_SILENT, spec.ERROR_MICROPHONE_STUCK, spec.ERROR_MICROPHONE_CLIPPED)


def open_microphone(
    on: str, board_name: str, model: Path, grammar: Path, names: Mapping[str, str] | None = None
) -> HeardByHost | MicrophoneSession:
    """Return a session, not yet connected, with what hears a microphone.

    Args:
        on: "emulator", or "host": the same samples in this process.
        board_name: a folder of boards/.
        model: a .tflite file.
        grammar: a .stg file.
        names: path of a file given here to the name that errors call it.
    Raises:
        UserError: on is something else.
        BoardError, DeviceError: it cannot be opened.
    """
    if on == "host":
        return HeardByHost(model, grammar, board_name, names)
    if on == "emulator":
        return MicrophoneSession(model, grammar, board_name, names)
    advice = "use --on emulator, or --on host for the same samples; `stapes monitor` shows what a board hears"
    raise UserError("a microphone can be played to only where it is emulated", on, advice)
