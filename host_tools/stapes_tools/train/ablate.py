"""Train a recipe's last stage again and again, each time without one of its methods, and compare.

    python -m stapes_tools.train.ablate ABLATIONS.toml OUT_FOLDER \\
        [--score DIR --grammar FILE [--noise FILE] [--hearings N]] [--only N/M]

ABLATIONS.toml names the recipe, what all rows share, and the rows (see models/coffee/ablations.toml). A row changes
keys of the recipe's [branches], or of its [compression] where it has none; `data` is a table of keys of its [data], and
`without` names synthetic entries that are left out. Rows that are done are kept in OUT_FOLDER/ablations.json and not
done again; two processes may share the rows with --only. A table (ablations.md) and a picture (ablations.png) lie
beside it.
"""

import argparse
import difflib
import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from rich.console import Console

from stapes_tools.device.cache import lock
from stapes_tools.errors import StapesError, UserError
from stapes_tools.evaluate.folder import read_folder
from stapes_tools.evaluate.noise import CLEAN, Condition
from stapes_tools.evaluate.recognition import Decoder, hear_all
from stapes_tools.evaluate.run import MOST_HEARINGS, Recording
from stapes_tools.evaluate.scoring import accepted
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.train import ablation_report
from stapes_tools.train.ablation_report import Row
from stapes_tools.train.recipe import Recipe, read_recipe
from stapes_tools.train.teller import ConsoleTeller, Teller

NOISE_DB = 6.0
_RESULTS = "ablations.json"
# The stages that an ablation changes, the last one first, and the checkpoint that each leaves.
_LEAVES = {"branches": "branched", "compression": "compressed"}


@dataclass(frozen=True)
class Scored:
    """Recordings that every row is scored on.

    Attributes:
        folder: with refs.json.
        grammar: of its commands.
        noise: mixed in at NOISE_DB for a second figure; None for none.
        hearings: of every recording, see stapes_tools.evaluate.run.Recording.
    """

    folder: Path
    grammar: Path
    noise: Path | None = None
    hearings: int = 1


def changed(recipe: Recipe, changes: dict, path: Path) -> Recipe:
    """The recipe with other values in its last stage, and in its [data] where changes say so.

    Raises:
        UserError: there is no such key, or nothing to change; names path.
    """
    stage = last_stage(recipe, path)
    keys = {key: value for key, value in changes.items() if key not in ("data", "without")}
    data = _with_keys(recipe.data, changes.get("data", {}), path)
    left_out = changes.get("without", [])
    for name in left_out:
        _check_known(name, {entry.name for entry in data.synthetic}, "synthetic entry", path)
    data = replace(data, synthetic=[entry for entry in data.synthetic if entry.name not in left_out])
    return replace(recipe, **{stage: _with_keys(getattr(recipe, stage), keys, path)}, data=data)


def last_stage(recipe: Recipe, path: Path) -> str:
    """What an ablation changes: "branches" or "compression". Raises UserError: the recipe has neither; names path."""
    for stage in _LEAVES:
        if getattr(recipe, stage) is not None:
            return stage
    raise UserError("an ablation needs a recipe with [compression] or [branches]", path, "add one")


def _with_keys(table, changes: dict, path: Path):
    known = {item.name for item in fields(table)}
    for key in changes:
        _check_known(key, known, "key", path)
    return replace(table, **changes)


def _check_known(name: str, known: set[str], what: str, path: Path) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise UserError(f"unknown {what} {name!r}", path, f"did you mean {near[0]!r}?" if near else "leave it out")


def rows_of(path: Path) -> Iterator[tuple[str, Recipe]]:
    """Yield (name, recipe) of an ablation file.

    Raises:
        UserError: it does not read, or a key is unknown.
    """
    try:
        table = tomllib.loads(path.read_text())
        base, rows = Path(table["recipe"]), [(row.pop("name"), row) for row in table["row"]]
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "name a file of ablations") from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise UserError(f"not a file of ablations: {error}", path, "see models/coffee/ablations.toml") from None
    recipe = changed(read_recipe(base), table.get("all", {}), path)
    for name, changes in rows:
        yield name, changed(recipe, changes, path)


