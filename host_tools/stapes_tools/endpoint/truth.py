"""Where speech begins and ends in a clean recording: one rule, by energy, for training and for scoring.

The level of a 10 ms frame is its mean square in dB. The top is the loudest level of five frames' mean; the bottom
is the level that one frame in ten lies below. A frame is loud when it is less than 35 dB below the top and in
the upper two thirds between bottom and top. Runs of loud frames less than 100 ms apart are one stretch; stretches
shorter than 80 ms that lie more than 300 ms from any other are clicks and do not count. Speech begins with the first
stretch and ends with the last.
"""

from collections.abc import Sequence

import numpy as np
import stapes_spec as spec

_FRAME = spec.AUDIO_SAMPLE_RATE_HZ // 100
_FRAME_MS = 10
_SMOOTH = 5
_RANGE_DB = 35.0
_RATIO = 1 / 3
_JOIN_MS, _CLICK_MS, _ALONE_MS = 100, 80, 300

Span = tuple[int, int]


def levels_db(samples: np.ndarray) -> np.ndarray:
    """Mean square of each whole 10 ms frame of int16 [n], in dB: float [n // 160]."""
    count = len(samples) // _FRAME
    frames = samples[: count * _FRAME].reshape(count, _FRAME).astype(np.float64)
    return 10 * np.log10((frames**2).mean(axis=1) + 1.0)


def speech_ms(samples: np.ndarray) -> Span | None:
    """(begin, end) of the speech in a clean recording, ms; None where there is none.

    Args:
        samples: int16 [n], 16 kHz.
    """
    found = stretches_ms(samples)
    return (found[0][0], found[-1][1]) if found else None


def stretches_ms(samples: np.ndarray) -> list[Span]:
    """The stretches of speech, (begin, end) in ms, clicks left out."""
    levels = levels_db(samples)
    if len(levels) < _SMOOTH:
        return []
    power = np.convolve(10 ** (levels / 10), np.ones(_SMOOTH) / _SMOOTH, mode="valid")
    top, bottom = 10 * np.log10(power.max()), np.percentile(levels, 10)
    is_loud = levels > max(top - _RANGE_DB, bottom + (top - bottom) * _RATIO)
    return _without_clicks(_joined(_runs(is_loud)))


def _runs(is_loud: np.ndarray) -> list[Span]:
    """Frames in a row, as (begin, end) in ms."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_loud.astype(np.int8), [0]])))
    return [(int(a) * _FRAME_MS, int(b) * _FRAME_MS) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _joined(runs: Sequence[Span]) -> list[Span]:
    stretches: list[Span] = []
    for begin, end in runs:
        if stretches and begin - stretches[-1][1] < _JOIN_MS:
            stretches[-1] = stretches[-1][0], end
        else:
            stretches.append((begin, end))
    return stretches


def _without_clicks(stretches: Sequence[Span]) -> list[Span]:
    kept = []
    for k, (begin, end) in enumerate(stretches):
        before = begin - stretches[k - 1][1] if k else _ALONE_MS + 1
        after = stretches[k + 1][0] - end if k + 1 < len(stretches) else _ALONE_MS + 1
        if end - begin >= _CLICK_MS or min(before, after) <= _ALONE_MS:
            kept.append((begin, end))
    return kept
