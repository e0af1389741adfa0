"""Development sets: features of held-out synthetic commands and of read speech by unseen speakers."""

from pathlib import Path

import numpy as np

from stapes_tools.corpora import build, readers
from stapes_tools.corpora.augment import augment
from stapes_tools.corpora.noisiness import USUAL, Noisiness
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.train.data import FeatureSet, feature_set, held_out_commands, surroundings_of
from stapes_tools.train.recipe import Recipe

AUGMENT_SEED = 1001
# Offsets of the seed: settings are chosen on one set of commands, what to expect is measured on another.
TUNING, EXPECTING = 1000, 2000
# A board listens all the time: in three cases of ten somebody speaks after up to so many seconds.
WAITING = Noisiness(longest_silence_s=8.0)


def command_set(recipe: Recipe, prior: np.ndarray, lexicon: Lexicon) -> FeatureSet:
    """Synthetic commands, augmented: mostly voices and always sentences that training does not hold."""
    packs = held_out_commands(recipe, recipe.data.held_out_commands, TUNING)
    return feature_set(packs, recipe.data, AUGMENT_SEED, prior, lexicon)


def command_recordings(recipe: Recipe, offset: int, noisiness: Noisiness = USUAL) -> list[tuple[str, np.ndarray]]:
    """Held-out commands as (sentence, augmented int16 samples); those of TUNING are the ones in command_set."""
    around = surroundings_of(recipe.data)

    def heard(samples: np.ndarray, *key: int) -> np.ndarray:
        return augment(samples, around, np.random.default_rng([AUGMENT_SEED, *key]), noisiness=noisiness)

    return [
        (utterance.text, heard(samples, number, index))
        for number, pack in enumerate(held_out_commands(recipe, recipe.data.held_out_commands, offset))
        for index, (utterance, samples) in enumerate(pack)
    ]


def read_set(recipe: Recipe, prior: np.ndarray, lexicon: Lexicon) -> FeatureSet:
    """speechocean762's test split as recorded."""
    folder = Path(recipe.data.root) / "speechocean762"
    pack = build.recorded_pack("speechocean762-test", readers.read_speechocean(folder, "test"))
    return feature_set([pack], recipe.data, None, prior, lexicon)


def held_out_sets(recipe: Recipe, prior: np.ndarray, lexicon: Lexicon) -> dict[str, FeatureSet]:
    """The sets to watch while training; read speech only where the corpus is there."""
    sets = {"commands": command_set(recipe, prior, lexicon)}
    if (Path(recipe.data.root) / "speechocean762").is_dir():
        sets["read"] = read_set(recipe, prior, lexicon)
    return sets


def some(examples: FeatureSet, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """count examples spread evenly over a set."""
    spread = np.linspace(0, len(examples.labels) - 1, min(count, len(examples.labels))).astype(int)
    return [examples.example(int(index)) for index in spread]
