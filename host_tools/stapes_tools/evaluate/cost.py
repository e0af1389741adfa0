"""What recognition cost in multiplications, and how often the light branch did the work."""

from collections.abc import Sequence
from dataclasses import dataclass

import stapes_spec as spec

from ..convert.work import Work

_STEP_S = spec.FRONTEND_STEP_MS / 1000


@dataclass(frozen=True)
class Steps:
    """Steps of one recording; those of the silence that is fed after its end are not in it.

    Attributes:
        count: of all.
        light: of those that ran the light branch.
        trailing: of those that begin after the last speech (silence.py).
        trailing_light: both.
        joint_evaluations: of the search.
    """

    count: int = 0
    light: int = 0
    trailing: int = 0
    trailing_light: int = 0
    joint_evaluations: int = 0

    def __add__(self, other: "Steps") -> "Steps":
        return Steps(
            self.count + other.count,
            self.light + other.light,
            self.trailing + other.trailing,
            self.trailing_light + other.trailing_light,
            self.joint_evaluations + other.joint_evaluations,
        )


@dataclass(frozen=True)
class Cost:
    """Of all recordings together; shares are None for a model without branches.

    Attributes:
        macs_per_second: multiplications per second of audio: arbitrator, branches, predictor and joint as they ran.
        encoder_macs_per_second: of arbitrator and branches alone.
        light_share: of the steps that ran the light branch.
        light_share_trailing: the same of the steps after the last speech; None: there are none.
        saved: 1 - encoder_macs_per_second / that of the heavy branch alone on the same audio.
    """

    macs_per_second: float
    encoder_macs_per_second: float
    light_share: float | None
    light_share_trailing: float | None
    saved: float | None


def cost_of(work: Work, recordings: Sequence[Steps]) -> Cost | None:
    """Sum up. None: there is not a single step.

    Args:
        work: of the model that ran.
        recordings: what each took.
    """
    total = sum(recordings, Steps())
    if not total.count:
        return None
    audio_s = total.count * _STEP_S
    encoder = work.encoder(total.count, total.light)
    whole = (encoder + work.search(total.joint_evaluations)) / audio_s
    if not work.has_branches:
        return Cost(whole, encoder / audio_s, None, None, None)
    trailing = total.trailing_light / total.trailing if total.trailing else None
    saved = work.saved(total.count, total.light)
    return Cost(whole, encoder / audio_s, total.light / total.count, trailing, saved)
