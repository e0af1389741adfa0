"""Multiplications of a recogniser's model: per invocation from its file, per utterance from what was run."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stapes_tools.convert.branches import ARBITRATOR, HEAVY, LIGHT
from stapes_tools.convert.inspect import Row, describe, totals
from stapes_tools.errors import UserError


@dataclass(frozen=True)
class Work:
    """Multiplications of one invocation of each part; 0 for a part that the model does not have.

    Weights that are not zero times the positions they are used at (inspect.Row.work). The predictor of our
    models looks up a table: it multiplies nothing.
    """

    heavy: int
    light: int
    arbitrator: int
    predictor: int
    joint: int
    has_branches: bool

    def encoder(self, steps: int, light_steps: int) -> int:
        """Of arbitrator and branches, over so many steps of which so many ran the light branch."""
        return steps * self.arbitrator + (steps - light_steps) * self.heavy + light_steps * self.light

    def search(self, joint_evaluations: int) -> int:
        """Of joint and predictor, as if no row of the predictor were kept from step to step."""
        return joint_evaluations * (self.joint + self.predictor)

    def saved(self, steps: int, light_steps: int) -> float:
        """Share of the heavy branch's multiplications that branching saved; below 0 where the arbitrator cost more."""
        alone = steps * self.heavy
        return 1 - self.encoder(steps, light_steps) / alone if alone else 0.0


def work_of(data: bytes) -> Work:
    """Count a model's multiplications.

    Args:
        data: a .tflite file, packed or not.
    Raises:
        UserError: the file is not a .tflite or is damaged.
    """
    return work_of_rows(describe(data))


def require_branches(work: Work | None, path: Path) -> None:
    """Refuse an effort for a model without branches; None is a file that its opening will refuse. Raises UserError."""
    if work and not work.has_branches:
        what = "the model has no light branch, so there is no effort to set"
        raise UserError(what, path, "give a model with branches, or leave the effort out")


def work_of_rows(rows: Iterable[Row]) -> Work:
    """The same from what describe has found."""
    rows = list(rows)
    parts = {row.subgraph for row in rows}
    heavy, light, arbitrator, predictor, joint = (
        totals(rows, name).work for name in (HEAVY, LIGHT, ARBITRATOR, "predictor", "joint")
    )
    return Work(heavy, light, arbitrator, predictor, joint, {LIGHT, ARBITRATOR} <= parts)
