"""`stapes train`: from a recipe to a model."""

from pathlib import Path

import click

from .render import console


@click.command(short_help="Train a model from a recipe; goes on where it was stopped.")
@click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE.toml")
@click.option("--prepare", is_flag=True, help="Make the training speech and its features, and stop.")
@click.option("--export", "export_only", is_flag=True, help="Make the model from what is trained so far.")
@click.option("--threads", default=1, show_default=True, help="Of a training step.")
@click.option("--backend", type=click.Choice(["tensorflow", "jax", "torch"]), help="Of Keras.  [default: tensorflow]")
def train(recipe: Path, prepare: bool, export_only: bool, threads: int, backend: str | None) -> None:
    """Train the acoustic model that RECIPE.toml describes.

    Speech is synthesised, decoded, augmented and turned into features; the network is trained, made
    sparse and brought to integers; the search is tuned on synthetic commands. Everything goes into
    the cache as it comes: a run that was stopped goes on where it was. The model, its float
    parameters and the curves are written beside the recipe; event files for TensorBoard stay in
    the cache.
    """
    from ..train.recipe import read_recipe
    from ..train.threads import choose_backend

    settings = read_recipe(recipe)
    choose_backend(backend, threads)
    from ..train import run
    from ..train.teller import ConsoleTeller

    folder = run.run_folder(settings, recipe.resolve().parent.name)
    with ConsoleTeller(console) as tell:
        tell.say(f"checkpoints and event files: {folder}")
        prepared = run.prepare(settings, tell)
        if prepare:
            return
        job = run.Run(settings, prepared, folder, tell)
        if not export_only:
            job.train()
        tell.say(str(job.export(recipe.parent)))
