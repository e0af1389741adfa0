"""A picture of a model: bytes and multiplications per operator, and the board's memory."""

from collections.abc import Sequence
from pathlib import Path

from stapes_tools.convert.board import BoardPlan
from stapes_tools.convert.inspect import Row
from stapes_tools.errors import TRAIN_TOOLS, UserError

_KEPT, _SKIPPED, _REFUSED = "C0", "0.8", "C3"
_BAR_INCHES = 0.22
_LETTER_WIDTH = 0.0055  # of the memory bars' width


def draw(rows: Sequence[Row], board: BoardPlan, file_bytes: int, path: Path, title: str) -> None:
    """Draw what inspect lists.

    Args:
        rows, board: of describe and plan.
        file_bytes: of the whole file.
        path: of the PNG.
        title: the model's name.
    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("drawing needs matplotlib", advice=f"run `{TRAIN_TOOLS}`") from None
    shown = [row for row in rows if row.weights or row.multiplications or row.refusal]
    height = 2.6 + _BAR_INCHES * max(len(shown), 4)
    figure = Figure(figsize=(11, height), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(height - 1.9, 1.3))
    sizes, work = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    _draw_sizes(sizes, shown)
    _draw_work(work, shown)
    _draw_memory(figure.add_subplot(grid[1, :]), rows, board, file_bytes)
    figure.suptitle(title, fontsize=11)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", path, "check the path") from None


def _names(axes, shown: Sequence[Row], labels: bool) -> None:
    axes.set_yticks(range(len(shown)), [_name(row) if labels else "" for row in shown], fontsize=7)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(alpha=0.3, axis="x")
    for tick, row in zip(axes.get_yticklabels(), shown, strict=True):
        if row.refusal:
            tick.set_color(_REFUSED)


def _name(row: Row) -> str:
    name = f"{row.subgraph} {row.output}".strip()
    return (name if len(name) <= 40 else "…" + name[-39:]) + (" (refused)" if row.refusal else "")


def _draw_sizes(axes, shown: Sequence[Row]) -> None:
    """Bytes of constants: weights, and what else there is."""
    weights = [row.weight_bytes / 1000 for row in shown]
    others = [(row.constant_bytes - row.weight_bytes) / 1000 for row in shown]
    axes.barh(range(len(shown)), weights, 0.7, color=_KEPT, label="weights")
    axes.barh(range(len(shown)), others, 0.7, weights, color="C1", label="biases and other constants")
    _names(axes, shown, True)
    axes.set_xlabel("constants, kB (flash)")
    axes.legend(fontsize=7)


def _draw_work(axes, shown: Sequence[Row]) -> None:
    """Multiplications: done on what is not zero, done on zeros, skipped."""
    total, done = ([getattr(row, name) / 1000 for row in shown] for name in ("multiplications", "multiplications_done"))
    shares = [row.zero_weights / row.weights if row.weights else 0.0 for row in shown]
    useful = [min(d, t * (1 - share)) for d, t, share in zip(done, total, shares, strict=True)]
    axes.barh(range(len(shown)), useful, 0.7, color=_KEPT, label="by weights that are not zero")
    rest = [d - u for d, u in zip(done, useful, strict=True)]
    axes.barh(range(len(shown)), rest, 0.7, useful, color="C4", label="by zeros")
    skipped = [t - d for t, d in zip(total, done, strict=True)]
    axes.barh(range(len(shown)), skipped, 0.7, done, color="none", edgecolor="0.6", label="skipped")
    _names(axes, shown, False)
    axes.set_xlabel("multiplications per invocation, thousands")
    axes.legend(fontsize=7)


def _draw_memory(axes, rows: Sequence[Row], board: BoardPlan, file_bytes: int) -> None:
    """One bar of flash and one of RAM."""
    weights = sum(row.weight_bytes for row in rows)
    constants = sum(row.constant_bytes for row in rows)
    bars = {"flash": [("weights", weights), ("other constants", constants - weights)]}
    # Constants that layers share are counted once by each.
    bars["flash"].append(("tables, names", max(0, file_bytes - constants)))
    if board.total_bytes:
        rest = board.total_bytes - board.arena_bytes - board.state_bytes
        bars["RAM"] = [("arena", board.arena_bytes), ("state, inputs, outputs", board.state_bytes)]
        bars["RAM"].append(("plan, multipliers", rest))
    for place, (memory, parts) in enumerate(bars.items()):
        _stack(axes, place, parts)
        axes.text(0, place - 0.42, f"{memory}: {sum(size for _, size in parts):,} bytes", fontsize=8, va="bottom")
    if not board.total_bytes:
        why = f"{len(board.operators)} operators" if board.operators else str(board.refusal)
        axes.text(0, 1, f"RAM: not planned, the board refuses {why}", fontsize=8, color=_REFUSED)
    axes.set_ylim(1.5, -0.75)
    axes.set_xlim(0, 1)
    axes.axis("off")


def _stack(axes, place: int, parts: Sequence[tuple[str, int]]) -> None:
    """Parts side by side, each as wide as its share."""
    whole, left = max(sum(size for _, size in parts), 1), 0.0
    for number, (name, size) in enumerate(parts):
        width = size / whole
        axes.barh(place, width, 0.55, left, color=f"C{number}", alpha=0.75, edgecolor="white")
        text = f"{name}\n{size:,}"
        if width > _LETTER_WIDTH * max(map(len, text.split("\n"))):
            axes.text(left + width / 2, place, text, ha="center", va="center", fontsize=7)
        left += width
