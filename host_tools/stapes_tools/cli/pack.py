"""`stapes pack` and `stapes densify`: weights without their zeros, and back."""

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import click
from rich.table import Table

from ..convert import pack as packing
from ..convert.decode_form import Decoded
from ..convert.pack import Layer
from .files import about, read_file, write_file
from .render import console, print_table

_PATH = click.Path(path_type=Path)


@click.command(short_help="Leave the zeros of a model's weights out.")
@click.argument("source", type=_PATH, metavar="IN.tflite")
@click.argument("target", type=_PATH, metavar="OUT.tflite")
@click.option(
    "--form",
    type=click.Choice(["skip", "decode"]),
    default="skip",
    show_default=True,
    help="skip: the board's, which skips the multiplications; decode: TensorFlow Lite Micro's, which only saves bytes.",
)
def pack(source: Path, target: Path, form: str) -> None:
    """Write OUT.tflite like IN.tflite, any int8 TensorFlow Lite model, with weights without their zeros.

    Only layers that get smaller and cheaper are packed. Interpreters other than ours do not run the form "skip", and
    TensorFlow Lite Micro alone runs the form "decode": `stapes densify` makes either an ordinary file again, with the
    same results.
    """
    _convert(source, target, packing.pack if form == "skip" else packing.pack_for_decode)


@click.command(short_help="Make a packed model an ordinary one again.")
@click.argument("source", type=_PATH, metavar="IN.tflite")
@click.argument("target", type=_PATH, metavar="OUT.tflite")
def densify(source: Path, target: Path) -> None:
    """Write OUT.tflite like IN.tflite, which `stapes pack` wrote, with stock operators."""
    _convert(source, target, packing.densify)


def _convert(source: Path, target: Path, change: Callable[[bytes], tuple[bytes, Sequence[Layer | Decoded]]]) -> None:
    data = read_file(source)
    with about(source):
        result, found = change(data)
    write_file(target, result)
    layers = [one for one in found if isinstance(one, Layer)]
    coded = [one for one in found if isinstance(one, Decoded)]
    sizes = f"{len(data):,} bytes -> {len(result):,} bytes"
    if layers:
        print_table(_table(layers))
        sizes += f"; {_cycles(layers)}"
    if coded:
        print_table(_coded_table(coded))
    console.print(sizes if found else f"{sizes}; nothing to do: no layer of constant int8 or int4 weights")


def _coded_table(coded: Sequence[Decoded]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("subgraph", "weights", "shape"):
        table.add_column(name)
    for name in ("zeros", "dense bytes", "coded bytes", "bits per weight"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in coded:
        count = prod(one.shape)
        table.add_row(
            one.subgraph,
            one.name,
            "×".join(map(str, one.shape)),
            f"{100 * one.zeros / count:.1f} %",
            f"{one.dense_bytes:,}",
            f"{one.coded_bytes:,}",
            f"{8 * one.coded_bytes / count:.2f}",
            "coded" if one.coded else "left dense",
        )
    return table


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
