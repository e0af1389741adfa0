"""A trace as a picture: log-mel, the branch that ran, what each step cost, the words over time."""

from pathlib import Path

import numpy as np
import stapes_spec as spec

from .errors import TRAIN_TOOLS, UserError
from .kernels.features import log_mel
from .trace import Trace

_COLOURS = {"heavy": "C3", "light": "C2"}
_STEP_S = spec.FRONTEND_STEP_MS / 1000
_SHIFT_S = spec.FRONTEND_FRAME_SHIFT_MS / 1000
_INCHES_PER_S = 1.6


def draw(trace: Trace, samples: np.ndarray, path: Path) -> None:
    """Draw a trace over its recording.

    Args:
        trace: see there.
        samples: int16 [n], 16 kHz, that it was made from.
        path: of the PNG.
    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("drawing needs matplotlib", advice=f"run `{TRAIN_TOOLS}`") from None
    end_s = max(len(samples) / spec.AUDIO_SAMPLE_RATE_HZ, _STEP_S * len(trace.steps))
    width = min(max(8.0, _INCHES_PER_S * end_s), 30.0)
    figure = Figure(figsize=(width, 6.2), dpi=110, layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(4, 0.5, 2.4, 1))
    _draw_sound(axes[0], samples)
    _draw_branches(axes[1], trace)
    _draw_costs(axes[2], trace)
    _draw_words(axes[3], trace)
    for one in axes:
        one.axvline(trace.audio_ms / 1000, color="0.3", lw=1, ls=":")
    axes[0].set_xlim(0, end_s)
    axes[3].set_xlabel("seconds; dotted: end of the recording, then silence that brings out the last words")
    figure.suptitle(_title(trace), fontsize=10)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", path, "check the path") from None


def _title(trace: Trace) -> str:
    effort = f", effort {trace.effort} %" if trace.effort is not None else ""
    light = f", {100 * trace.light_share:.0f} % of the steps light" if trace.branches else ", no light branch"
    return f"{trace.recording} on {trace.on}{effort}{light}"


def _draw_sound(axes, samples: np.ndarray) -> None:
    """Log-mel as the front end computes it, log2 units."""
    bands = log_mel(samples).T / 2**spec.FRONTEND_LOG_FRACTION_BITS
    if bands.size:
        extent = (0, bands.shape[1] * _SHIFT_S, 0, spec.FRONTEND_MEL_BANDS)
        axes.imshow(bands, origin="lower", aspect="auto", extent=extent, cmap="magma", interpolation="nearest")
    axes.set_ylabel("log-mel band")


def _draw_branches(axes, trace: Trace) -> None:
    for branch, colour in _COLOURS.items():
        spans = [(step.start_ms / 1000, _STEP_S) for step in trace.steps if step.branch == branch]
        if spans:
            axes.broken_barh(spans, (0, 1), facecolors=colour, label=branch)
    axes.set(yticks=[], ylim=(0, 1))
    axes.set_ylabel("branch", rotation=0, ha="right", va="center")
    if trace.steps:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)


def _draw_costs(axes, trace: Trace) -> None:
    """A bar for each step."""
    starts = [step.start_ms / 1000 for step in trace.steps]
    colours = [_COLOURS[step.branch] for step in trace.steps]
    axes.bar(starts, [cost / 1000 for cost in trace.costs()], _STEP_S, align="edge", color=colours)
    if trace.clock_hz:
        label = f"real time at {trace.clock_hz / 1e6:g} MHz"
        axes.axhline(trace.clock_hz * _STEP_S / 1000, color="0.3", lw=1, ls="--", label=label)
        axes.legend(loc="lower right", fontsize=8)
    axes.set_ylabel(f"thousand\n{trace.unit}")
    axes.grid(alpha=0.3, axis="y")


def _draw_words(axes, trace: Trace) -> None:
    """A bar from each word's first unit to its end, in two rows so that neighbours do not touch."""
    for place, word in enumerate(trace.words):
        start, end = word.start_ms / 1000, word.end_ms / 1000
        low = 0.1 + 0.45 * (place % 2)
        axes.barh(low, max(end - start, _STEP_S), 0.38, start, align="edge", color="C0", alpha=0.35)
        axes.text(start + 0.01, low + 0.19, word.text, va="center", fontsize=8, clip_on=True)
    axes.set(yticks=[], ylim=(0, 1))
    axes.set_ylabel("words", rotation=0, ha="right", va="center")
