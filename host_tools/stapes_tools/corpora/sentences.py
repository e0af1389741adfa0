"""Sentences to be spoken: sampled from grammars, taken from transcripts, or made of random words."""

import itertools
import random
import re
from pathlib import Path

import yaml

_TOKEN = re.compile(r"\[[^\]]*\]|\([^)]*\)|\$[A-Za-z]\w*:\w+|[^\s\[\]()]+")


def sample_commands(grammar: Path, count: int, seed: int) -> list[str]:
    """Draw distinct sentences from a grammar in Picovoice Rhino's YAML format.

    Expressions are drawn uniformly, then each choice and slot value uniformly.

    Args:
        grammar: path of the YAML file.
        count: sentences wanted; fewer come back when the grammar is small.
        seed: equal seeds give equal sentences.
    Returns:
        list[str]: lower-case sentences.
    """
    context = yaml.safe_load(grammar.read_text())["context"]
    expressions = [text for group in context["expressions"].values() for text in group]
    slots, macros = context.get("slots", {}), context.get("macros", {})
    rng = random.Random(f"{seed} {grammar.stem}")
    found: dict[str, None] = {}
    for _ in range(count * 20):
        if len(found) == count:
            break
        found.setdefault(_expand(rng.choice(expressions), slots, macros, rng))
    return list(found)


def _expand(expression: str, slots: dict, macros: dict, rng: random.Random) -> str:
    expression = re.sub(r"@(\w+)(?::\w+)?", lambda found: rng.choice(macros[found[1]]), expression)
    words = []
    for token in _TOKEN.findall(expression):
        if token[0] == "[":
            words.append(_expand(rng.choice(token[1:-1].split(",")), slots, macros, rng))
        elif token[0] == "(":
            if rng.random() < 0.5:
                words.append(_expand(rng.choice(token[1:-1].split(",")), slots, macros, rng))
        elif token[0] == "$":
            words.append(str(rng.choice(slots[token[1:].split(":")[0]])))
        else:
            words.append(token)
    return " ".join(" ".join(words).split()).lower()


def random_words(
    vocabulary: dict[str, float], count: int, seed: int, shortest: int = 2, longest: int = 7
) -> list[str]:
    """Make phonetically broad nonsense sentences.

    Args:
        vocabulary: word -> relative frequency with which it is drawn.
        count: sentences.
        seed: equal seeds give equal sentences.
        shortest, longest: words per sentence.
    """
    rng = random.Random(f"{seed} words")
    words, weights = list(vocabulary), list(itertools.accumulate(vocabulary.values()))
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(shortest, longest))) for _ in range(count)
    ]
