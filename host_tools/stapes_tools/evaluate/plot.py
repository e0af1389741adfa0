"""Command acceptance against SNR as a PNG, beside what the coffee benchmark has published."""

from collections.abc import Sequence
from pathlib import Path

from .bootstrap import Interval
from .run import Row

# Per cent of 619 orders accepted in the benchmark's kitchen noise at 6 dB and at 24 dB, as
# Picovoice's repository speech-to-intent-benchmark publishes them.
PUBLISHED = {
    "Picovoice Rhino": (96, 99),
    "Microsoft LUIS": (86, 93),
    "Amazon Lex": (80, 88),
    "IBM Watson": (72, 96),
    "Google Dialogflow": (70, 83),
}
_COLOUR = "C0"


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw the acceptance of every row.

    Args:
        rows: with command_acceptance, of one folder.
        path: of the PNG.
        title: what was evaluated.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=120)
    ours, others = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _draw_rows(ours, rows)
    _draw_published(others)
    ours.set_title(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, format="png")


def _draw_rows(axes, rows: Sequence[Row]) -> None:
    """Noisy rows over their SNR; the clean one by itself, right of them."""
    rates: dict[float, Interval] = {}
    clean = None
    for row in rows:
        if row.condition.snr_db is None:
            clean = row.command_acceptance
        elif row.command_acceptance:
            rates[row.condition.snr_db] = row.command_acceptance
    snrs = sorted(rates)
    if snrs:
        values, lows, highs = ([100 * getattr(rates[snr], part) for snr in snrs] for part in ("value", "low", "high"))
        axes.fill_between(snrs, lows, highs, color=_COLOUR, alpha=0.2, lw=0, label="95 % interval")
        axes.plot(snrs, values, "o-", color=_COLOUR, label="Stapes")
    clean_at = max(snrs, default=0.0) + 6.0
    if clean:
        spread = [[100 * (clean.value - clean.low)], [100 * (clean.high - clean.value)]]
        label = "Stapes, clean, 95 % interval"
        axes.errorbar([clean_at], [100 * clean.value], spread, fmt="s", color=_COLOUR, capsize=4, label=label)
    axes.set_xticks([*snrs, clean_at], [*(f"{snr:g}" for snr in snrs), "clean"])
    axes.set(xlabel="SNR in dB, by the loudest frames", ylabel="commands accepted, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8)


def _draw_published(axes) -> None:
    """A bar from the figure at 6 dB to that at 24 dB for each engine."""
    for place, (engine, (low, high)) in enumerate(PUBLISHED.items()):
        axes.bar(place, high - low, 0.5, low, color="0.75")
        axes.text(place, high + 0.5, f"{low}–{high}", ha="center", va="bottom", fontsize=8)
        axes.text(place, low - 0.5, engine.replace(" ", "\n"), ha="center", va="top", fontsize=8)
    axes.set_xticks([])
    axes.set_xlim(-0.6, len(PUBLISHED) - 0.4)
    axes.set_title("coffee benchmark, published: kitchen, 6–24 dB", fontsize=10)
    axes.grid(alpha=0.3, axis="y")
    axes.set_ylim(min(axes.get_ylim()[0], 60), 101.5)
