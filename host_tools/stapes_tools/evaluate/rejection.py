"""What a rejection costs and what it is worth: doubts of commands that were meant, and of those that nobody said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..convert.metadata import with_settings
from .bootstrap import Interval, interval
from .folder import Folder
from .idle import listen_idle
from .noise import Condition
from .recognition import Decoder, hear_all
from .run import Recording, Track, check_labels
from .scoring import accepted


@dataclass(frozen=True)
class Orders:
    """Commands in one condition, heard without a rejection.

    Attributes:
        condition: clean, or a noise.
        understood: bool [n], whether all that is labelled was right.
        doubts: float [n], see stapes.lattice.Lattice.doubt.
    """

    condition: Condition
    understood: np.ndarray
    doubts: np.ndarray

    def acceptance(self, rejection: float) -> Interval | None:
        """Share that is understood and, by a rejection (0: none), taken for meant."""
        kept = self.understood & believed(self.doubts, rejection)
        return interval(kept.astype(int), np.ones(len(kept), int))


@dataclass(frozen=True)
class Alarms:
    """Commands that were understood where nobody said one, without a rejection.

    Attributes:
        doubts: float [n] of them.
        hours: of audio.
    """

    doubts: np.ndarray
    hours: float

    def per_hour(self, rejection: float) -> float:
        """How many an hour are left by a rejection (0: none)."""
        return float(np.sum(believed(self.doubts, rejection)) / self.hours)


def believed(doubts: np.ndarray, rejection: float) -> np.ndarray:
    """bool [n]: which commands a board would take for meant."""
    return np.full(len(doubts), True) if rejection == 0 else doubts <= rejection


@dataclass(frozen=True)
class Trial:
    """Who hears.

    Attributes:
        model: a .tflite file's bytes; what it rejects is heard all the same.
        grammar: .stg.
        name: what errors call that.
        processes: how many recordings are heard at once.
    """

    model: bytes
    grammar: Path
    name: str
    processes: int = 1

    def trusting(self) -> bytes:
        """The model without a rejection."""
        return with_settings(self.model, rejection=0.0)


def hear_orders(trial: Trial, folder: Folder, conditions: Sequence[Condition], track: Track) -> Iterator[Orders]:
    """Yield what the model makes of labelled commands in each condition.

    Raises:
        UserError, BoardError: labels and grammar do not fit, or a recording or the model is refused.
    """
    check_labels(folder, trial.grammar, trial.name)
    sounds = [Recording(utterance, condition) for condition in conditions for utterance in folder.utterances]
    decoders = [Decoder(str(trial.grammar), name=trial.name)]
    heard = track(hear_all(trial.trusting(), decoders, sounds, trial.processes), len(sounds), "orders")
    results = iter([result for (result,) in heard])
    for condition in conditions:
        part = [(utterance, next(results)) for utterance in folder.utterances]
        right = [accepted(result, utterance.slots or {}, utterance.intent) for utterance, result in part]
        yield Orders(condition, np.array(right), np.array([result.doubt for _, result in part]))


def hear_others(trial: Trial, paths: Sequence[Path], track: Track) -> Alarms:
    """What the model takes for commands in recordings that hold none; see stapes_tools.evaluate.idle."""
    heard = listen_idle(trial.trusting(), trial.grammar.read_bytes(), paths, trial.processes)
    rows = list(track(heard, len(paths), "others"))
    doubts = [doubt for row in rows for doubt in row.doubts]
    return Alarms(np.array(doubts, float), sum(row.audio_s for row in rows) / 3600)