def ablate(recipe: Recipe, name: str, output: Path, tell: Teller, scored: Scored | None) -> Row:
    """Train, export and score one row."""
    from stapes_tools.train import run

    folder = output / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    job = run.Run(recipe, run.prepare(recipe, tell), run.run_folder(recipe, "ablation"), tell)
    job.train()
    model = job.export(folder).read_bytes()
    share = job.expected_acceptance(model)
    recorded = noisy = None
    if scored:
        recorded = _acceptance(model, scored, CLEAN, recipe.data.processes)
        if scored.noise:
            noisy = _acceptance(model, scored, Condition(scored.noise, NOISE_DB), recipe.data.processes)
    stage = _LEAVES["branches" if recipe.branches else "compression"]
    batches = json.loads((job.folder / stage / "history.json").read_text())[-1]["batches"]
    return Row(name, share, recorded, noisy, _zeros(folder / f"{stage}.npz"), len(model), batches)


def _zeros(path: Path) -> float:
    from stapes_tools.convert import checkpoint
    from stapes_tools.convert.grid import encoder_matrices

    saved = checkpoint.load(path)
    weights = [saved.parameters[f"{name}.weight"] for name in encoder_matrices(saved.topology)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.size for weight in weights)


def _acceptance(model: bytes, scored: Scored, condition: Condition, processes: int) -> float:
    utterances = read_folder(scored.folder).utterances
    hearings = range(scored.hearings)
    sounds = [Recording(utterance, condition, hearing=hearing) for hearing in hearings for utterance in utterances]
    heard = hear_all(model, [Decoder(compile_grammar(scored.grammar))], sounds, processes)
    meant = (sound.utterance for sound in sounds)
    good = [accepted(result, u.slots or {}, u.intent) for (result,), u in zip(heard, meant, strict=True)]
    return sum(good) / len(good)


def results(output: Path) -> list[Row]:
    """The rows that are done."""
    path = output / _RESULTS
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


def keep(output: Path, row: Row, order: Sequence[str]) -> None:
    """Add a row to what is done; draw table and picture anew, of the ablation file's rows in its order.

    Rows that the file no longer names stay among the results: each took minutes.
    """
    with lock(output / "lock"):
        done = [old for old in results(output) if old.name != row.name] + [row]
        rows = sorted((each for each in done if each.name in order), key=lambda each: order.index(each.name))
        others = [each for each in done if each.name not in order]
        (output / _RESULTS).write_text(json.dumps([asdict(each) for each in rows + others], indent=1) + "\n")
        (output / "ablations.md").write_text(ablation_report.table(rows) + "\n")
        ablation_report.draw(rows, output / "ablations.png")


def _hearings(text: str) -> int:
    if not 1 <= int(text) <= MOST_HEARINGS:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST_HEARINGS}")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stapes_tools.train.ablate", description=__doc__)
    parser.add_argument("ablations", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--score", type=Path, help="a folder of recordings with refs.json")
    parser.add_argument("--grammar", type=Path, help="of that folder")
    parser.add_argument("--noise", type=Path, help=f"mixed in at {NOISE_DB:g} dB for a second figure")
    parser.add_argument("--hearings", type=_hearings, default=1, help="of every recording, as `stapes eval` has it")
    parser.add_argument("--only", default="0/1", help="N/M: every Mth row from the Nth on")
    return parser.parse_args()


def main() -> int:
    """Command line; exit codes 0 and 2 (user's mistake)."""
    arguments = _arguments()
    first, every = (int(part) for part in arguments.only.split("/"))
    scored = (
        Scored(arguments.score, arguments.grammar, arguments.noise, arguments.hearings) if arguments.score else None
    )
    from stapes_tools.train.threads import choose_backend

    try:
        choose_backend(None, 1)
        arguments.output.mkdir(parents=True, exist_ok=True)
        rows = list(rows_of(arguments.ablations))
        with ConsoleTeller(Console()) as tell:
            for name, recipe in rows[first::every]:
                if name in {row.name for row in results(arguments.output)}:
                    continue
                tell.say(f"--- {name}")
                row = ablate(recipe, name, arguments.output, tell, scored)
                tell.say(json.dumps(asdict(row)))
                keep(arguments.output, row, [name for name, _ in rows])
    except StapesError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
