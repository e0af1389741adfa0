"""`stapes model`: what a model file holds."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from ..convert.inspect import Row, describe, totals
from ..errors import UserError
from .render import console


@click.command(short_help="List the operators of a model with their sizes and multiplications.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.tflite")
def model(file: Path) -> None:
    """List what FILE.tflite, any int8 TensorFlow Lite model, computes and what that costs.

    zeros: the share of weights that are zero; bytes: of all constants of the operator.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", file, "check the path") from None
    try:
        rows = describe(data)
    except UserError as error:
        raise UserError(error.what, error.path or file, error.advice) from None
    console.print(_table(rows))
    console.print(_summary(len(data), rows))


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("subgraph", "operator", "shape"):
        table.add_column(name)
    table.add_column("output", no_wrap=True)
    for name in ("weights", "zeros", "bytes", "multiplications"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        figures = (
            f"{row.weights:,} {row.weight_dtype}" if row.weights else "",
            _share(row.zero_weights, row.weights),
            f"{row.constant_bytes:,}" if row.constant_bytes else "",
            f"{row.multiplications:,}" if row.multiplications else "",
        )
        table.add_row(row.subgraph, row.operator, "×".join(map(str, row.shape)), row.output, *figures)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if whole else ""


def _summary(file_bytes: int, rows: Sequence[Row]) -> str:
    whole = totals(rows)
    types: Counter[str] = Counter()
    for row in rows:
        types[row.weight_dtype] += row.weights
    kinds = ", ".join(f"{count:,} {name}" for name, count in types.most_common() if count)
    zeros = _share(whole.zero_weights, whole.weights) or "none"
    return (
        f"{file_bytes:,} bytes; {whole.weights:,} weights ({kinds or 'none'}), {zeros} of them zero; "
        f"{whole.multiplications:,} multiplications"
    )
