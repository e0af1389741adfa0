"""What `stapes endpoint rejection` shows: a table, JSON and a picture."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from .rejection import Alarms, Orders


@dataclass(frozen=True)
class Found:
    """What was heard, and which rejections are asked of it.

    Attributes:
        own: the model's rejection; nats of doubt per word, 0: none.
        tried: in rising order.
        orders: one for each condition; none where no orders were heard.
        alarms: None where nothing else was heard.
    """

    own: float
    tried: Sequence[float]
    orders: Sequence[Orders]
    alarms: Alarms | None


def as_json(found: Found) -> dict:
    """The model's own rejection, and a row for each that was tried; rates are fractions."""
    return {"rejection": found.own, "rows": [_row(rejection, found) for rejection in found.tried]}


def _row(rejection: float, found: Found) -> dict:
    rates = [(part.condition, part.acceptance(rejection)) for part in found.orders]
    shown = [{"snr_db": condition.snr_db, "command_acceptance": rate and asdict(rate)} for condition, rate in rates]
    hourly = found.alarms and found.alarms.per_hour(rejection)
    return {"rejection": rejection, "orders": shown, "alarms_per_hour": hourly}


def table(found: Found) -> Table:
    """A row for each rejection, the model's own marked."""
    titles = [f"{part.condition}, %" for part in found.orders] + (["alarms an hour"] if found.alarms else [])
    shown = Table("rejection", *titles, box=None, pad_edge=False)
    for column in shown.columns:
        column.justify, column.no_wrap = "right", True
    for rejection in found.tried:
        rates = [part.acceptance(rejection) for part in found.orders]
        hourly = [f"{found.alarms.per_hour(rejection):.1f}"] if found.alarms else []
        name = (f"{rejection:g}" if rejection else "none") + (" *" if rejection == found.own else "")
        shown.add_row(name, *(f"{100 * rate.value:.1f}" if rate else "" for rate in rates), *hourly)
    return shown


def draw(found: Found, path: Path, title: str) -> None:
    """Orders that are understood (left) and false alarms (right) over the rejection, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    points = [rejection for rejection in found.tried if rejection]
    for place, part in enumerate(found.orders):
        rates = [rate for rejection in points if (rate := part.acceptance(rejection))]
        lows, highs = ([100 * getattr(rate, side) for rate in rates] for side in ("low", "high"))
        axes.fill_between(points, lows, highs, color=f"C{place}", alpha=0.12, lw=0)
        label = f"orders understood, {part.condition}, with 95 % interval"
        axes.plot(points, [100 * rate.value for rate in rates], "o-", ms=3, color=f"C{place}", label=label)
    axes.set(xlabel="rejection: nats of doubt per word that are borne", ylabel="orders understood, %", ylim=(None, 101))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    alarms = found.alarms
    if alarms:
        right = axes.twinx()
        (line,) = right.plot(points, [alarms.per_hour(rejection) for rejection in points], "s--", ms=3, color="black")
        right.set(ylabel="commands an hour that nobody said", ylim=(0, None))
        handles, labels = (
            [*handles, line],
            [*labels, f"false alarms (right; {alarms.per_hour(0):.0f} without a rejection)"],
        )
    if found.own:
        handles.append(axes.axvline(found.own, color="0.4", ls=":", lw=1.2))
        labels.append(f"the model's own: {found.own:g}")
    figure.legend(handles, labels, loc="outside lower center", fontsize=8, frameon=False, ncols=2)
    figure.savefig(path, format="png")
