"""What a weight costs in each kernel, and where a board's cycles go, as PNGs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .kernels import HOST, RP2040, VIPER, Row

_DENSE, _PACKED, _FLASH = "0.55", "C0", "C1"
_TITLES = {RP2040: "RP2040, emulated", HOST: "this computer"}
_UNITS = {RP2040: "cycles per weight, zeros included, at 125 MHz", HOST: "instructions per weight, zeros included"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a panel of grouped bars per target: kernels, layers and encoders; what the flash adds on top.

    Args:
        rows: from kernels.measure.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    targets = [target for target in (RP2040, HOST) if any(row.target == target for row in rows)]
    # The viper loop, more than ten times the rest, is a line of text.
    drawn = {target: [row for row in rows if row.target == target and row.kernel != VIPER] for target in targets}
    heights = [len(some) + 3 for some in drawn.values()]
    figure = Figure(figsize=(9, 0.27 * sum(heights) + 1.2), dpi=120)
    panels = figure.subplots(len(targets), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, target in zip(panels, targets, strict=True):
        _draw_target(axes, drawn[target])
        axes.set_title(_TITLES[target], fontsize=10, loc="left")
        axes.set_xlabel(_UNITS[target], fontsize=9)
    for row in rows:
        if row.kernel == VIPER:
            note = f"MicroPython viper loop,\nint8: {row.cycles_per_weight:.0f} cycles"
            panels[0].text(0.98, 0.5, note, transform=panels[0].transAxes, ha="right", va="center", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, format="png")


def draw_stages(stages: Mapping[str, int], title: str, path: Path) -> None:
    """Draw a bar per stage.

    Args:
        stages: cycles per second of audio, the most expensive first.
        title: above them.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.27 * len(stages) + 1.2), dpi=120)
    axes = figure.subplots()
    shares = [cycles / 1e6 for cycles in stages.values()]
    axes.barh(range(len(shares)), shares, 0.8, color=_PACKED)
    for place, share in enumerate(shares):
        axes.text(share, place, f" {share:.2f}", va="center", fontsize=8)
    axes.set_yticks(range(len(shares)), list(stages), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("million cycles per second of audio", fontsize=9)
    axes.set_title(title, fontsize=10, loc="left")
    axes.margins(x=0.14, y=0.02)
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(path, format="png")


def _draw_target(axes, rows: Sequence[Row]) -> None:
    place = 0.0
    places = []
    group = None
    for row in rows:
        first = row.kernel.split()[0]
        found = first if first in ("layer", "lstm", "encoder") else "product"
        place += 1.0 + (0.6 if group not in (None, found) else 0.0)
        group = found
        places.append(place)
        flash = row.flash_cycles_per_weight
        axes.barh(place, row.cycles_per_weight, 0.8, color=_PACKED if row.zeros else _DENSE)
        if flash is not None:
            axes.barh(place, flash, 0.8, row.cycles_per_weight, color=_FLASH)
        text = f"{row.cycles_per_weight:.2f}" + (f" + {flash:.2f}" if flash is not None else "")
        axes.text(row.cycles_per_weight + (flash or 0), place, f" {text}", va="center", fontsize=8)
    axes.set_yticks(places, [_label(row) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.14, y=0.02)
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)
    _legend(axes, any(row.flash_cycles_per_weight is not None for row in rows))


def _label(row: Row) -> str:
    zeros = f", {row.zeros:.0%} zeros" if row.zeros else ""
    return f"{row.kernel}{zeros}, {row.bits_per_weight:.1f} bits"


def _legend(axes, has_flash: bool) -> None:
    from matplotlib.patches import Patch

    kinds = {"dense": _DENSE, "zeros left out": _PACKED, "reading the weights from flash, at 31 MB/s": _FLASH}
    names = [name for name, colour in kinds.items() if has_flash or colour != _FLASH]
    patches = [Patch(color=kinds[name]) for name in names]
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": len(names)}  # above the bars
    axes.legend(patches, names, fontsize=8, frameon=False, **place)
