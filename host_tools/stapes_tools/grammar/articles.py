"""A or an: which of them fits the word that follows, where a grammar leaves the choice.

Many grammars say `[a, an] $drink` and mean whichever fits. A board that takes both for equally likely hears an N in any
hum after the article.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import stapes_spec as spec

from stapes_tools.grammar.grammar import Tagged
from stapes_tools.grammar.lexicon import Pronunciation

# Article -> whether it stands before vowels.
_SPOKEN: dict[Tagged | str, bool] = {Tagged("a"): False, Tagged("an"): True}
# Of a hundred speakers one says the other article: a guess, not a count.
_SLIP = 0.01
SLIP_WEIGHT = round(math.log(_SLIP) * (1 << spec.Q_LOG_PROB_FRACTION_BITS))
"""Q.10 nats of a word whose first phone does not suit the article before it."""

_VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"))


def free_choices(leaving: Iterable[tuple[Tagged | str, int]]) -> dict[Tagged | str, bool]:
    """The articles between which a speaker may choose.

    Args:
        leaving: what may come next: (word or intent, next state).
    Returns:
        dict: article -> whether it stands before vowels; empty unless both lead to one state.
    """
    articles = {symbol: target for symbol, target in leaving if symbol in _SPOKEN}
    if len(articles) == len(_SPOKEN) and len(set(articles.values())) == 1:
        return dict(_SPOKEN)
    return {}


def suits(before_vowels: bool, phones: Pronunciation) -> bool:
    """Whether a word of these phones comes after an article that stands before vowels, or before none."""
    return (phones[0] in _VOWELS) == before_vowels
