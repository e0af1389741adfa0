"""Choose a model's search settings on held-out synthetic commands, and write them into its metadata.

Real recordings that judge the model have no part in this.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from stapes_tools.convert.metadata import with_search_settings, with_settings
from stapes_tools.evaluate.recognition import recognise
from stapes_tools.evaluate.scoring import accepted
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.grammar.reader import read_grammar
from stapes_tools.train import dev
from stapes_tools.train.context import is_context_free
from stapes_tools.train.data import command_grammar
from stapes_tools.train.recipe import Recipe

BLANK_PENALTIES = (1.0, 2.0, 2.5, 3.0, 3.5, 4.0)
LANGUAGE_SCALES = (0.5, 1.0)
START_DISCOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)


Setting = TypeVar("Setting")


def acceptance(model: bytes, recipe: Recipe, recordings: Sequence[tuple[str, np.ndarray]], processes: int) -> float:
    """Share of held-out synthetic commands whose every slot is right."""
    path = command_grammar(recipe)
    grammar = read_grammar(path)
    heard = recognise(model, compile_grammar(path), (samples for _, samples in recordings), processes)
    meant = [grammar.accepts(text) for text, _ in recordings]
    return float(np.mean([row is not None and accepted(was, row[1]) for was, row in zip(heard, meant, strict=True)]))


def standard_error(share: float, count: int) -> float:
    """Of a share of count utterances."""
    return math.sqrt(share * (1.0 - share) / count)


def alike(scores: Mapping[Setting, float], count: int) -> list[Setting]:
    """The settings that count utterances cannot tell from the best one, in their order."""
    best = max(scores.values())
    return [setting for setting, score in scores.items() if score >= best - standard_error(best, count)]


def middle_of_best(scores: Mapping[Setting, float], count: int) -> Setting:
    """Of the settings that count utterances cannot tell from the best, the middle one; of two, the better one.

    Args:
        scores: shares of count utterances by setting, in the settings' order.
        count: of the utterances.
    Reference: L. Breiman et al., Classification and Regression Trees, 1984 (the rule of one standard error).
    """
    good = alike(scores, count)
    middle = {good[(len(good) - 1) // 2], good[len(good) // 2]}
    return max(good, key=lambda setting: (setting in middle, scores[setting]))


def tune(model: bytes, recipe: Recipe, processes: int, say: Callable[[str], None]) -> bytes:
    """The model with the best settings: first the penalty, then the scale, then the discount; see middle_of_best.

    A network that was trained to do without the last unit (context_dropout) is searched without it, so that the joint
    is evaluated once per step, unless the commands tell that it needs it. A dropout of 1 leaves nothing to ask.
    """
    recordings = dev.command_recordings(recipe, dev.TUNING)

    def best(hears_context: bool, settings: list[tuple[float, float]]) -> tuple[tuple[float, float], float]:
        scores: dict[tuple[float, float], float] = {}
        for penalty, scale in settings:
            tried = with_search_settings(model, penalty, scale, hears_context=hears_context)
            scores[penalty, scale] = acceptance(tried, recipe, recordings, processes)
            context = "" if hears_context else "  without context"
            say(f"blank penalty {penalty:g}  language scale {scale:g}{context}  {100 * scores[penalty, scale]:.1f} %")
        chosen = middle_of_best(scores, len(recordings))
        return chosen, scores[chosen]

    penalties = [(penalty, 1.0) for penalty in BLANK_PENALTIES]
    dropout = context_dropout(recipe)
    hears_context = not is_context_free(dropout)
    (penalty, _), share = best(hears_context, penalties)
    if hears_context and dropout > 0.0:
        without, share_without = best(False, penalties)
        if enough_without(share, share_without, len(recordings)):
            hears_context, (penalty, _) = False, without
    (penalty, scale), _ = best(hears_context, [(penalty, scale) for scale in reversed(LANGUAGE_SCALES)])
    chosen = with_search_settings(model, penalty, scale, hears_context=hears_context)
    return chosen if hears_context else with_start_discount(chosen, recipe, processes, say)


def with_start_discount(model: bytes, recipe: Recipe, processes: int, say: Callable[[str], None]) -> bytes:
    """The model with the discount that suits commands which somebody has to wait for.

    Only without the last unit: there penalties are high, and noise is made into words (docs/training.md). Of two in the
    middle the larger, which makes fewer.
    """
    recordings = dev.command_recordings(recipe, dev.TUNING, dev.WAITING)
    say(f"the same commands, some after up to {dev.WAITING.longest_silence_s:g} s of noise:")
    scores: dict[float, float] = {}
    for discount in START_DISCOUNTS:
        tried = with_settings(model, start_discount=discount)
        scores[discount] = acceptance(tried, recipe, recordings, processes)
        say(f"start discount {discount:g}  {100 * scores[discount]:.1f} %")
    good = alike(scores, len(recordings))
    return with_settings(model, start_discount=good[len(good) // 2])


def enough_without(share: float, share_without: float, count: int) -> bool:
    """Whether count utterances do not tell that the search needs the context: shares understood with it and without."""
    return share_without >= share - standard_error(share, count)


def context_dropout(recipe: Recipe) -> float:
    """In which share of utterances the recipe's last stage drops the predictor's context."""
    last = recipe.branches or recipe.compression or recipe.training
    return last.context_dropout if last is not None else 0.0
