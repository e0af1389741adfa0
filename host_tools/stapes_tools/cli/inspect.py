"""`stapes inspect`: what a model file holds, what it costs and where it will live on the board."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from ..convert import decode_form
from ..convert.board import BoardPlan, plan
from ..convert.inspect import Row, Totals, describe, totals
from ..convert.work import work_of_rows
from .files import about, read_file
from .render import console, print_table

_FIGURES = ("weights", "zeros", "bits", "bytes", "mult.", "work")


@click.command(short_help="List what a model computes, what that costs, and where it will live on the board.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.tflite")
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw bytes and multiplications.")
def inspect(file: Path, as_json: bool, plot: Path | None) -> None:
    """List the operators of FILE.tflite, any int8 TensorFlow Lite model, and what the board makes of them.

    zeros: the share of weights that are zero; bits: in the file per weight; bytes: of all constants of the operator;
    mult.: multiplications in one invocation, without those that packed weights skip; work: those by weights that are
    not zero, depthwise kernels in full; result: where the board keeps
    it, constants stay in flash.
    """
    data = read_file(file)
    with about(file):
        board = plan(data)
        rows = describe(data, board)
    if plot:
        from ..convert.plot import draw

        draw(rows, board, len(data), plot, file.name)
    if as_json:
        click.echo(json.dumps(as_object(data, rows, board), indent=1))
        return
    for name in dict.fromkeys(row.subgraph for row in rows):
        print_table(_table(name, [row for row in rows if row.subgraph == name]))
        console.print()
    for line in summary(len(data), rows, board):
        console.print(line, soft_wrap=True)


def as_object(data: bytes, rows: Sequence[Row], board: BoardPlan) -> dict:
    """All that is known of a model, for JSON: bytes, weights and multiplications are integers, shares from 0 to 1."""
    return {
        "file_bytes": len(data),
        "operators": [_row_object(row) for row in rows],
        "subgraphs": {row.subgraph: _totals_object(totals(rows, row.subgraph)) for row in rows},
        "total": _totals_object(totals(rows)),
        "board": {
            "runs": not board.operators,
            "refusal": str(board.refusal) if board.refusal else None,
            "ram_bytes": board.total_bytes,
            "arena_bytes": board.arena_bytes,
            "state_bytes": board.state_bytes,
        },
    }


def _row_object(row: Row) -> dict:
    fields = asdict(row) | {
        "bits_per_weight": row.bits_per_weight,
        "constants": "flash" if row.constant_bytes else None,
    }
    return fields | {"refusal": str(row.refusal) if row.refusal else None}


def _totals_object(whole: Totals) -> dict:
    return asdict(whole) | {"bits_per_weight": whole.bits_per_weight}


def _table(name: str, rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, title=name or "(no name)", title_justify="left", show_footer=True)
    sums = _figures(totals(rows))
    table.add_column("operator", "total", no_wrap=True)
    table.add_column("output", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    for title, total in zip(_FIGURES, sums, strict=True):
        table.add_column(title, total, justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for row in rows:
        figures = _figures(row, row.weight_dtype)
        table.add_row(row.operator, row.output, "×".join(map(str, row.shape)), *figures, _place(row))
    return table


def _figures(of: Row | Totals, dtype: str = "") -> tuple[str, ...]:
    return (
        f"{of.weights:,} {dtype}".strip() if of.weights else "",
        share(of.zero_weights, of.weights),
        f"{of.bits_per_weight:.2f}" if of.weights else "",
        f"{of.constant_bytes:,}" if of.constant_bytes else "",
        f"{of.multiplications_done:,}" if of.multiplications_done else "",
        f"{of.work:,}" if of.work else "",
    )


def _place(row: Row) -> str:
    if row.refusal:
        return f"refused: {row.refusal.error}"
    return f"{row.place.memory} +{row.place.offset:,}" if row.place else ""


def share(part: int, whole: int) -> str:
    """A share in per cent, "" of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def summary(file_bytes: int, rows: Sequence[Row], board: BoardPlan) -> list[str]:
    """The file in a few lines: weights, multiplications, memory, and what the board refuses."""
    whole = totals(rows)
    types: Counter[str] = Counter()
    for row in rows:
        types[row.weight_dtype] += row.weights
    kinds = ", ".join(f"{count:,} {name}" for name, count in types.most_common() if count)
    zeros = share(whole.zero_weights, whole.weights) or "none"
    skipped = whole.multiplications - whole.multiplications_done
    return [
        f"{file_bytes:,} bytes; {whole.weights:,} weights ({kinds or 'none'}), {zeros} of them zero; "
        f"{whole.multiplications_done:,} multiplications" + (f", {skipped:,} skipped" if skipped else ""),
        *_work_lines(rows),
        *_board_lines(rows, board),
    ]


def _work_lines(rows: Sequence[Row]) -> list[str]:
    """What a step of a recogniser's model needs."""
    work = work_of_rows(rows)
    if not work.heavy:
        return []
    joint = f"{work.joint + work.predictor:,} in each evaluation of the joint"
    if not work.has_branches:
        return [f"work: {work.heavy:,} multiplications per step in the encoder, {joint}"]
    less = share(work.heavy - work.light, work.heavy)
    return [
        f"work: {work.heavy:,} multiplications per step in the heavy branch or {work.light:,} in the light one "
        f"({less} less), {work.arbitrator:,} in the arbitrator; {joint}"
    ]


def _board_lines(rows: Sequence[Row], board: BoardPlan) -> list[str]:
    if board.operators:
        refused = Counter(f"{row.operator}: {row.refusal}" for row in rows if row.refusal)
        lines = ["the board refuses it:", *(f"  {count} × {why}" for why, count in refused.items())]
        if any(row.operator == decode_form.KIND for row in rows):
            lines = ["the board refuses TensorFlow Lite Micro's DECODE: `stapes densify`, then `stapes pack` it"]
        return lines
    if not board.total_bytes:
        return [f"the board refuses it: {board.refusal}"]
    lines = [
        f"on the board: constants in flash, {board.total_bytes:,} bytes of RAM, of which arena {board.arena_bytes:,} "
        f"(planned once at load), state, inputs and outputs {board.state_bytes:,}"
    ]
    return lines + ([f"every operator runs, but the file is refused: {board.refusal}"] if board.refusal else [])
