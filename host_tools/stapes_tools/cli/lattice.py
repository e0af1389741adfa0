"""`stapes lattice`: look into a lattice, or turn it into another format."""

import click

from stapes_tools.lattice.formats import FORMATS, form_of, read_lattice, render, write_lattice


@click.command(short_help="Show a lattice, or convert it to Kaldi, HTK, JSON, DOT or SVG.")
@click.argument("file", metavar="FILE")
@click.option("--to", "form", type=click.Choice(list(FORMATS)), help="Format; by default OUT's suffix, or text.")
@click.option("-o", "--output", metavar="OUT", help="Where to write it; by default the terminal.")
@click.option("--nbest", type=click.IntRange(min=1), metavar="N", help="Print the N best hypotheses instead.")
def lattice(*, file: str, form: str | None, output: str | None, nbest: int | None) -> None:
    """Show the lattice in FILE (binary or JSON, as the board and the tools write it)."""
    found = read_lattice(file)
    if nbest:
        for hypothesis in found.nbest(nbest):
            click.echo(f"{hypothesis.score:10.2f}  {hypothesis.text}")
    elif output is not None:
        write_lattice(found, output, form or form_of(output))
    else:
        click.echo(render(found, form or "text"), nl=False)
