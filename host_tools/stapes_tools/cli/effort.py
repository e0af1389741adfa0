"""The options that set a branching model's effort, in per cent as people write it; boards take 0 to 1."""

import click

from ..errors import UserError

EFFORT = click.IntRange(0, 100)
EFFORT_HELP = "Per cent, 0 to 100: how readily a model with branches runs the heavy one; default: the board's."
EFFORTS = "0,20,40,50,60,80,100"


def efforts_of(text: str) -> list[int]:
    """Read a list of per cents; what is given twice counts once.

    Raises:
        UserError: one of them is not a whole number from 0 to 100.
    """
    found = []
    for item in text.split(","):
        if not (item.strip().isascii() and item.strip().isdigit() and int(item) <= 100):
            what = f"{item.strip()!r} in --efforts is not a whole number of per cent from 0 to 100"
            raise UserError(what, advice=f"write for instance --efforts {EFFORTS}")
        found.append(int(item))
    return list(dict.fromkeys(found))
