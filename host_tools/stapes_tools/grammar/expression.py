"""The expression language of a grammar file: words, [choices, of], (optional), $type:slot, @macro.

A recursive-descent parser; every node remembers where it stands in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import normalise_word


@dataclass(frozen=True)
class Where:
    """A place in a grammar file; prints as FILE:line:column, both counted from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Word:
    """One spoken word, lower case."""

    text: str
    where: Where


@dataclass(frozen=True)
class SlotRef:
    """$type:name: one phrase of slot list type, reported as name."""

    type: str
    name: str
    where: Where


@dataclass(frozen=True)
class MacroRef:
    """@name: whatever the macro matches."""

    name: str
    where: Where


@dataclass(frozen=True)
class Sequence:
    """Parts spoken one after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of several alternatives; optional: or none of them."""

    items: tuple[Node, ...]
    optional: bool = False


Node = Word | SlotRef | MacroRef | Sequence | Choice

Locate = Callable[[int], Where]

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<bracket>[\[\](),])"
    r"|\$(?P<slot>[A-Za-z_][\w.]*)(?::(?P<name>\w+))?"
    r"|@(?P<macro>\w+)"
    r"|(?P<word>[^\W\d_](?:[^\W\d_]|['\u2019-])*)"
)
_CLOSING = {"[": "]", "(": ")"}

# No sentence is so long or so deeply nested; beyond, a slip or an attack exhausts the stack.
MAX_PARTS = 200
MAX_DEPTH = 20


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    offset: int
    name: str = ""


def parse_expression(text: str, locate: Locate) -> Sequence:
    """Parse one sentence pattern.

    Args:
        text: the pattern, for instance "[make, brew] (me) a $size:size @drink".
        locate: maps an offset in text to its place in the file.
    Raises:
        UserError: the pattern is malformed; names file, line and column.
    """
    return _Parser(text, locate).parse()


class _Parser:
    def __init__(self, text: str, locate: Locate):
        self._text = text
        self._locate = locate
        self._tokens = _tokenise(text, locate)
        self._at = 0
        self._depth = 0

    def parse(self) -> Sequence:
        sequence = self._sequence(None)
        token = self._peek()
        if token is not None:
            if token.text == ",":
                advice = "put alternatives in brackets: [this, that]"
                raise self._error(token.offset, "a comma outside brackets", advice)
            raise self._error(
                token.offset, f"{token.text!r} closes nothing", f"remove it, or open it: {_opener(token)}"
            )
        if not sequence.items:
            raise self._error(0, "the expression is empty", "write a sentence, or remove the line")
        return sequence

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _sequence(self, opening: _Token | None) -> Sequence:
        """Parse parts up to a comma, a closing bracket or the end."""
        items: list[Node] = []
        while (token := self._peek()) is not None:
            if token.text in (",", "]", ")") and token.kind == "bracket":
                break
            if len(items) == MAX_PARTS:
                raise self._error(token.offset, f"more than {MAX_PARTS} parts in a row", "split the sentence")
            self._at += 1
            items.append(self._choice(token) if token.kind == "bracket" else self._leaf(token))
        if opening is not None and not items and self._peek() is not None:
            offset = self._tokens[self._at].offset
            raise self._error(offset, "an alternative is empty", "write words there, or make it (optional)")
        return Sequence(tuple(items))

    def _choice(self, opening: _Token) -> Choice:
        closing = _CLOSING[opening.text]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(opening.offset, f"brackets nest more than {MAX_DEPTH} deep", "use a @macro, or fewer")
        items = [self._sequence(opening)]
        while (token := self._peek()) is not None:
            self._at += 1
            if token.text == ",":
                items.append(self._sequence(opening))
            elif token.text == closing:
                self._depth -= 1
                return Choice(tuple(items), optional=opening.text == "(")
            else:
                advice = f"close it with {closing!r} first"
                raise self._error(token.offset, f"{token.text!r} does not close {opening.text!r}", advice)
        raise self._error(opening.offset, f"{opening.text!r} is never closed", f"add {closing!r}")

    def _leaf(self, token: _Token) -> Node:
        where = self._locate(token.offset)
        if token.kind == "word":
            return Word(normalise_word(token.text), where)
        if token.kind == "macro":
            return MacroRef(token.text, where)
        if not token.name:
            advice = f"write ${token.text}:NAME, for instance ${token.text}:{token.text.split('.')[-1]}"
            raise self._error(token.offset, f"the slot ${token.text} has no name", advice)
        return SlotRef(token.text, token.name, where)

    def _error(self, offset: int, what: str, advice: str) -> UserError:
        return UserError(what, path=self._locate(offset), advice=advice)


def _tokenise(text: str, locate: Locate) -> list[_Token]:
    tokens = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise _bad_character(text[offset], locate(offset))
        kind = next(name for name in ("space", "bracket", "slot", "macro", "word") if match.group(name))
        if kind != "space":
            tokens.append(_Token(kind, match.group(kind), offset, match.group("name") or ""))
        offset = match.end()
    return tokens


def _bad_character(character: str, where: Where) -> UserError:
    if character.isdigit():
        advice = "write numbers as words, or use a slot such as $pv.TwoDigitInteger:count"
    elif character in "$@":
        advice = f"write a name after {character!r}: {'$size:size' if character == '$' else '@please'}"
    elif character in '.,;:!?"':
        advice = "leave punctuation out: it is not spoken"
    else:
        advice = "use letters, apostrophes, hyphens, [a, b], (optional), $type:slot and @macro"
    return UserError(f"{character!r} cannot stand in an expression", path=where, advice=advice)


def _opener(token: _Token) -> str:
    return "[" if token.text == "]" else "("
