"""`stapes average`: the mean of several checkpoints."""

from pathlib import Path

import click

from ..convert import checkpoint
from ..convert.average import average as mean_of
from ..convert.average import correlation
from ..errors import UserError
from .render import console

_PATH = click.Path(path_type=Path)


@click.command(short_help="Average the weights of networks that were trained on from one.")
@click.argument("checkpoints", type=_PATH, nargs=-1, required=True, metavar="ONE.npz OTHER.npz…")
@click.option("-o", "--output", type=_PATH, required=True, metavar="FILE.npz", help="Where the mean goes.")
def average(checkpoints: tuple[Path, ...], output: Path) -> None:
    """Write the mean of the float weights of several checkpoints (dense.npz, compressed.npz) of `stapes train`.

    Networks that were trained on from one with other data, seeds or losses often understand more together than each
    alone, and the mean costs a board no more than one of them (model soups, Wortsman et al. 2022).
    """
    if len(checkpoints) < 2:
        raise UserError("one checkpoint has no mean", checkpoints[0], "give two or more")
    if output.suffix != ".npz":
        raise UserError("a checkpoint is called .npz", output, f"write {output.with_suffix('.npz').name}")
    loaded = [(path, checkpoint.load(path)) for path in checkpoints]
    mean = mean_of(loaded)
    try:
        checkpoint.save(output, mean.topology, mean.parameters, mean.prior, mean.grid)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", output, "check the path") from None
    others = (f"{correlation(loaded[0][1].parameters, saved.parameters):.3f}" for _, saved in loaded[1:])
    console.print(
        f"{output}: the mean of {len(loaded)}; correlation of the weights with the first: {', '.join(others)}",
        soft_wrap=True,
    )
