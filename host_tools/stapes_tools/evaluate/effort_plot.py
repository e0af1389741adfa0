"""Accuracy against cost over a sweep of the effort, as a PNG."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from .run import Row


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw acceptance over multiplications per second, and which branch ran over the effort.

    Args:
        rows: with command_acceptance, effort and cost; a curve for each condition.
        path: of the PNG.
        title: what was evaluated.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.5), dpi=120, layout="constrained")
    accuracy, shares = figure.subplots(1, 2, width_ratios=(3, 2))
    key = str
    by_condition = sorted(rows, key=lambda row: key(row.condition))
    for place, (condition, group) in enumerate(groupby(by_condition, key=lambda row: key(row.condition))):
        curve = sorted((row for row in group if row.cost), key=lambda row: row.effort or 0)
        _draw_accuracy(accuracy, curve, f"C{place}", condition)
        _draw_shares(shares, curve, f"C{place}", condition)
    _draw_heavy(accuracy, rows)
    accuracy.set_title(title, fontsize=10)
    accuracy.set(xlabel="million multiplications per second of audio", ylabel="commands accepted, %")
    accuracy.set_xlim(0, 1.06 * accuracy.get_xlim()[1])
    shares.set_title("which branch ran", fontsize=10)
    shares.set(xlabel="effort, %", ylabel="share, %", xlim=(-3, 103))
    for axes in (accuracy, shares):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=8, frameon=False)
    figure.savefig(path, format="png")


def _draw_accuracy(axes, curve: Sequence[Row], colour: str, condition: str) -> None:
    """The curve with its intervals, each point with its effort."""
    points = [(row.cost.macs_per_second / 1e6, row.command_acceptance, row.effort) for row in curve if row.cost]
    points = [point for point in points if point[1]]
    work = [x for x, _, _ in points]
    values, lows, highs = ([100 * getattr(rate, part) for _, rate, _ in points] for part in ("value", "low", "high"))
    axes.fill_between(work, lows, highs, color=colour, alpha=0.15, lw=0)
    axes.plot(work, values, "o-", color=colour, label=f"{condition}, with 95 % interval; at the points: effort, %")
    for place, (x, value, (_, _, effort)) in enumerate(zip(work, values, points, strict=True)):
        # Above and below in turn: neighbours may lie close together.
        axes.annotate(
            str(effort), (x, value), (0, -14 if place % 2 else 6), textcoords="offset points", ha="center", fontsize=8
        )


def _draw_heavy(axes, rows: Sequence[Row]) -> None:
    """What the heavy branch alone would cost, with the search of the row of greatest effort: a dashed line."""
    for row in sorted(rows, key=lambda row: -(row.effort or 0))[:1]:
        if row.cost and row.cost.saved is not None and row.cost.saved < 1:
            encoder = row.cost.encoder_macs_per_second
            alone = row.cost.macs_per_second - encoder + encoder / (1 - row.cost.saved)
            axes.axvline(alone / 1e6, color="0.4", ls="--", lw=1, label="the heavy branch alone")


def _draw_shares(axes, curve: Sequence[Row], colour: str, condition: str) -> None:
    lines = (
        ("o-", "light_share", "of steps on the light branch"),
        ("s:", "light_share_trailing", "the same after the last speech"),
        ("^--", "saved", "of the encoder's multiplications saved"),
    )
    for style, name, label in lines:
        points = [(row.effort, 100 * value) for row in curve if (value := getattr(row.cost, name)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=f"{condition}: {label}", ms=4)
