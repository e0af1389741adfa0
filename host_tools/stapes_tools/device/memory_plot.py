"""A board's flash and RAM as a PNG: what lies where, to scale."""

from pathlib import Path

from .memory_map import FLASH, RAM, MemoryMap, Region

_COLOURS = {
    "image": "C0",
    "ROMFS": "C2",
    "file system": "C4",
    "static": "C0",
    "C heap": "C3",
    "Python heap": "C2",
    "stack": "C1",
}
_FREE_ALPHA = 0.25
_NARROW = 0.05  # of the memory: too little for the name inside


def draw(memory: MemoryMap, path: Path) -> None:
    """Draw a bar per memory; in each region what is taken is darker than what is free.

    Args:
        memory: what to draw.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    board = memory.board
    figure = Figure(figsize=(9, 3.6), dpi=120)
    panels = figure.subplots(2, 1)
    for axes, kind, begin, size in (
        (panels[0], FLASH, board.flash_base, board.flash_bytes),
        (panels[1], RAM, board.ram_base, board.ram_bytes),
    ):
        regions = [region for region in memory.regions if region.memory == kind]
        for region in regions:
            _draw_region(axes, region, begin, size)
        _draw_axis(axes, kind, size)
    figure.suptitle(board.title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, format="png")


def _draw_region(axes, region: Region, begin: int, memory_size: int) -> None:
    left, width = (region.address - begin) / 1024, region.size / 1024
    colour = _COLOURS.get(region.name, "0.5")
    axes.barh(0, width, 0.6, left, color=colour, alpha=_FREE_ALPHA)
    taken = region.size if region.used is None else region.used
    if region.used is not None or region.name == "stack":
        axes.barh(0, min(taken, region.size) / 1024, 0.6, left, color=colour)
    text = region.name
    if region.used is not None:
        text += f"\n{taken / 1024:.0f} of {width:.0f} KB" if taken != region.size else f"\n{width:.0f} KB"
    else:
        text += f"\n{width:.0f} KB"
    if region.size < _NARROW * memory_size:
        axes.annotate(text, (left + width / 2, 0.3), (left + width / 2, 0.42), ha="center", va="bottom", fontsize=7)
    else:
        axes.text(left + width / 2, 0, text, ha="center", va="center", fontsize=8)


def _draw_axis(axes, kind: str, size: int) -> None:
    axes.set_xlim(0, size / 1024)
    axes.set_ylim(-0.4, 0.95)
    axes.set_yticks([])
    axes.set_xlabel(f"{kind}, KB; dark: taken", fontsize=8)
    axes.tick_params(labelsize=8)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
