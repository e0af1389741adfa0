"""What a stage of training tells while it runs: lines for people and event files for TensorBoard."""

from collections.abc import Callable
from pathlib import Path


class EventLog:
    """Writes rows of the history to TensorBoard event files and says them on one line.

    Args:
        folder: of the event files; view with `tensorboard --logdir FOLDER`.
        say: called with one line per row.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        from tensorboardX import SummaryWriter

        self._say = say
        self._writer = SummaryWriter(str(folder), flush_secs=10)

    def __call__(self, row: dict) -> None:
        """Log one row: numbers by name, `batches` is the step."""
        self._say("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
        for key, value in row.items():
            self._writer.add_scalar(key, value, row["batches"])

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_) -> None:
        self._writer.close()
