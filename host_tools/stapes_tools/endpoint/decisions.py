"""What end-pointers decided on one utterance, and figures over many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Decision:
    """One utterance, all in ms from its first sample; None: it did not happen.

    Attributes:
        end_ms: true end of speech.
        speculative_ms: the speculative decision that stood until the final one.
        final_ms: the final decision.
        is_revised: a speculative decision was withdrawn, or the final words are others.
        weight: how much it counts.
    """

    end_ms: int
    speculative_ms: int | None
    final_ms: int | None
    is_revised: bool
    weight: float = 1.0

    @property
    def is_early(self) -> bool:
        """Whether the speaker was cut off."""
        return self.final_ms is not None and self.final_ms < self.end_ms

    @property
    def final_latency_ms(self) -> int | None:
        """From the true end to the final decision; None where there is none, or the speaker was cut off."""
        return None if self.final_ms is None or self.is_early else self.final_ms - self.end_ms

    @property
    def speculative_latency_ms(self) -> int | None:
        """From the true end to the speculative decision that stood; that to the final one where there was none."""
        if self.final_latency_ms is None:
            return None
        decided = self.final_ms if self.speculative_ms is None else self.speculative_ms
        return None if decided is None else decided - self.end_ms

    @property
    def lead_ms(self) -> int | None:
        """From the speculative decision that stood to the final one."""
        late = self.final_latency_ms
        return None if late is None else late - (self.speculative_latency_ms or 0)

    @property
    def saved_ms(self) -> int | None:
        """How much earlier downstream work could begin; 0 where it had to begin again."""
        if self.final_latency_ms is None:
            return None
        return 0 if self.is_revised else self.lead_ms


@dataclass(frozen=True)
class Spread:
    """Median and 90th percentile, ms."""

    median: float
    p90: float


@dataclass(frozen=True)
class Figures:
    """Over many utterances.

    Attributes:
        final_latency_ms, speculative_latency_ms: None where nothing was decided. Early cuts do not count: their
            latency would be negative and flatter the figures.
        lead_ms: from the speculative decision to the final one, utterance by utterance.
        early_cut_rate, revised_rate: shares of all.
        undecided_rate: no final decision before the recording's end.
        saved_ms: mean, over those with a final decision that was not early.
    """

    utterances: int
    final_latency_ms: Spread | None
    speculative_latency_ms: Spread | None
    lead_ms: Spread | None
    early_cut_rate: float
    revised_rate: float
    undecided_rate: float
    saved_ms: float


def figures(decisions: Sequence[Decision]) -> Figures:
    """Sum decisions up, by their weights."""
    weights = np.array([one.weight for one in decisions])
    rates = [_share([getattr(one, name) for one in decisions], weights) for name in ("is_early", "is_revised")]
    undecided = _share([one.final_ms is None for one in decisions], weights)
    timely = [one for one in decisions if one.final_latency_ms is not None]
    saved = sum((one.saved_ms or 0) * one.weight for one in timely)
    return Figures(
        len(decisions),
        _spread([(one.final_latency_ms, one.weight) for one in timely]),
        _spread([(one.speculative_latency_ms, one.weight) for one in timely]),
        _spread([(one.lead_ms, one.weight) for one in timely]),
        rates[0],
        rates[1],
        undecided,
        saved / max(sum(one.weight for one in timely), 1e-9),
    )


def _share(happened: Sequence[bool], weights: np.ndarray) -> float:
    return float(weights[np.array(happened, bool)].sum() / max(weights.sum(), 1e-9))


def _spread(rows: Sequence[tuple[int | None, float]]) -> Spread | None:
    """Weighted percentiles: the smallest value at or below which the share of the weight lies."""
    if not rows:
        return None
    values, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    order = np.argsort(values, kind="stable")
    shares = np.cumsum(weights[order]) / weights.sum()
    median, p90 = (float(values[order][np.searchsorted(shares, share - 1e-9)]) for share in (0.5, 0.9))
    return Spread(median, p90)
