"""Train a recipe's second stage again and again, each time without one of its methods, and compare.

    python -m stapes_tools.train.ablate ABLATIONS.toml OUT_FOLDER [--score DIR --grammar FILE] [--only N/M]

ABLATIONS.toml names the recipe, what all rows share, and the rows (see models/coffee/ablations.toml). Rows
that are done are kept in OUT_FOLDER/ablations.json; two processes may share the rows with --only.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from stapes_tools.errors import StapesError
from stapes_tools.evaluate.folder import read_folder
from stapes_tools.evaluate.noise import CLEAN
from stapes_tools.evaluate.recognition import Decoder, hear_all
from stapes_tools.evaluate.run import Recording
from stapes_tools.evaluate.scoring import accepted
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.train.recipe import Recipe, read_recipe
from stapes_tools.train.teller import ConsoleTeller, Teller


@dataclass(frozen=True)
class Row:
    """One training: what was changed, and what came out. Shares are None where nothing was scored.

    synthetic: acceptance of held-out synthetic commands; recorded: of the scored folder.
    zeros: share of the encoder's matrices; bytes: of the file.
    """

    name: str
    synthetic: float
    recorded: float | None
    zeros: float
    bytes: int


def changed(recipe: Recipe, changes: dict) -> Recipe:
    """The recipe with other values in its [compression]. Raises TypeError for an unknown key."""
    assert recipe.compression is not None, "an ablation is of the second stage"
    return replace(recipe, compression=replace(recipe.compression, **changes))


def ablate(recipe: Recipe, name: str, output: Path, tell: Teller, scored: tuple[Path, Path] | None) -> Row:
    """Train, export and score one row.

    Args:
        scored: a folder of recordings and its grammar.
    """
    from stapes_tools.train import run

    folder = output / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    job = run.Run(recipe, run.prepare(recipe, tell), run.run_folder(recipe, "ablation"), tell)
    job.train()
    model = job.export(folder).read_bytes()
    share = job.expected_acceptance(model)
    recorded = _recorded(model, scored, recipe.data.processes) if scored else None
    zeros = _zeros(folder / "compressed.npz")
    return Row(name, share, recorded, zeros, len(model))


def _zeros(path: Path) -> float:
    from stapes_tools.convert.grid import encoder_matrices
    from stapes_tools.train import checkpoint

    saved = checkpoint.load(path)
    weights = [saved.parameters[f"{name}.weight"] for name in encoder_matrices(saved.topology)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.size for weight in weights)


def _recorded(model: bytes, scored: tuple[Path, Path], processes: int) -> float:
    utterances = read_folder(scored[0]).utterances
    sounds = [Recording(utterance, CLEAN) for utterance in utterances]
    heard = hear_all(model, [Decoder(compile_grammar(scored[1]))], sounds, processes)
    good = [accepted(result, u.slots or {}, u.intent) for (result,), u in zip(heard, utterances, strict=True)]
    return sum(good) / len(good)


def rows_of(path: Path) -> Iterator[tuple[str, Recipe]]:
    """Yield (name, recipe) of an ablation file."""
    table = tomllib.loads(path.read_text())
    recipe = changed(read_recipe(Path(table["recipe"])), table.get("all", {}))
    for row in table["row"]:
        yield row["name"], changed(recipe, {key: value for key, value in row.items() if key != "name"})


def main() -> int:
    """Command line; exit codes 0 and 2 (user's mistake)."""
    parser = argparse.ArgumentParser(prog="python -m stapes_tools.train.ablate", description=__doc__)
    parser.add_argument("ablations", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--score", type=Path, help="a folder of recordings with refs.json")
    parser.add_argument("--grammar", type=Path, help="of that folder")
    parser.add_argument("--only", default="0/1", help="N/M: every Mth row from the Nth on")
    arguments = parser.parse_args()
    first, every = (int(part) for part in arguments.only.split("/"))
    scored = (arguments.score, arguments.grammar) if arguments.score else None
    from stapes_tools.train.threads import choose_backend

    try:
        choose_backend(None, 1)
        with ConsoleTeller(Console()) as tell:
            for name, recipe in list(rows_of(arguments.ablations))[first::every]:
                tell.say(f"--- {name}")
                row = ablate(recipe, name, arguments.output, tell, scored)
                tell.say(json.dumps(asdict(row)))
                _keep(arguments.output / "ablations.json", row)
    except StapesError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _keep(path: Path, row: Row) -> None:
    rows = json.loads(path.read_text()) if path.exists() else []
    rows = [old for old in rows if old["name"] != row.name] + [asdict(row)]
    path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
