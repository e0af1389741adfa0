"""What each step of a recognition ran and cost: the trace that `stapes transcribe --trace` shows.

The JSON object is described in docs/trace.md; its version changes when a reader of the old one would err.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import stapes_spec as spec

from .convert.work import Work
from .errors import BoardError
from .lattice.lattice import Lattice
from .transcript import Transcript

FORMAT = "stapes-trace"
VERSION = 1
BRANCHES = {spec.BRANCH_HEAVY: "heavy", spec.BRANCH_LIGHT: "light"}
_STEP_MS = spec.FRONTEND_STEP_MS


@dataclass(frozen=True)
class Step:
    """One step of 30 ms.

    Attributes:
        start_ms, end_ms: of the audio that it adds, from the recording's first sample.
        branch: "heavy" or "light"; a model without branches has the heavy one only.
        cycles: of the board's core, from the samples to the search; None where nothing counts them.
        multiplications: of arbitrator, branch and joint; None where the model file is not at hand.
        active_tokens: of the search.
        trailing_blanks: steps since the best token's last unit.
        joint_evaluations: of this step.
        words: the best hypothesis where this step changed it, else None.
        fed_silence: the step ends after the recording: silence that brings out the last words.
    """

    start_ms: int
    end_ms: int
    branch: str
    cycles: int | None
    multiplications: int | None
    active_tokens: int
    trailing_blanks: int
    joint_evaluations: int
    words: list[str] | None
    fed_silence: bool


@dataclass(frozen=True)
class Word:
    """A word of the best path."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Trace:
    """A recognition, step by step.

    Attributes:
        on: where it ran.
        recording: its name.
        audio_ms: its length.
        branches: whether the model has a light branch.
        effort: per cent; None: the board's own, or the model has no branches.
        clock_hz: that cycles were reckoned with; None where nothing counts them.
        work: multiplications of each part; None where the model file is not at hand.
    """

    on: str
    recording: str
    audio_ms: int
    branches: bool
    effort: int | None
    clock_hz: int | None
    work: Work | None
    text: str
    intent: str | None
    slots: dict[str, str]
    words: list[Word]
    steps: list[Step]

    @property
    def unit(self) -> str:
        """What costs() counts: "cycles" or "multiplications"."""
        return "cycles" if self.clock_hz else "multiplications"

    def costs(self) -> list[int]:
        """What each step cost, in unit; 0 where that is not known."""
        return [getattr(step, self.unit) or 0 for step in self.steps]

    @property
    def light_share(self) -> float:
        """Share of the recording's own steps that ran the light branch."""
        own = [step for step in self.steps if not step.fed_silence]
        return sum(step.branch == BRANCHES[spec.BRANCH_LIGHT] for step in own) / max(1, len(own))


def trace_of(
    transcript: Transcript,
    about: Mapping,
    samples: np.ndarray,
    recording: Path,
    *,
    work: Work | None,
    effort: int | None,
) -> Trace:
    """Make a trace of what a session heard with Order(trace=True).

    Args:
        transcript: with records.
        about: what the board said of itself.
        samples: int16 [n], 16 kHz.
        recording: path, for its name.
        work: of the model that ran, if its file is at hand.
        effort: per cent, as ordered.
    Raises:
        BoardError: the board has told nothing of its steps.
    """
    if not transcript.records and transcript.statistics.get("steps"):
        raise BoardError("the board tells nothing of its steps", transcript.on, "flash it with this version of Stapes")
    audio_ms = 1000 * len(samples) // spec.AUDIO_SAMPLE_RATE_HZ
    clock_hz = about.get("clock_hz")
    return Trace(
        transcript.on,
        recording.name,
        audio_ms,
        bool(about.get("branches")),
        effort,
        clock_hz,
        work,
        transcript.text,
        transcript.intent,
        transcript.slots,
        _words(transcript.lattice),
        [_step(record, clock_hz, work, audio_ms) for record in transcript.records],
    )


def _step(record: Mapping, clock_hz: int | None, work: Work | None, audio_ms: int) -> Step:
    branch, joints, end_ms = record["branch"], record["joints"], record["step"] * _STEP_MS
    return Step(
        end_ms - _STEP_MS,
        end_ms,
        BRANCHES[branch],
        round(record["us"] * clock_hz / 1e6) if clock_hz and record["us"] is not None else None,
        work.encoder(1, int(branch == spec.BRANCH_LIGHT)) + work.search(joints) if work else None,
        record["tokens"],
        record["blanks"],
        joints,
        record.get("words"),
        end_ms > audio_ms,
    )


def _words(lattice: Lattice) -> list[Word]:
    best = (edge for edge in lattice.edges if edge.best and edge.word is not None)
    return [Word(lattice.words[edge.word].text, edge.start_ms, edge.end_ms) for edge in best if edge.word is not None]


def as_json(trace: Trace) -> dict:
    """Return the object that docs/trace.md describes."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "on": trace.on,
        "recording": trace.recording,
        "audio_ms": trace.audio_ms,
        "step_ms": _STEP_MS,
        "branches": trace.branches,
        "effort": None if trace.effort is None else trace.effort / 100,
        "clock_hz": trace.clock_hz,
        "unit": trace.unit,
        "work": _parts(trace.work) if trace.work else None,
        "text": trace.text,
        "intent": trace.intent,
        "slots": trace.slots,
        "words": [asdict(word) for word in trace.words],
        "light_share": trace.light_share if trace.branches else None,
        "steps": [asdict(step) for step in trace.steps],
    }


def _parts(work: Work) -> dict[str, int]:
    return {name: value for name, value in asdict(work).items() if name != "has_branches"}


def fractions(costs: Sequence[int]) -> list[float]:
    """Costs as shares of the greatest one."""
    most = max(costs, default=0)
    return [cost / most if most else 0.0 for cost in costs]
