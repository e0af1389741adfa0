"""The curves of a training run as a PNG."""

import json
from pathlib import Path

from stapes_tools.convert.checkpoint import STAGES

_LOSSES = {"rnnt": "RNN-T", "ctc": "CTC head", "teacher": "distillation", "mmi": "MMI"}
_RATES = {
    "per_commands": "synthetic commands, unseen voices",
    "per_read": "read speech, unseen speakers",
    "heavy": "steps on the heavy branch",
}


def draw_history(folder: Path, path: Path) -> None:
    """Draw every stage found in a run's folder (STAGE/history.json), one after the other."""
    stages = {}
    for name in STAGES:
        if (folder / name / "history.json").exists():
            stages[name] = json.loads((folder / name / "history.json").read_text())
    draw(stages, path)


def draw(stages: dict[str, list[dict]], path: Path) -> None:
    """Draw losses and held-out phone error rates over the minutes.

    Args:
        stages: rows of Trainer.history by stage, in order; each stage's minutes follow the last's.
        path: of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (losses, rates) = pyplot.subplots(1, 2, figsize=(9, 3.5), dpi=100)
    start, seen = 0.0, set()
    for place, (stage, history) in enumerate(stages.items()):
        minutes = [start + row["minutes"] for row in history]
        for axes, names, factor in ((losses, _LOSSES, 1.0), (rates, _RATES, 100.0)):
            for colour, (key, label) in enumerate(names.items()):
                points = [(x, factor * row[key]) for x, row in zip(minutes, history, strict=True) if row.get(key)]
                if points:
                    axes.plot(*zip(*points, strict=True), ".-", color=f"C{colour}", label="" if key in seen else label)
                    seen.add(key)
        if minutes and len(stages) > 1:
            for axes in (losses, rates):
                axes.axvline(minutes[-1], color="0.8", lw=1)
                across, height = axes.get_xaxis_transform(), 0.99 - 0.07 * place
                axes.text(minutes[-1], height, f"{stage} ", transform=across, ha="right", va="top")
        start = minutes[-1] if minutes else start
    losses.set(xlabel="minutes", ylabel="nats per phone (training)", yscale="log")
    rates.set(xlabel="minutes", ylabel="phone error rate, greedy; share of steps, %", ylim=(0, 100))
    for axes in (losses, rates):
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
