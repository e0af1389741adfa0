"""`stapes eval --idle`: false alarms."""

import json
from pathlib import Path

import click

from ..evaluate import idle_report
from ..evaluate.idle import listen_idle, recordings_of
from ..evaluate.run import Track
from .render import console, print_table


def eval_idle(
    path: Path,
    *,
    model: Path,
    graph: Path,
    as_object: bool,
    wrong: bool,
    processes: int,
    limit: int | None,
    track: Track,
) -> None:
    """Count the commands in recordings that hold none, and show them.

    Args:
        path: a folder of recordings, or one of them.
        model: .tflite.
        graph: compiled (.stg).
        as_object: print JSON.
        wrong: list what was understood.
        processes: how many listen at once.
        limit: only the first so many recordings.
        track: shows progress.
    Raises:
        UserError, BoardError: a file is refused.
    """
    paths = recordings_of(path)[:limit]
    heard = listen_idle(str(model), graph.read_bytes(), paths, processes)
    rows = list(track(heard, len(paths), "listening"))
    if as_object:
        click.echo(json.dumps(idle_report.as_json(rows), ensure_ascii=False))
        return
    for line in idle_report.heard(rows) if wrong else ():
        console.print(line, markup=False, soft_wrap=True)
    print_table(idle_report.table(rows))
    for line in idle_report.notes(rows, f"{model.resolve().parent.name}/{model.name}"):
        console.print(line, markup=False, soft_wrap=True, style="dim")
