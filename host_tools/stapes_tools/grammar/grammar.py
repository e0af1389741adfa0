"""A grammar in memory: what may be said, what it means; sampling and matching of sentences."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stapes_tools.grammar.expression import Choice, MacroRef, Node, Sequence, SlotRef, Where, Word
from stapes_tools.grammar.lexicon import Lexicon, normalise_word

Phrase = tuple[str, ...]


@dataclass(frozen=True, order=True)
class Tagged:
    """An output symbol: a word, the slot it fills ("" for none), whether it begins that slot's value."""

    text: str
    slot: str = ""
    begin: bool = False


@dataclass(frozen=True)
class Expression:
    """One sentence pattern of an intent."""

    intent: str
    node: Sequence
    where: Where


@dataclass(frozen=True)
class Grammar:
    """What a grammar file says, checked.

    Attributes:
        path: the file it was read from.
        expressions: the patterns of every intent, in file order.
        slots: slot type -> phrases, built-in types included.
        macros: macro name -> its alternatives.
        lexicon: pronunciations, the file's own included.
        warnings: one line for each thing that is legal but probably not meant.
    """

    path: str
    expressions: tuple[Expression, ...]
    slots: Mapping[str, list[Phrase]]
    macros: Mapping[str, Choice]
    lexicon: Lexicon = field(compare=False)
    warnings: tuple[str, ...] = ()

    @property
    def intents(self) -> list[str]:
        return list(dict.fromkeys(expression.intent for expression in self.expressions))

    @property
    def slot_names(self) -> list[str]:
        """Names under which slots are reported, in order of appearance."""
        refs = itertools.chain.from_iterable(self.slot_refs(expression.node) for expression in self.expressions)
        return list(dict.fromkeys(ref.name for ref in refs))

    def slot_refs(self, node: Node) -> Iterator[SlotRef]:
        """Yield every slot reference below node, macros followed."""
        if isinstance(node, SlotRef):
            yield node
        for child in self.children(node):
            yield from self.slot_refs(child)

    def children(self, node: Node) -> tuple[Node, ...]:
        if isinstance(node, MacroRef):
            return (self.macros[node.name],)
        return node.items if isinstance(node, Sequence | Choice) else ()

    def words(self) -> list[str]:
        """Every distinct word that the expressions use, sorted."""
        found: set[str] = set()
        for expression in self.expressions:
            self._collect_words(expression.node, found)
        return sorted(found)

    def _collect_words(self, node: Node, found: set[str]) -> None:
        if isinstance(node, Word):
            found.add(node.text)
        if isinstance(node, SlotRef):
            found.update(itertools.chain.from_iterable(self.slots[node.type]))
        for child in self.children(node):
            self._collect_words(child, found)

    # --- sampling ----------------------------------------------------------------------------

    def sentences(self, count: int, seed: int = 0) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Yield count random sentences as (text, intent, slots).

        Every pattern, then every alternative, is equally likely; an optional part is spoken half of
        the time. The same seed gives the same sentences.
        """
        chance = random.Random(seed)
        for _ in range(count):
            expression = chance.choice(self.expressions)
            tagged = list(self._speak(expression.node, chance))
            yield " ".join(symbol.text for symbol in tagged), expression.intent, tagged_slots(tagged)

    def _speak(self, node: Node, chance: random.Random) -> Iterator[Tagged]:
        if isinstance(node, Word):
            yield Tagged(node.text)
        elif isinstance(node, SlotRef):
            yield from tag_phrase(chance.choice(self.slots[node.type]), node.name)
        elif isinstance(node, Choice):
            if not (node.optional and chance.random() < 0.5):
                yield from self._speak(chance.choice(node.items), chance)
        else:
            for child in self.children(node):
                yield from self._speak(child, chance)

    # --- matching ------------------------------------------------------------------------------

    def accepts(self, words: str | list[str]) -> tuple[str, dict[str, str]] | None:
        """Return (intent, slots) if words are a sentence of the grammar, None otherwise.

        Args:
            words: a list of words, or a sentence; case does not matter.
        """
        spoken = [normalise_word(word) for word in (words.split() if isinstance(words, str) else words)]
        for expression in self.expressions:
            for end, tagged in self._match(expression.node, spoken, 0):
                if end == len(spoken):
                    return expression.intent, tagged_slots(list(tagged))
        return None

    def _match(self, node: Node, words: list[str], at: int) -> Iterator[tuple[int, tuple[Tagged, ...]]]:
        """Yield (end, symbols) for every way in which node matches words from position at."""
        if isinstance(node, Word):
            if words[at : at + 1] == [node.text]:
                yield at + 1, (Tagged(node.text),)
        elif isinstance(node, SlotRef):
            for phrase in self.slots[node.type]:
                if tuple(words[at : at + len(phrase)]) == phrase:
                    yield at + len(phrase), tuple(tag_phrase(phrase, node.name))
        elif isinstance(node, Sequence):
            yield from self._match_sequence(node.items, words, at)
        else:
            if isinstance(node, Choice) and node.optional:
                yield at, ()
            for child in self.children(node):
                yield from self._match(child, words, at)

    def _match_sequence(
        self, items: tuple[Node, ...], words: list[str], at: int
    ) -> Iterator[tuple[int, tuple[Tagged, ...]]]:
        if not items:
            yield at, ()
            return
        for middle, first in self._match(items[0], words, at):
            for end, rest in self._match_sequence(items[1:], words, middle):
                yield end, first + rest


def tag_phrase(phrase: Phrase, slot: str) -> list[Tagged]:
    """Tag the words of one slot value."""
    return [Tagged(word, slot, index == 0) for index, word in enumerate(phrase)]


def tagged_slots(symbols: list[Tagged]) -> dict[str, str]:
    """Collect slot values from tagged words."""
    values: dict[str, str] = {}
    for symbol in symbols:
        if symbol.slot:
            values[symbol.slot] = symbol.text if symbol.begin else f"{values[symbol.slot]} {symbol.text}"
    return values
