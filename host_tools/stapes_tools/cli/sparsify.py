"""`stapes sparsify`: weights that are zero, after training."""

from pathlib import Path

import click
from rich.table import Table

from ..convert.calibration import choose
from ..convert.pack import read_copyable, written
from ..convert.sparsify import Result, parse_block
from ..convert.sparsify import sparsify as make_sparse
from ..corpora.progress import on_terminal
from .files import about, read_file, write_file
from .inspect import share
from .render import console, messages, print_table

_PATH = click.Path(path_type=Path)


@click.command(short_help="Make weights zero, where the model's output bears it best.")
@click.argument("source", type=_PATH, metavar="IN.tflite")
@click.argument("target", type=_PATH, metavar="OUT.tflite")
@click.option(
    "--zeros",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.75,
    show_default=True,
    help="Share of all weights of dense layers.",
)
@click.option("--block", default="4x1", show_default=True, help="Outputs x inputs that become zero together.")
@click.option(
    "--calibration",
    type=_PATH,
    metavar="FILE|DIR",
    help="Recordings for a recogniser, else .npy arrays [samples, …]. Without it: random inputs.",
)
def sparsify(source: Path, target: Path, zeros: float, block: str, calibration: Path | None) -> None:
    """Write OUT.tflite like IN.tflite, any int8 model, with zeros among the weights of its dense layers.

    CONV_2D, FULLY_CONNECTED and LSTM layers get as many zeros each as costs the output least; the weights that stay
    make up for those that go. Blocks of 4x1 are what `stapes pack` leaves out.
    """
    shape = parse_block(block)
    data = read_file(source)
    with about(source), on_terminal():
        model = read_copyable(data)
        chosen = choose(data, model, calibration)
        if chosen.warning:
            messages.print(f"stapes: warning: {chosen.warning}", soft_wrap=True)
        result = make_sparse(chosen.network, zeros, shape)
    write_file(target, written(model))
    print_table(_table(result))
    console.print(
        f"calibration: {chosen.text}; error of the output, squared, by its variance: {result.error:.4f} "
        f"(the smallest weights of every layer set to zero: {result.error_by_size:.4f})",
        soft_wrap=True,
    )


def _table(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, show_footer=True)
    weights = sum(row.weights for row in result.layers)
    zeros = [sum(getattr(row, name) for row in result.layers) for name in ("zeros_before", "zeros")]
    for name, total in (("subgraph", "total"), ("layer", ""), ("operator", "")):
        table.add_column(name, total, no_wrap=True)
    for name, total in (
        ("weights", f"{weights:,}"),
        ("zeros before", share(zeros[0], weights)),
        ("zeros", share(zeros[1], weights)),
        ("error alone", ""),
    ):
        table.add_column(name, total, justify="right", no_wrap=True)
    for row in result.layers:
        table.add_row(
            row.subgraph,
            row.layer.name,
            row.layer.kind,
            f"{row.weights:,}",
            share(row.zeros_before, row.weights),
            share(row.zeros, row.weights),
            f"{row.alone:.5f}",
        )
    return table
