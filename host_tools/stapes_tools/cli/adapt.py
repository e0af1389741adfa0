"""`stapes adapt`: a model for one's own commands, from their grammar alone."""

from pathlib import Path

import click

from .render import console


@click.command(short_help="Specialise the general model to a grammar, in about half an hour.")
@click.argument("grammars", type=click.Path(path_type=Path), metavar="GRAMMAR.yaml...", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Default: models/GRAMMAR.")
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    default=Path("models/general/adapt.toml"),
    show_default=True,
    help="The recipe to fill in.",
)
@click.option("--minutes", type=click.FloatRange(min=0.1), help="Of training; default: the template's.")
@click.option("--threads", default=2, show_default=True, help="Of a training step.")
def adapt(grammars: tuple[Path, ...], output: Path | None, template: Path, minutes: float | None, threads: int) -> None:
    """Make a model that understands the sentences of GRAMMAR.yaml better than the general one does.

    Sentences are drawn from the grammar and spoken by several synthesisers; the general model is
    trained on them while its weights become sparse and its numbers integers. No recordings are
    needed. It says in the end which share of commands, by voices it has not heard, it understands.
    """
    from ..train.threads import choose_backend

    choose_backend(None, threads)
    from ..train.adapt import adapt as run_adaptation
    from ..train.adapt import adaptation_recipe
    from ..train.teller import ConsoleTeller

    text, recipe = adaptation_recipe(template, grammars, minutes)
    target = output or Path("models") / grammars[0].stem
    with ConsoleTeller(console) as tell:
        done = run_adaptation(text, recipe, target, tell)
        tell.say(
            f"{done.model}: {done.model.stat().st_size:,} bytes; on a board, without its zeros, {done.board_bytes:,}"
        )
        tell.say(f"expected acceptance, unheard synthetic commands: {100 * done.expected_acceptance:.1f} %")
        tell.say(f"try it: stapes transcribe FILE.wav --model {done.model} --grammar {grammars[0]}")
