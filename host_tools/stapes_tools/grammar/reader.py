"""Reads grammar files: the YAML format of Picovoice Rhino contexts, with a map of pronunciations."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from stapes_tools.errors import UserError
from stapes_tools.grammar.builtin import builtin_slots
from stapes_tools.grammar.expression import Choice, MacroRef, Node, Sequence, SlotRef, Where, Word, parse_expression
from stapes_tools.grammar.grammar import Expression, Grammar, Phrase
from stapes_tools.grammar.lexicon import Lexicon, UnknownWordError, normalise_word

# A slot with more phrases than this does not fit the board; the pattern that makes them is a slip.
MAX_SLOT_PHRASES = 5000
# Nor does a sentence pattern with more words, its macros written out.
MAX_PATTERN_WORDS = 50_000
_MAX_MACRO_DEPTH = 20
_MAX_FILE_BYTES = 4 << 20


def read_grammar(path: str | Path) -> Grammar:
    """Read and check a grammar file.

    Raises:
        UserError: with file, line and column, for anything that cannot be compiled.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path, advice="check the name") from None
    if len(data) > _MAX_FILE_BYTES:
        raise UserError("is larger than 4 MB", path=path, advice="give a grammar file (YAML)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text at byte {error.start}", path=path, advice="save it as UTF-8") from None
    return parse_grammar(text, str(path))


def parse_grammar(text: str, path: str = "<grammar>") -> Grammar:
    """Read a grammar from text; path is for messages only. Raises as read_grammar does."""
    return _Reader(path, text).read()


