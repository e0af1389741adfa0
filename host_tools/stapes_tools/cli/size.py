"""`stapes size`: what an image takes of its board's flash and RAM."""

import json
from pathlib import Path

import click
from rich.table import Table

from ..device.image_size import size_of
from ..device.memory_map import MemoryMap
from .bench import check_plot, write_plot
from .render import console, waiting


@click.command(short_help="What an image takes of its board's flash and RAM.")
@click.argument("what", metavar="[IMAGE.uf2|BOARD]", default="rp2040_pico")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw both memories.")
def size(what: str, as_object: bool, plot: Path | None) -> None:
    """Show what lies where in a board's flash and RAM, and how much of it is taken.

    A UF2 file's model and grammar are measured too: what they need of the heap. What does not fit is an error.
    """
    if plot:
        check_plot(plot)
    with waiting("measuring", not as_object):
        memory = size_of(what)
    if plot:
        from ..device.memory_plot import draw

        write_plot(plot, lambda: draw(memory, plot))
    if as_object:
        click.echo(json.dumps(memory.as_json()))
    else:
        console.print(table_of(memory))


def table_of(memory: MemoryMap) -> Table:
    """The map for people."""
    board = memory.board
    table = Table(box=None, pad_edge=False, title=board.title, title_justify="left")
    for name in ("memory", "what"):
        table.add_column(name, no_wrap=True)
    for name in ("address", "bytes", "taken", "of it"):
        table.add_column(name, justify="right")
    table.add_column("")
    for region in memory.regions:
        taken = region.used
        share = "" if taken is None or not region.size else f"{taken / region.size:.0%}"
        shown = "" if taken is None else f"{taken:,}"
        table.add_row(
            region.memory, region.name, f"{region.address:#010x}", f"{region.size:,}", shown, share, region.note
        )
    return table
