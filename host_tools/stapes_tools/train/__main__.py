"""Train a model from a recipe: python -m stapes_tools.train RECIPE.toml [--prepare | --export].

Leaves model.tflite and curves.png beside the recipe. A run that was stopped goes on from its last
checkpoint; --export makes the model from the last checkpoint of an unfinished run.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from stapes_tools.corpora.build import content_hash
from stapes_tools.corpora.store import cache_root
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.train.data import FeatureSet, feature_set, mean_log_mel, training_packs
from stapes_tools.train.recipe import Recipe, read_recipe


def prepare(recipe: Recipe) -> tuple[list[FeatureSet], np.ndarray, Lexicon]:
    """Synthesise, decode, augment and extract features; what is in the cache is not made again.

    Returns:
        (copies, prior, lexicon).
    """
    lexicon = Lexicon(recipe.data.extra_words)
    packs = training_packs(recipe, lexicon)
    prior = mean_log_mel(packs, recipe.data, 0, 10)
    copies = [feature_set(packs, recipe.data, seed, prior, lexicon) for seed in range(1, recipe.data.copies + 1)]
    print(f"{sum(pack.hours for pack in packs):.2f} h of speech, {len(copies[0].labels)} utterances", flush=True)
    return copies, prior, lexicon


def train(recipe: Recipe, folder: Path, threads: int) -> None:
    """Train, or go on from the checkpoint in folder; leaves parameters.npz and curves.png there."""
    import tensorflow as tf

    from stapes_tools.train import dev
    from stapes_tools.train.curves import draw
    from stapes_tools.train.export import float_parameters, topology_of
    from stapes_tools.train.greedy import phone_error_rate
    from stapes_tools.train.loop import Trainer
    from stapes_tools.train.net import Transducer

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    copies, prior, lexicon = prepare(recipe)
    topology = topology_of(recipe.model)
    held_out = {
        "commands": dev.some(dev.command_set(recipe, prior, lexicon), 40),
        "read": dev.some(dev.read_set(recipe, prior, lexicon), 40),
    }

    def report(trainer: Trainer) -> dict:
        parameters = float_parameters(trainer.averaged())
        np.savez(folder / "parameters.npz", prior=prior, **parameters)  # type: ignore[arg-type]
        rates = {f"per_{name}": phone_error_rate(topology, parameters, rows) for name, rows in held_out.items()}
        print("  ".join(f"{name} {100 * rate:.1f} %" for name, rate in rates.items()), flush=True)
        draw(trainer.history, folder / "curves.png")
        return rates

    trainer = Trainer(Transducer(topology, recipe.seed), recipe.training, copies, folder, recipe.seed)
    trainer.run(report)
    draw(trainer.history, folder / "curves.png")


def export(recipe: Recipe, folder: Path, output: Path) -> None:
    """Quantise the averaged weights of the last checkpoint, tune the search on synthetic commands, write the model."""
    from stapes_tools.convert.metadata import Metadata
    from stapes_tools.grammar.units import UNITS
    from stapes_tools.train.export import export_model, topology_of
    from stapes_tools.train.tune import tune

    saved = dict(np.load(folder / "parameters.npz"))
    prior = saved.pop("prior")
    lexicon = Lexicon(recipe.data.extra_words)
    examples = feature_set(training_packs(recipe, lexicon), recipe.data, 1, prior, lexicon)
    model = output / "model.tflite"
    metadata = Metadata(UNITS, tuple(int(value) for value in prior))
    export_model(model, topology_of(recipe.model), saved, examples, metadata=metadata, description=output.name)
    model.write_bytes(tune(model.read_bytes(), recipe, recipe.data.processes))
    (output / "curves.png").write_bytes((folder / "curves.png").read_bytes())


def main() -> int:
    """Command line; exit codes 0 and 2 (user's mistake)."""
    parser = argparse.ArgumentParser(prog="python -m stapes_tools.train", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--prepare", action="store_true", help="make the features and stop")
    parser.add_argument("--export", action="store_true", help="make the model from the last checkpoint")
    parser.add_argument("--threads", type=int, default=2, help="of the training steps; 1 is faster on a busy machine")
    arguments = parser.parse_args()
    try:
        recipe = read_recipe(arguments.recipe)
        if arguments.prepare:
            prepare(recipe)
        else:
            folder = cache_root() / "train" / f"{arguments.recipe.resolve().parent.name}-{content_hash(repr(recipe))}"
            folder.mkdir(parents=True, exist_ok=True)
            if not arguments.export:
                train(recipe, folder, arguments.threads)
            export(recipe, folder, arguments.recipe.parent)
    except UserError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
