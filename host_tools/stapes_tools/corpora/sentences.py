"""Sentences to be spoken: sampled from grammars, taken from transcripts, or made of random words."""

import itertools
import random
from pathlib import Path

from stapes_tools.grammar.reader import read_grammar

# How many sentences are drawn for one that is wanted, so that repeats may be left out.
_DRAWS = 20


def sample_commands(grammar: Path, count: int, seed: int) -> list[str]:
    """Draw distinct sentences from a grammar.

    Args:
        grammar: path of the YAML file.
        count: sentences wanted; fewer come back when the grammar is small.
        seed: equal seeds give equal sentences.
    Returns:
        list[str]: lower-case sentences.
    Raises:
        UserError: the grammar does not read.
    """
    found: dict[str, None] = {}
    for text, _, _ in read_grammar(grammar).sentences(count * _DRAWS, seed):
        found.setdefault(text.lower())
        if len(found) == count:
            break
    return list(found)


def random_words(vocabulary: dict[str, float], count: int, seed: int, shortest: int = 2, longest: int = 7) -> list[str]:
    """Make phonetically broad nonsense sentences.

    Args:
        vocabulary: word -> relative frequency with which it is drawn.
        count: sentences.
        seed: equal seeds give equal sentences.
        shortest, longest: words per sentence.
    """
    rng = random.Random(f"{seed} words")
    words, weights = list(vocabulary), list(itertools.accumulate(vocabulary.values()))
    return [" ".join(rng.choices(words, cum_weights=weights, k=rng.randint(shortest, longest))) for _ in range(count)]
