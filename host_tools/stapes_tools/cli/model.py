"""`stapes model`: what a model file holds."""

from pathlib import Path

import click
from rich.table import Table

from ..convert.inspect import describe, totals
from ..errors import UserError
from .render import console


@click.command(short_help="List the operators of a model with their sizes and multiplications.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.tflite")
def model(file: Path) -> None:
    """List what FILE.tflite, any int8 TensorFlow Lite model, computes and what that costs."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", file, "check the path") from None
    try:
        rows = describe(data)
    except UserError as error:
        raise UserError(error.what, error.path or file, error.advice) from None
    table = Table(
        "subgraph", "operator", "output", "shape", "type", "weights", "multiplications", box=None, pad_edge=False
    )
    for column in table.columns[5:]:
        column.justify = "right"
    for row in rows:
        shape = "×".join(map(str, row.shape))
        table.add_row(
            row.subgraph, row.operator, row.output, shape, row.dtype, f"{row.weights:,}", f"{row.multiplications:,}"
        )
    console.print(table)
    whole = totals(rows)
    console.print(f"{len(data):,} bytes, {whole.weights:,} weights, {whole.multiplications:,} multiplications")
