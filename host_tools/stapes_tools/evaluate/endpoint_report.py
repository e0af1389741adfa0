"""What `stapes eval --endpoints` shows: rows as JSON, as a table, and latencies as a PNG."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from ..endpoint.decisions import Spread
from .endpoints import EndpointRow

_LATEST_MS = 1600


def as_json(rows: Sequence[EndpointRow]) -> dict:
    """The first row, which is the model's own end-pointer on clean speech, and all rows; rates are fractions."""
    shown = [_row(row) for row in rows]
    return {**shown[0], "rows": shown}


def _row(row: EndpointRow) -> dict:
    noise, found = row.condition.noise, asdict(row.figures)
    return {
        "rule": row.rule,
        "snr_db": row.condition.snr_db,
        "noise": noise and noise.name,
        **found,
        "command_acceptance": row.accepted and asdict(row.accepted),
    }


def table(rows: Sequence[EndpointRow]) -> Table:
    """Latencies in ms as median / 90th percentile, shares in per cent; it fits into 80 columns."""
    names = ("end-pointer", "condition", "final", "speculative", "cut, %", "revised, %", "saved", "accepted, %")
    shown = Table(*names, box=None, pad_edge=False)
    for column in shown.columns[2:]:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        found = row.figures
        shown.add_row(
            row.rule,
            Text(str(row.condition)),
            _spread(found.final_latency_ms),
            _spread(found.speculative_latency_ms),
            f"{100 * found.early_cut_rate:.1f}",
            f"{100 * found.revised_rate:.1f}",
            f"{found.saved_ms:.0f}",
            f"{100 * row.accepted.value:.1f}" if row.accepted else "-",
        )
    return shown


def notes(rows: Sequence[EndpointRow]) -> Iterator[str]:
    """Yield what the table leaves unsaid, a line each."""
    yield f"{rows[0].figures.utterances} recordings; latencies from the true end of speech, median / 90 %, ms"
    yield "cut: the final decision came before the true end; revised: a speculative one did not stand"
    yield "saved: how much earlier work could begin, ms on average; accepted: commands as heard by then"
    for row in rows:
        if row.figures.undecided_rate:
            share = 100 * row.figures.undecided_rate
            yield f"{row.rule} ({row.condition}): no final decision in {share:.1f} % of the recordings"


def _spread(spread: Spread | None) -> str:
    return f"{spread.median:.0f} / {spread.p90:.0f}" if spread else "-"


def draw(rows: Sequence[EndpointRow], path: Path, title: str) -> None:
    """Draw how the latencies of each row are distributed.

    Args:
        rows: of one condition or more.
        path: of the PNG.
        title: what was evaluated.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=120)
    axes = figure.subplots()
    for number, row in enumerate(rows):
        name = row.rule if row.condition.snr_db is None else f"{row.rule}, {row.condition}"
        for kind, style in (("final", "-"), ("speculative", ":")):
            late = [getattr(one, f"{kind}_latency_ms") for one in row.decisions]
            times = np.sort([time for time in late if time is not None])
            if len(times):
                shares = 100 * np.arange(1, len(times) + 1) / len(row.decisions)
                axes.step(times, shares, style, where="post", color=f"C{number}", label=f"{name}: {kind}")
    axes.axvline(0, color="0.6", lw=0.8)
    axes.set(xlabel="ms after the true end of speech", ylabel="utterances decided, %", xlim=(-400, _LATEST_MS))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, format="png")
