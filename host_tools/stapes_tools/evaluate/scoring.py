"""What counts as right: commands by their slots, sentences by their words."""

import re
from dataclasses import dataclass

from ..grammar.lexicon import normalise_word
from .recognition import Heard

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?")


def accepted(heard: Heard, slots: dict[str, str], intent: str | None = None) -> bool:
    """Whether a command counts as understood, by the rule of the coffee benchmark.

    A sentence of the grammar was heard, its intent is the labelled one, and every labelled slot has
    the labelled value. Further slots that were heard do not matter, nor do the words around them.
    Where no intent is labelled, any will do. Case does not matter.

    Reference: github.com/Picovoice/speech-to-intent-benchmark, benchmark/engine.py, Engine.process.
    """
    if heard.intent is None or intent not in (None, heard.intent):
        return False
    return all(name in heard.slots and _same(heard.slots[name], value) for name, value in slots.items())


def _same(one: str, other: str) -> bool:
    return normalise_word(one).split() == normalise_word(other).split()


def spoken_words(text: str) -> str:
    """Return a sentence as it is scored: lower-case words of letters, digits and apostrophes, hyphens split."""
    return " ".join(_WORD.findall(normalise_word(text)))


@dataclass(frozen=True)
class WordErrors:
    """Substituted, missing and added words of one utterance, and the words that were said."""

    errors: int
    words: int


def word_errors(reference: str, hypothesis: str) -> WordErrors:
    """Align two sentences, as spoken_words leaves them, with the fewest errors."""
    import jiwer  # here, so that recognition and training do without it

    found = jiwer.process_words(reference, hypothesis)
    errors = found.substitutions + found.deletions + found.insertions
    return WordErrors(errors, found.hits + found.substitutions + found.deletions)
