"""False alarms: what a board that listens all the time makes of recordings in which nobody speaks to it."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec as spec
from stapes import event as kinds
from stapes.errors import StapesError as PackageError
from stapes.recognizer import Recognizer

from .. import kernels
from ..audio import read_recording
from ..device.client import board_fault
from ..errors import UserError
from .folder import SUFFIXES
from .noise import LONGEST_NOISE_S
from .workers import hear_in_workers


@dataclass(frozen=True)
class Idle:
    """What was made of one recording.

    Attributes:
        path: of the recording.
        audio_s: its length.
        utterances: how often somebody seemed to speak.
        commands: the words of those that were understood: false alarms, all of them.
        doubts: of each, nats per word; see stapes.lattice.Lattice.
    """

    path: Path
    audio_s: float
    utterances: int
    commands: tuple[str, ...]
    doubts: tuple[float, ...] = ()


def recordings_of(path: Path) -> list[Path]:
    """The recordings in a folder and its folders, by name; or the one that is named.

    Raises:
        UserError: there are none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
    if not found:
        raise UserError("holds no recordings", path, f"name a folder with recordings ({', '.join(SUFFIXES)})")
    return found


def listen_idle(model: str | bytes, graph: bytes, paths: Sequence[Path], processes: int) -> Iterator[Idle]:
    """Yield, in order, what the model with its own end-pointers makes of each recording.

    Args:
        model: path of a .tflite file, or its bytes.
        graph: a compiled grammar's.
        paths: recordings of up to an hour, each heard as a stream of its own.
        processes: how many listen at once; 1 listens in this one.
    Raises:
        UserError, BoardError: a file is refused, or a recording is bad.
    """
    return hear_in_workers(min(processes, len(paths)), _Listener, (model, graph), _Listener.hear, paths)


class _Sound:
    """A microphone that plays samples once."""

    def __init__(self, samples: np.ndarray):
        self._left = memoryview(samples.astype("=i2").tobytes()).cast("h")

    def readinto(self, buffer: array) -> int:
        count = min(len(buffer), len(self._left))
        memoryview(buffer)[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class _Listener:
    def __init__(self, model: str | bytes, graph: bytes):
        try:
            self._recognizer = Recognizer(model, graph, kernels=kernels.install())
        except PackageError as error:
            raise board_fault(error.code, error.where or "model", error.detail) from None

    def hear(self, path: Path) -> Idle:
        samples = read_recording(path, LONGEST_NOISE_S)
        begun, heard, found = 0, None, []
        try:
            self._recognizer.reset()
            for event in self._recognizer.listen(_Sound(samples)):
                begun += event.kind == kinds.SPEECH_START
                heard = event.lattice if event.kind in (kinds.LATTICE, kinds.SPECULATIVE) else heard
                if event.kind == kinds.INTENT and event.intent is not None and heard is not None:
                    found.append((heard.text, heard.doubt))
        except PackageError as error:
            raise board_fault(error.code, str(path), error.detail) from None
        commands, doubts = zip(*found, strict=True) if found else ((), ())
        return Idle(path, len(samples) / spec.AUDIO_SAMPLE_RATE_HZ, begun, commands, doubts)
