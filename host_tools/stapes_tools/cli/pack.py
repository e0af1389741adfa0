"""`stapes pack` and `stapes densify`: weights without their zeros, and back."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.table import Table

from ..convert import pack as packing
from ..convert.pack import Layer
from ..errors import UserError
from .render import console

_PATH = click.Path(path_type=Path)


@click.command(short_help="Leave the zeros of a model's weights out.")
@click.argument("source", type=_PATH, metavar="IN.tflite")
@click.argument("target", type=_PATH, metavar="OUT.tflite")
def pack(source: Path, target: Path) -> None:
    """Write OUT.tflite like IN.tflite, any int8 TensorFlow Lite model, with weights without their zeros.

    Only CONV_2D, FULLY_CONNECTED and LSTM layers that get smaller and cheaper are packed. Interpreters other than ours do
    not run such a file: `stapes densify` makes it an ordinary one again, with the same results.
    """
    _convert(source, target, packing.pack)


@click.command(short_help="Make a packed model an ordinary one again.")
@click.argument("source", type=_PATH, metavar="IN.tflite")
@click.argument("target", type=_PATH, metavar="OUT.tflite")
def densify(source: Path, target: Path) -> None:
    """Write OUT.tflite like IN.tflite, which `stapes pack` wrote, with stock operators."""
    _convert(source, target, packing.densify)


def _convert(source: Path, target: Path, change: Callable[[bytes], tuple[bytes, list[Layer]]]) -> None:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", source, "check the path") from None
    try:
        result, layers = change(data)
    except UserError as error:
        raise UserError(error.what, error.path or source, error.advice) from None
    try:
        target.write_bytes(result)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", target, "check the path") from None
    console.print(_table(layers))
    console.print(f"{len(data):,} bytes -> {len(result):,} bytes; {_cycles(layers)}")


def _table(layers: Sequence[Layer]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("subgraph", "layer", "shape"):
        table.add_column(name)
    for name in ("bits", "zeros", "dense bytes", "packed bytes", "bits per weight", "cycles", "packed cycles"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for layer in layers:
        weights = layer.rows * layer.depth
        table.add_row(
            layer.subgraph,
            layer.name,
            f"{layer.rows}×{layer.depth}",
            str(layer.bits),
            f"{100 * layer.zeros / weights:.1f} %",
            f"{layer.dense_bytes:,}",
            f"{layer.packed_bytes:,}",
            f"{8 * layer.packed_bytes / weights:.2f}",
            f"{layer.dense_cycles:,}",
            f"{layer.packed_cycles:,}",
            "packed" if layer.pays else "left dense",
        )
    return table


def _cycles(layers: Sequence[Layer]) -> str:
    dense = sum(layer.dense_cycles for layer in layers)
    packed = sum(layer.packed_cycles if layer.pays else layer.dense_cycles for layer in layers)
    return f"products on the RP2040, estimated: {dense:,} cycles dense, {packed:,} packed"
