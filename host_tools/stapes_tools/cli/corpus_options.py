"""What the verbs of `stapes corpus` share."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.text import Text

from ..errors import TRAIN_TOOLS, UserError
from .render import messages

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path)

PROCESSES = click.option(
    "--processes", type=click.IntRange(1), default=os.cpu_count() or 1, help="How many work at once.  [default: cores]"
)
CLUSTER = click.option(
    "--cluster",
    is_flag=False,
    flag_value="auto",
    metavar="[ADDRESS]",
    help="Work on a Ray cluster instead: of this machine, or at ADDRESS.",
)
ROOT = click.option(
    "--root", "roots", type=FOLDER, multiple=True, help="Where corpora lie; default: $STAPES_DATA, else shared/data."
)
BAD = click.option("--skip-bad/--stop", default=True, help="Go on after a bad line (default), or stop at the first.")
PRONUNCIATIONS = click.option(
    "--pronunciations", type=FILE, metavar="FILE", help="More words: a recipe (.toml) or a grammar (.yaml)."
)


def warn(faults: Iterable[UserError], skip_bad: bool) -> None:
    """Say what is wrong and skipped, or raise the first of it."""
    for fault in faults:
        if not skip_bad:
            raise fault
        messages.print(Text(f"{fault}; skipped"), soft_wrap=True)


@contextlib.contextmanager
def train_extra() -> Iterator[None]:
    """Name the install command where a package of the train extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).startswith("stapes"):
            raise
        what = f"this needs the Python package {error.name}"
        raise UserError(what, advice=f"run: {TRAIN_TOOLS}") from None
