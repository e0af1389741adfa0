"""`stapes grammar`: compile a grammar, look into it, try sentences on it."""

import shutil
import subprocess
from pathlib import Path

import click

from stapes_tools.errors import UserError
from stapes_tools.grammar.compiler import compile_graph
from stapes_tools.grammar.grammar import Grammar
from stapes_tools.grammar.graph import Graph, describe, parse_graph, to_dot
from stapes_tools.grammar.reader import read_grammar


@click.command(short_help="Compile a grammar, try sentences on it, draw it.")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="FILE.stg", help="Where to write the compiled grammar.")
@click.option("--sample", "samples", metavar="N", type=click.IntRange(min=1), help="Print N random sentences.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --sample.")
@click.option("--check", "checks", metavar="SENTENCE", multiple=True, help="Say what SENTENCE means; repeatable.")
@click.option("--draw", metavar="FILE", help="Draw the graph: FILE ends in .dot or .svg.")
def grammar(
    file: str, *, output: str | None, samples: int | None, seed: int, checks: tuple[str, ...], draw: str | None
):
    """Compile a grammar FILE (YAML, as Picovoice Rhino's contexts) for the board.

    Without options it writes FILE.stg beside it and prints its figures. Given a compiled .stg file,
    it prints that file's figures. See docs/grammar.md for the format.
    """
    if file.endswith(".stg"):
        _show_compiled(file, draw, (output, samples, *checks))
        return
    read = read_grammar(file)
    compiled = compile_graph(read)
    for warning in compiled.warnings:
        click.echo(f"warning: {warning}", err=True)
    if samples:
        _print_samples(read, samples, seed)
    misses = [sentence for sentence in checks if not _print_check(read, sentence)]
    if draw:
        _draw(compiled.graph, draw)
    if output is None and not (samples or checks or draw):
        output = str(Path(file).with_suffix(".stg"))
    if output is not None:
        data = compiled.graph.to_bytes()
        _write(output, data)
        _print_figures(output, describe(data))
    if misses:
        raise UserError(
            f"not a sentence of the grammar: {misses[0]!r}", path=file, advice="see stapes grammar --sample"
        )


def _show_compiled(file: str, draw: str | None, others: tuple[object, ...]) -> None:
    if any(others):
        raise UserError("is compiled already", path=file, advice="give the grammar's YAML file for this option")
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=file, advice="check the name") from None
    _print_figures(file, describe(data, file))
    if draw:
        _draw(parse_graph(data, file), draw)


def _print_figures(file: str, figures: dict) -> None:
    click.echo(
        f"{file}: {figures['bytes']} bytes, {figures['states']} states, {figures['arcs']} arcs, "
        f"{figures['vocabulary']} words"
    )
    click.echo(f"intents: {', '.join(figures['intents'])}")
    click.echo(f"slots: {', '.join(figures['slots']) or 'none'}")


def _print_samples(read: Grammar, count: int, seed: int) -> None:
    for text, intent, slots in read.sentences(count, seed):
        click.echo(f"{text}\t{_meaning(intent, slots)}")


def _print_check(read: Grammar, sentence: str) -> bool:
    found = read.accepts(sentence)
    click.echo(f"{sentence}\t{_meaning(*found) if found else 'no'}")
    return found is not None


def _meaning(intent: str, slots: dict[str, str]) -> str:
    return " ".join([intent, *(f"{name}={value!r}" for name, value in slots.items())])


def _draw(graph: Graph, file: str) -> None:
    dot = to_dot(graph)
    if file.endswith(".dot"):
        _write(file, dot.encode())
    elif not file.endswith(".svg"):
        raise UserError("the drawing's name does not end in .dot or .svg", path=file, advice="rename it")
    elif shutil.which("dot") is None:
        raise UserError("drawing SVG needs Graphviz", path=file, advice="install graphviz, or draw to a .dot file")
    else:
        _write(file, subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True, check=True).stdout)


def _write(file: str, data: bytes) -> None:
    try:
        Path(file).write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", path=file, advice="choose another place") from None
