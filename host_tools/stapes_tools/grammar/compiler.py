"""Compiles a grammar into a command graph over phones.

Words first: the patterns become a minimal deterministic automaton over tagged words. Then each word
is spelt out in phones, its symbol and weight on its last phone, and the result is made deterministic
and minimal again over (phone, word, weight) labels, so that words share prefixes and suffixes. What does
not suit the article before it pays on its first phone, so that the rest of it is shared, too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import stapes_spec as spec

from stapes_tools.errors import UserError
from stapes_tools.grammar.articles import SLIP_WEIGHT, free_choices, suits
from stapes_tools.grammar.automaton import EPSILON, Automaton, Builder
from stapes_tools.grammar.expression import Choice, Node, Sequence, SlotRef, Word
from stapes_tools.grammar.grammar import Grammar, Tagged, tag_phrase, tagged_slots
from stapes_tools.grammar.graph import Arc, Graph
from stapes_tools.grammar.lexicon import Pronunciation
from stapes_tools.grammar.reader import read_grammar
from stapes_tools.grammar.units import UNIT_INDEX

# No board holds more; refused before the determinisation runs out of memory.
_MAX_WORD_ARCS = 200_000
_MAX_PHONE_ARCS = 2_000_000


@dataclass(frozen=True)
class WordGraph:
    """The minimal automaton over words.

    Attributes:
        automaton: labels are 1 + index into symbols; the last state is reached by intents only.
        symbols: tagged words (Tagged), then intents (str), each part sorted.
    """

    automaton: Automaton
    symbols: list[Tagged | str]

    def leaving(self, state: int) -> Iterator[tuple[Tagged | str, int]]:
        for label, target in self.automaton.arcs[state]:
            yield self.symbols[label - 1], target


@dataclass(frozen=True)
class Compiled:
    """A compiled grammar: the graph and what the compiler noticed."""

    graph: Graph
    warnings: list[str] = field(default_factory=list)


def compile_grammar(path: str | Path) -> bytes:
    """Compile a grammar file and return the bytes of the .stg file; equal files give equal bytes.

    Raises:
        UserError: the grammar is wrong, ambiguous between intents, or too large for a board.
    """
    return compile_graph(read_grammar(path)).graph.to_bytes()


def compile_graph(grammar: Grammar) -> Compiled:
    """Compile a grammar that has been read. Raises as compile_grammar does."""
    words = word_graph(grammar)
    warnings = [*grammar.warnings, *_check_ambiguity(grammar, words)]
    graph = _phone_graph(grammar, words)
    try:
        graph.to_bytes()
    except UserError as error:
        raise UserError(error.what, path=grammar.path, advice=error.advice) from None
    return Compiled(graph, warnings)


# --- words -----------------------------------------------------------------------------------


def word_graph(grammar: Grammar) -> WordGraph:
    """Return the minimal automaton of the grammar's sentences, each followed by its intent."""
    found: set[Tagged] = set()
    for expression in grammar.expressions:
        found.update(_symbols(grammar, expression.node))
    symbols: list[Tagged | str] = [*sorted(found), *sorted(grammar.intents)]
    labels = {symbol: index + 1 for index, symbol in enumerate(symbols)}
    spelling = _WordSpelling(grammar, labels)
    for expression in grammar.expressions:
        spelling.add(expression.node, expression.intent)
    return WordGraph(spelling.builder.minimal(), symbols)


def _symbols(grammar: Grammar, node: Node) -> Iterator[Tagged]:
    if isinstance(node, Word):
        yield Tagged(node.text)
    elif isinstance(node, SlotRef):
        for phrase in grammar.slots[node.type]:
            yield from tag_phrase(phrase, node.name)
    for child in grammar.children(node):
        yield from _symbols(grammar, child)


