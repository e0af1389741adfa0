"""What an ablation found: a Markdown table for the model's card, and a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Figures of a row: how they are called and drawn.
_SHARES = {
    "synthetic": ("held-out synthetic orders", "o"),
    "recorded": ("recordings, clean", "s"),
    "noisy": ("recordings, in noise", "^"),
}


@dataclass(frozen=True)
class Row:
    """One training: what was changed, and what came out. Shares are None where nothing was scored.

    synthetic: acceptance of held-out synthetic commands; recorded, noisy: of the scored folder, as it is and in noise.
    zeros: share of the encoder's matrices; bytes: of the file; batches: of training.
    """

    name: str
    synthetic: float
    recorded: float | None
    noisy: float | None
    zeros: float
    bytes: int
    batches: int


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    shares = [f"{text.capitalize()}, %" for text, _ in _SHARES.values()]
    head = ["Trained with", *shares, "Zeros, %", "Bytes", "Batches"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        shares = [_percent(getattr(row, key)) for key in _SHARES]
        lines.append([row.name, *shares, _percent(row.zeros), f"{row.bytes:,}", f"{row.batches:,}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw every row's acceptances, the first row on top.

    Args:
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.38 * len(rows)), dpi=120)
    axes = figure.subplots()
    for colour, (key, (label, marker)) in enumerate(_SHARES.items()):
        points = [(100 * getattr(row, key), place) for place, row in enumerate(rows) if getattr(row, key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=f"C{colour}", label=label)
            axes.axvline(points[0][0], color=f"C{colour}", lw=0.8, alpha=0.5)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="commands accepted, % (lines: the first row)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, format="png", bbox_inches="tight")