class _Reader:
    def __init__(self, path: str, text: str):
        self._path = path
        self._lines = text.splitlines()
        self._root = self._compose(text)
        self._warnings: list[str] = []
        self._slots: dict[str, list[Phrase]] = {}
        self._slot_places: dict[str, dict[str, Where]] = {}
        self._macros: dict[str, Choice] = {}
        self._macro_sizes: dict[str, int] = {}
        self._used: set[tuple[str, str]] = set()

    def read(self) -> Grammar:
        top = self._mapping(self._root, "the file")
        self._refuse_strangers(top, ("context", "pronunciations"), "the file")
        if "context" not in top:
            raise self._fail(self._root, "there is no `context:`", "start the file with `context:` and `expressions:`")
        context = self._mapping(top["context"], "`context:`")
        self._refuse_strangers(context, ("expressions", "slots", "macros"), "`context:`")
        if "expressions" not in context:
            raise self._fail(top["context"], "there are no `expressions:`", "add intents and their sentences")
        lexicon, own = self._read_pronunciations(top.get("pronunciations"))
        self._read_macros(context.get("macros"))
        self._read_slots(context.get("slots"))
        expressions = self._read_expressions(context["expressions"])
        self._check_words(expressions, lexicon)
        self._warn_unused(context, own, expressions)
        return Grammar(self._path, tuple(expressions), self._slots, self._macros, lexicon, tuple(self._warnings))

    # --- YAML ---------------------------------------------------------------------------------

    def _compose(self, text: str) -> yaml.Node:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = self._place(mark.line, mark.column) if mark else self._path
            what = f"is not valid YAML: {error.problem or error.context}"
            raise UserError(what, path=where, advice="check the indentation and the quotes there") from None
        except (yaml.YAMLError, RecursionError) as error:
            what = f"is not valid YAML: {str(error).splitlines()[0]}"
            raise UserError(what, path=self._path, advice="save it as plain UTF-8 text") from None
        if root is None:
            raise UserError("the grammar is empty", path=self._path, advice="write `context:` and `expressions:`")
        return root

    def _place(self, line: int, column: int) -> Where:
        return Where(self._path, line + 1, column + 1)

    def _where(self, node: yaml.Node) -> Where:
        return self._place(node.start_mark.line, node.start_mark.column)

    def _fail(self, node: yaml.Node, what: str, advice: str) -> UserError:
        return UserError(what, path=self._where(node), advice=advice)

    def _mapping(self, node: yaml.Node, name: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._fail(node, f"{name} is not a map of names", "write lines such as `name:` below it")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            text = self._scalar(key, "a name")
            if text in found:
                raise self._fail(key, f"{text!r} appears twice in {name}", "join the two, or rename one")
            found[text] = value
        return found

    def _scalar(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._fail(node, f"{name} is not plain text", "put quotes around it if it starts with [ or {")
        return node.value

    def _sequence(self, node: yaml.Node, name: str) -> list[yaml.Node]:
        if isinstance(node, yaml.ScalarNode) and node.value:
            return [node]
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        if not items:
            raise self._fail(node, f"{name} is empty", "add lines such as `- words to say`, or remove it")
        return items

    def _locator(self, node: yaml.ScalarNode):
        """Return the map from an offset in a scalar's text to its place in the file."""
        mark = node.start_mark
        start = mark.column + (1 if node.style in ("'", '"') else 0)
        line = self._lines[mark.line] if mark.line < len(self._lines) else ""
        # Folded, escaped and block scalars do not stand in the file as they read: name their start.
        verbatim = line[start : start + len(node.value)] == node.value
        return lambda offset: self._place(mark.line, start + (offset if verbatim else 0))

    def _refuse_strangers(self, found: dict[str, yaml.Node], known: Iterable[str], name: str) -> None:
        for key, node in found.items():
            if key not in known:
                near = difflib.get_close_matches(key, list(known), n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
                raise self._fail(node, f"{key!r} is unknown in {name}", advice)

    def _parse(self, node: yaml.Node, name: str) -> Sequence:
        text = self._scalar(node, name)
        assert isinstance(node, yaml.ScalarNode)
        return parse_expression(text, self._locator(node))

    # --- sections -----------------------------------------------------------------------------

    def _read_pronunciations(self, node: yaml.Node | None) -> tuple[Lexicon, dict[str, Where]]:
        entries = self._mapping(node, "`pronunciations:`") if node is not None else {}
        extra: dict[str, object] = {}
        for word, value in entries.items():
            variants = [self._scalar(item, "a pronunciation") for item in self._sequence(value, f"{word!r}")]
            try:
                Lexicon({word: variants})
            except UserError as error:
                raise self._fail(value, error.what, error.advice) from None
            extra[word] = variants
        return Lexicon(extra), {normalise_word(word): self._where(value) for word, value in entries.items()}

    def _read_macros(self, node: yaml.Node | None) -> None:
        entries = self._mapping(node, "`macros:`") if node is not None else {}
        for name, value in entries.items():
            items = [self._parse(item, "a macro's phrase") for item in self._sequence(value, f"the macro {name!r}")]
            self._macros[name] = Choice(tuple(items))
        for name in self._macros:
            self._measure_macro(name, [])

    def _measure_macro(self, name: str, above: list[str]) -> int:
        """Return the words of a macro written out; refuse recursion and what would fill the memory."""
        if name not in self._macro_sizes:
            for ref in _macro_refs(self._macros[name]):
                self._check_macro(ref)
                chain = [*above, name, ref.name]
                if ref.name in chain[:-1]:
                    what = f"a macro contains itself: {' -> '.join('@' + link for link in chain)}"
                    raise UserError(what, path=ref.where, advice="remove one of these uses")
                if len(chain) > _MAX_MACRO_DEPTH:
                    what = f"macros nest more than {_MAX_MACRO_DEPTH} deep"
                    raise UserError(what, path=ref.where, advice="write some of them out")
                self._measure_macro(ref.name, chain[:-1])
            self._macro_sizes[name] = self._measure(self._macros[name])
        return self._macro_sizes[name]

    def _measure(self, node: Node) -> int:
        """Return the number of words and slots below node, macros (measured before) written out."""
        if isinstance(node, MacroRef):
            self._check_macro(node)
            size = self._macro_sizes[node.name]
            if size > MAX_PATTERN_WORDS:
                what = f"the macro @{node.name} stands for more than {MAX_PATTERN_WORDS} words"
                raise UserError(what, path=node.where, advice="use it less often inside other macros")
            return size
        if isinstance(node, Sequence | Choice):
            return sum(self._measure(child) for child in node.items)
        return 1

    def _read_slots(self, node: yaml.Node | None) -> None:
        entries = self._mapping(node, "`slots:`") if node is not None else {}
        self._slots = builtin_slots()
        for name, value in entries.items():
            if name.startswith("pv."):
                raise self._fail(value, f"{name!r} is a built-in slot type", "give your slot another name")
            self._slot_places[name] = {}
            phrases: list[Phrase] = []
            for item in self._sequence(value, f"the slot {name!r}"):
                parsed = self._parse(item, "a slot's phrase")
                self._measure(parsed)
                self._refuse_slots(parsed)
                for phrase in self._phrases(parsed, item):
                    phrases.append(phrase)
                    self._remember_words(name, phrase, self._where(item))
            self._slots[name] = list(dict.fromkeys(phrases))
            if len(self._slots[name]) < len(phrases):
                self._warnings.append(f"{self._where(value)}: the slot {name!r} lists a phrase twice")

    def _remember_words(self, slot: str, phrase: Phrase, where: Where) -> None:
        for word in phrase:
            self._slot_places[slot].setdefault(word, where)

    def _refuse_slots(self, node: Node) -> None:
        if isinstance(node, SlotRef):
            raise UserError(f"the slot ${node.type} stands inside a slot", path=node.where, advice="use a @macro")
        for child in self._children(node):
            self._refuse_slots(child)

    def _phrases(self, node: Node, item: yaml.Node) -> list[Phrase]:
        phrases = list(itertools.islice(self._expand(node), MAX_SLOT_PHRASES + 1))
        if len(phrases) > MAX_SLOT_PHRASES:
            what = f"this phrase stands for more than {MAX_SLOT_PHRASES} values"
            raise self._fail(item, what, "move parts of it out of the slot")
        if () in phrases:
            raise self._fail(item, "a slot's phrase may be empty", "leave at least one word that is not optional")
        return phrases

    def _expand(self, node: Node) -> Iterator[Phrase]:
        """Yield every phrase that node can spell; node holds no slots."""
        if isinstance(node, Word):
            yield (node.text,)
        elif isinstance(node, Sequence):
            if not node.items:
                yield ()
                return
            for first in self._expand(node.items[0]):
                for rest in self._expand(Sequence(node.items[1:])):
                    yield first + rest
        else:
            if isinstance(node, Choice) and node.optional:
                yield ()
            for child in self._children(node):
                yield from self._expand(child)

    def _children(self, node: Node) -> tuple[Node, ...]:
        if isinstance(node, MacroRef):
            self._check_macro(node)
            return (self._macros[node.name],)
        return node.items if isinstance(node, Sequence | Choice) else ()

    def _read_expressions(self, node: yaml.Node) -> list[Expression]:
        expressions = []
        intents = self._mapping(node, "`expressions:`")
        if not intents:
            raise self._fail(node, "`expressions:` is empty", "add an intent and its sentences")
        for intent, value in intents.items():
            if not intent.strip() or not intent.isprintable():
                raise self._fail(value, f"the intent {intent!r} cannot be printed", "give it a name of letters")
            for item in self._sequence(value, f"the intent {intent!r}"):
                parsed = self._parse(item, "a sentence")
                if self._measure(parsed) > MAX_PATTERN_WORDS:
                    advice = "use fewer macros in it"
                    raise self._fail(item, f"this sentence stands for more than {MAX_PATTERN_WORDS} words", advice)
                self._check_references(parsed)
                self._check_slot_counts(parsed)
                if self._may_be_empty(parsed):
                    advice = "leave at least one word that is not optional"
                    raise self._fail(item, "this sentence may be empty", advice)
                expressions.append(Expression(intent, parsed, self._where(item)))
        return expressions

    # --- checks -------------------------------------------------------------------------------

    def _check_macro(self, ref: MacroRef) -> None:
        self._used.add(("macro", ref.name))
        if ref.name not in self._macros:
            raise UserError(
                f"there is no macro @{ref.name}",
                path=ref.where,
                advice=_near(ref.name, self._macros) + "define it under `macros:`",
            )

    def _check_references(self, node: Node) -> None:
        if isinstance(node, SlotRef):
            self._used.add(("slot", node.type))
            if node.type not in self._slots:
                advice = _near(node.type, self._slots) + "define it under `slots:`"
                if node.type.startswith("pv."):
                    known = ", ".join(name for name in self._slots if name.startswith("pv."))
                    advice = f"built-in slots are {known}; list other values under `slots:`"
                raise UserError(f"there is no slot ${node.type}", path=node.where, advice=advice)
        for child in self._children(node):
            self._check_references(child)

    def _check_slot_counts(self, node: Node) -> dict[str, SlotRef]:
        """Return the slot names that one sentence may fill; refuse one that it may fill twice."""
        found: dict[str, SlotRef] = {}
        if isinstance(node, SlotRef):
            found[node.name] = node
        for child in self._children(node):
            below = self._check_slot_counts(child)
            if isinstance(node, Sequence):
                for name in below.keys() & found.keys():
                    what = f"the slot name {name!r} may be filled twice in one sentence"
                    advice = f"give the second another name: ${below[name].type}:{name}2"
                    raise UserError(what, path=below[name].where, advice=advice)
            found.update(below)
        return found

    def _may_be_empty(self, node: Node) -> bool:
        if isinstance(node, Word | SlotRef):
            return False
        below = [self._may_be_empty(child) for child in self._children(node)]
        if isinstance(node, Sequence):
            return all(below)
        return any(below) or (isinstance(node, Choice) and node.optional)

    def _check_words(self, expressions: list[Expression], lexicon: Lexicon) -> None:
        """Refuse words that cannot be pronounced, naming the first place of each."""
        for word, where in self._word_places(expressions).items():
            if word not in lexicon:
                try:
                    lexicon.pronunciations(word)
                except UnknownWordError as error:
                    raise UnknownWordError(error.word, error.suggestions, path=where) from None

    def _word_places(self, expressions: list[Expression]) -> dict[str, Where]:
        places: dict[str, Where] = {}
        nodes: list[Node] = [*(expression.node for expression in expressions), *self._macros.values()]
        for node in nodes:
            for word in _own_words(node):
                places.setdefault(word.text, word.where)
        for words in self._slot_places.values():
            for text, where in words.items():
                places.setdefault(text, where)
        return places

    def _warn_unused(self, context: dict[str, yaml.Node], own: dict[str, Where], expressions: list[Expression]) -> None:
        for section, kind in (("slots", "slot"), ("macros", "macro")):
            entries = self._mapping(context[section], f"`{section}:`") if section in context else {}
            for name, node in entries.items():
                if (kind, name) not in self._used:
                    self._warnings.append(f"{self._where(node)}: the {kind} {name!r} is never used")
        spoken = self._word_places(expressions)
        for word, where in own.items():
            if word not in spoken:
                self._warnings.append(f"{where}: the word {word!r} has a pronunciation but is never used")


def _macro_refs(node: Node) -> Iterator[MacroRef]:
    if isinstance(node, MacroRef):
        yield node
    elif isinstance(node, Sequence | Choice):
        for child in node.items:
            yield from _macro_refs(child)


def _own_words(node: Node) -> Iterator[Word]:
    """Yield the words written below node itself, references not followed."""
    if isinstance(node, Word):
        yield node
    elif isinstance(node, Sequence | Choice):
        for child in node.items:
            yield from _own_words(child)


def _near(name: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {match[0]!r}? Otherwise " if match else ""
