"""The curves of a training run as a PNG."""

from pathlib import Path


def draw(history: list[dict], path: Path) -> None:
    """Draw losses and held-out phone error rates over the minutes.

    Args:
        history: rows of Trainer.history.
        path: of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (losses, rates) = pyplot.subplots(1, 2, figsize=(9, 3.5), dpi=100)
    minutes = [row["minutes"] for row in history]
    for name, label in (("rnnt", "RNN-T"), ("ctc", "CTC head")):
        losses.plot(minutes, [row[name] for row in history], ".-", label=label)
    losses.set(xlabel="minutes", ylabel="nats per phone (training)", yscale="log")
    measured = [row for row in history if "per_commands" in row]
    for name, label in (("per_commands", "synthetic commands"), ("per_read", "read speech, unseen speakers")):
        rates.plot([row["minutes"] for row in measured], [100 * row[name] for row in measured], ".-", label=label)
    rates.set(xlabel="minutes", ylabel="phone error rate, %, float, greedy", ylim=(0, 100))
    for axes in (losses, rates):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
