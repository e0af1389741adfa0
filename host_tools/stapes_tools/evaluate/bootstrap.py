"""Confidence intervals of rates, by the bootstrap over utterances."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 1


@dataclass(frozen=True)
class Interval:
    """A rate and its 95 % confidence interval, all as fractions."""

    value: float
    low: float
    high: float


def interval(numerators: np.ndarray, denominators: np.ndarray) -> Interval | None:
    """Return sum(numerators) / sum(denominators) and how far it may be from the truth.

    Utterances are drawn with replacement, as many as there are, RESAMPLES times; the interval lies
    between the 2.5th and the 97.5th percentile of the rates. The draws depend on the number of
    utterances only. Where every utterance agrees, so do all draws: 100 % of few is no proof.

    Args:
        numerators, denominators: [n] each, of every utterance: 1 or 0 of 1, or errors of words.
    Returns:
        None: the denominators' sum is 0.
    Reference: M. Bisani and H. Ney, Bootstrap estimates for confidence intervals in ASR performance
        evaluation, ICASSP 2004.
    """
    whole = int(np.sum(denominators))
    if whole == 0:
        return None
    count = len(denominators)
    draws = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    tops, bottoms = draws @ np.asarray(numerators), draws @ np.asarray(denominators)
    # A draw without a single word says nothing.
    rates = tops[bottoms > 0] / bottoms[bottoms > 0]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(rates, (tail, 100 - tail))
    return Interval(float(np.sum(numerators) / whole), float(low), float(high))