class _WordSpelling:
    """Adds patterns to a non-deterministic automaton over words."""

    def __init__(self, grammar: Grammar, labels: dict[Tagged | str, int]):
        self.builder = Builder()
        self._grammar = grammar
        self._labels = labels
        self._arcs = 0

    def add(self, node: Node, intent: str) -> None:
        end = self.builder.state()
        self._spell(node, self.builder.start, end)
        self.builder.arc(end, self._labels[intent], self.builder.end)

    def _arc(self, source: int, label: int, target: int) -> None:
        self._arcs += 1
        if self._arcs > _MAX_WORD_ARCS:
            raise _too_large(self._grammar, f"more than {_MAX_WORD_ARCS} words in its sentences")
        self.builder.arc(source, label, target)

    def _spell(self, node: Node, source: int, target: int) -> None:
        if isinstance(node, Word):
            self._arc(source, self._labels[Tagged(node.text)], target)
        elif isinstance(node, SlotRef):
            for phrase in self._grammar.slots[node.type]:
                self._spell_chain([self._labels[word] for word in tag_phrase(phrase, node.name)], source, target)
        elif isinstance(node, Sequence):
            for item in node.items:
                middle = self.builder.state()
                self._spell(item, source, middle)
                source = middle
            self._arc(source, EPSILON, target)
        else:
            for child in self._grammar.children(node):
                self._spell(child, source, target)
            if isinstance(node, Choice) and node.optional:
                self._arc(source, EPSILON, target)

    def _spell_chain(self, labels: list[int], source: int, target: int) -> None:
        for label in labels[:-1]:
            middle = self.builder.state()
            self._arc(source, label, middle)
            source = middle
        self._arc(source, labels[-1], target)


# --- ambiguity ---------------------------------------------------------------------------------

_Pair = tuple[int, int, bool]


def _check_ambiguity(grammar: Grammar, words: WordGraph) -> list[str]:
    """Refuse a sentence with two intents; return a warning for each slot reading that competes.

    Walks pairs of paths that spell the same text, breadth first, so that examples are short.
    """
    start: _Pair = (0, 0, False)
    came: dict[_Pair, tuple[_Pair, Tagged, Tagged] | None] = {start: None}
    queue = deque([start])
    warned: dict[tuple[str, ...], str] = {}
    while queue:
        pair = queue.popleft()
        first, second = _intents(words, pair[0]), _intents(words, pair[1])
        if first and second and (pair[2] or first != second or len(first) > 1):
            left, right = _trace(came, pair)
            text = " ".join(symbol.text for symbol in left)
            names = sorted(first | second)
            if len(names) > 1:
                what = f"the sentence {text!r} belongs to two intents, {names[0]!r} and {names[1]!r}"
                raise UserError(what, path=grammar.path, advice="take it out of one of them")
            key = tuple(
                sorted({symbol.slot for symbol in (*left, *right) if symbol not in left or symbol not in right})
            )
            readings = f"{tagged_slots(left)} or {tagged_slots(right)}"
            warned.setdefault(key, f"{grammar.path}: {text!r} can be read in two ways: {readings}")
        for step in _same_text_steps(words, pair):
            if step[0] not in came:
                came[step[0]] = (pair, *step[1:])
                queue.append(step[0])
    return list(warned.values())


def _intents(words: WordGraph, state: int) -> set[str]:
    return {symbol for symbol, _ in words.leaving(state) if isinstance(symbol, str)}


def _same_text_steps(words: WordGraph, pair: _Pair) -> Iterator[tuple[_Pair, Tagged, Tagged]]:
    by_text: dict[str, list[tuple[Tagged, int]]] = {}
    for symbol, target in words.leaving(pair[1]):
        if isinstance(symbol, Tagged):
            by_text.setdefault(symbol.text, []).append((symbol, target))
    for left, left_target in words.leaving(pair[0]):
        if isinstance(left, str):
            continue
        for right, right_target in by_text.get(left.text, []):
            differ = pair[2] or left != right
            if differ and left_target > right_target:
                yield (right_target, left_target, differ), right, left
            else:
                yield (left_target, right_target, differ), left, right


def _trace(came: dict[_Pair, tuple[_Pair, Tagged, Tagged] | None], pair: _Pair) -> tuple[list[Tagged], list[Tagged]]:
    left: list[Tagged] = []
    right: list[Tagged] = []
    while (step := came[pair]) is not None:
        pair = step[0]
        left.append(step[1])
        right.append(step[2])
    return left[::-1], right[::-1]


# --- phones ------------------------------------------------------------------------------------

# What an arc carries: unit, word index or -1, weight; or an intent in its first place.
_Label = tuple[int, int, int]
_INTENT_UNIT = 255
# A state of the word graph; after a or an, where both may stand, with whether a vowel is expected.
_Place = tuple[int, bool | None]


