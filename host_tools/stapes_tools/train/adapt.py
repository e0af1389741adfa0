"""Specialise a general model to grammars: no recordings are needed, about half an hour on two cores is enough."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stapes_tools.device.board_model import model_for_board
from stapes_tools.errors import UserError
from stapes_tools.grammar.reader import read_grammar
from stapes_tools.train import run
from stapes_tools.train.recipe import MADE, Recipe, parse_recipe, speaker_of
from stapes_tools.train.teller import Teller

SENTENCES = 4000
_PLACEHOLDER = "@GRAMMARS@"


@dataclass(frozen=True)
class Adapted:
    """What came out.

    Attributes:
        model: the model file.
        expected_acceptance: share of unheard synthetic commands that it understands.
        board_bytes: of the model without its zeros, as boards get it.
    """

    model: Path
    expected_acceptance: float
    board_bytes: int


def adaptation_recipe(template: Path, grammars: Sequence[Path], minutes: float | None = None) -> tuple[str, Recipe]:
    """Fill a template with grammars.

    Args:
        template: a recipe with a placeholder, such as models/general/adapt.toml.
        grammars: the first one's commands also tune the search, and are told apart where the template has mmi_weight.
        minutes: of training, if not the template's.
    Returns:
        (TOML text, recipe).
    Raises:
        UserError: a grammar or the template does not read.
    """
    for grammar in grammars:
        read_grammar(grammar)
    try:
        text = template.read_text()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", template, "name a template with --template") from None
    share = SENTENCES // len(grammars)
    text = text.replace(_PLACEHOLDER, ", ".join(f"{json.dumps(str(grammar))} = {share}" for grammar in grammars))
    recipe = parse_recipe(text, template)
    if minutes is not None and recipe.compression is not None:
        recipe = replace(recipe, compression=replace(recipe.compression, minutes=minutes))
    return text, recipe


def without_missing_recordings(recipe: Recipe, tell: Teller) -> Recipe:
    """The recipe with made noises and rooms, and its own speech, alone where its recordings are not on this machine."""
    if Path(recipe.data.root).is_dir():
        return recipe
    tell.say(f"{recipe.data.root} is not here: no recordings are used, noises and rooms are made")
    noises, rooms = (
        [entry for entry in entries if entry.startswith(MADE) or speaker_of(entry)]
        for entries in (recipe.data.noises, recipe.data.rooms)
    )
    return replace(recipe, data=replace(recipe.data, recorded=[], noises=noises, rooms=rooms))


def adapt(text: str, recipe: Recipe, output: Path, tell: Teller) -> Adapted:
    """Run an adaptation recipe; leaves the model, its parameters, recipe.toml, curves.png and report.json in output."""
    output.mkdir(parents=True, exist_ok=True)
    recipe = without_missing_recordings(recipe, tell)
    folder = run.run_folder(recipe, output.resolve().name)
    job = run.Run(recipe, run.prepare(recipe, tell), folder, tell)
    job.train()
    model = job.export(output)
    (output / "recipe.toml").write_text(text)
    share = job.expected_acceptance(model.read_bytes())
    done = Adapted(model, share, len(model_for_board(model)))
    report = {"expected_acceptance": share, "bytes": model.stat().st_size, "board_bytes": done.board_bytes}
    (output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return done