def _phone_graph(grammar: Grammar, words: WordGraph) -> Graph:
    tagged = [symbol for symbol in words.symbols if isinstance(symbol, Tagged)]
    intents = [symbol for symbol in words.symbols if isinstance(symbol, str)]
    spelled = list(_spell_words(grammar, words, len(tagged)))
    labels = sorted({label for _, phones, _ in spelled for label in phones})
    numbers = {label: index + 1 for index, label in enumerate(labels)}
    builder = Builder()
    states: dict[_Place, int] = {(0, None): builder.start}
    for source, phones, target in spelled:
        at = _state(states, source, builder)
        for label in phones[:-1]:
            middle = builder.state()
            builder.arc(at, numbers[label], middle)
            at = middle
        last_is_intent = phones[-1][0] == _INTENT_UNIT
        builder.arc(at, numbers[phones[-1]], builder.end if last_is_intent else _state(states, target, builder))
    return _strip_intents(builder.minimal(), labels, tagged, intents)


def _state(states: dict[_Place, int], place: _Place, builder: Builder) -> int:
    if place not in states:
        states[place] = builder.state()
    return states[place]


def _spell_words(grammar: Grammar, words: WordGraph, intent_base: int) -> Iterator[tuple[_Place, list[_Label], _Place]]:
    """Yield (place, labels, next place) for each pronunciation of each word, and for each intent."""
    count = 0
    for place in _places(words):
        state, expects_vowel = place
        leaving = words.automaton.arcs[state]
        articles = free_choices(words.leaving(state))
        choices = sum(label <= intent_base for label, _ in leaving)
        weight = -round(math.log(max(choices, 1)) * (1 << spec.Q_LOG_PROB_FRACTION_BITS))
        for label, target in leaving:
            symbol = words.symbols[label - 1]
            if isinstance(symbol, str):
                yield place, [(_INTENT_UNIT, label - 1 - intent_base, 0)], (target, None)
                continue
            for phones in grammar.lexicon.pronunciations(symbol.text):
                count += len(phones)
                if count > _MAX_PHONE_ARCS:
                    raise _too_large(grammar, f"more than {_MAX_PHONE_ARCS} phones in its sentences")
                slip = 0 if expects_vowel is None or suits(expects_vowel, phones) else SLIP_WEIGHT
                yield place, _labelled(phones, label - 1, weight, slip), (target, articles.get(symbol))


def _places(words: WordGraph) -> list[_Place]:
    """Every state, and once more for each article that may lead to it."""
    found: list[_Place] = [(state, None) for state in range(len(words.automaton.arcs))]
    for state in range(len(words.automaton.arcs)):
        articles = free_choices(words.leaving(state))
        found += [(target, articles[symbol]) for symbol, target in words.leaving(state) if symbol in articles]
    return list(dict.fromkeys(found))


def _labelled(phones: Pronunciation, word: int, weight: int, first_weight: int) -> list[_Label]:
    """A word's phones, itself and weight on the last of them, first_weight on the first."""
    outputs, weights = [-1] * len(phones), [0] * len(phones)
    outputs[-1] = word
    weights[0] += first_weight
    weights[-1] += weight
    return list(zip((UNIT_INDEX[phone] for phone in phones), outputs, weights, strict=True))


def _strip_intents(automaton: Automaton, labels: list[_Label], tagged: list[Tagged], intents: list[str]) -> Graph:
    """Turn intent arcs into final states and drop the state they lead to."""
    end = next(state for state, leaving in enumerate(automaton.arcs) if not leaving)
    kept = [state for state in range(len(automaton.arcs)) if state != end]
    number = {state: index for index, state in enumerate(kept)}
    arcs: list[list[Arc]] = []
    finals: list[str | None] = []
    for state in kept:
        final = None
        leaving = []
        for label, target in automaton.arcs[state]:
            unit, word, weight = labels[label - 1]
            if unit == _INTENT_UNIT:
                final = intents[word]
            else:
                leaving.append(Arc(unit, None if word < 0 else word, weight, number[target]))
        arcs.append(leaving)
        finals.append(final)
    return Graph(arcs, finals, tagged)


def _too_large(grammar: Grammar, detail: str) -> UserError:
    _, _, text, advice = spec.ERRORS[spec.ERROR_GRAPH_SIZE]
    return UserError(f"{text}: {detail}", path=grammar.path, advice=advice)
