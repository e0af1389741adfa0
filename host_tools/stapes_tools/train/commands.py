"""A command grammar as the discriminative loss sees it: arrays over states that remember their last unit.

The board's predictor looks at the last unit only, so a state of the compiled graph together with the unit that led to
it decides what the joint network says there; the expanded graph has one state for each such pair. For a network that
does without the unit (stapes_tools.train.context) the states stay as they are compiled.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import stapes_spec as spec

from stapes_tools.grammar.compiler import compile_graph, word_graph
from stapes_tools.grammar.grammar import Tagged
from stapes_tools.grammar.graph import Graph
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.reader import read_grammar


@dataclass(frozen=True)
class CommandGraph:
    """All sentences of a grammar.

    Attributes:
        source, target: int32 [A], states of every arc; state 0 starts.
        pair: int32 [A], of every arc, index into pairs.
        log_weight: float32 [A], of every arc, nats, at most 0.
        pairs: int32 [P, 2], the (unit before, unit) that occur.
        before: int32 [S], the last unit of every state, 0 at the start; 0 everywhere without context.
        final: bool [S], where a sentence may end.
    """

    source: np.ndarray
    target: np.ndarray
    pair: np.ndarray
    log_weight: np.ndarray
    pairs: np.ndarray
    before: np.ndarray
    final: np.ndarray

    def log_weight_of(self, units: Iterable[int]) -> float | None:
        """Nats of a sequence of units, all its paths added up; None where the grammar does not hold it."""
        reached = {0: 0.0}
        for unit in units:
            ahead: dict[int, float] = {}
            for state, score in reached.items():
                for arc in self._leaving(state):
                    if self.pairs[self.pair[arc], 1] == unit:
                        target = int(self.target[arc])
                        there = float(np.logaddexp(ahead.get(target, -math.inf), score + self.log_weight[arc]))
                        ahead[target] = there
            reached = ahead
        ends = [score for state, score in reached.items() if self.final[state]]
        return float(np.logaddexp.reduce(ends)) if ends else None

    def _leaving(self, state: int) -> range:
        first, last = np.searchsorted(self.source, (state, state + 1))
        return range(first, last)


def command_graph(graph: Graph, *, hears_context: bool = True) -> CommandGraph:
    """Expand a compiled graph; its arcs are sorted by their source.

    Args:
        graph: compiled.
        hears_context: whether the network's joint depends on the last unit; if not, nothing is expanded.
    """
    number = {(graph.start, 0): 0}
    queue = [(graph.start, 0)]
    arcs: list[tuple[int, int, tuple[int, int], float]] = []
    for state, before in queue:  # which grows meanwhile: breadth first, so that sources rise
        for arc in graph.arcs[state]:
            reached = (arc.next_state, arc.unit if hears_context else 0)
            if reached not in number:
                number[reached] = len(number)
                queue.append(reached)
            nats = arc.weight / (1 << spec.Q_LOG_PROB_FRACTION_BITS)
            arcs.append((number[state, before], number[reached], (before, arc.unit), nats))
    pairs = sorted({pair for _, _, pair, _ in arcs})
    index = {pair: place for place, pair in enumerate(pairs)}
    return CommandGraph(
        np.array([source for source, *_ in arcs], np.int32),
        np.array([target for _, target, *_ in arcs], np.int32),
        np.array([index[pair] for _, _, pair, _ in arcs], np.int32),
        np.array([nats for *_, nats in arcs], np.float32),
        np.array(pairs, np.int32),
        np.array([before for _, before in queue], np.int32),
        np.array([graph.finals[state] is not None for state, _ in queue]),
    )


def training_graph(path: Path, lexicon: Lexicon, *, hears_context: bool = True) -> CommandGraph:
    """The sentences of a grammar file, spelt as the training labels are: every word by its first pronunciation.

    Words that only the grammar knows are in no label; they keep the grammar's first pronunciation. hears_context: see
    command_graph.

    Raises:
        UserError: the grammar is wrong, or a word has no pronunciation.
    """
    grammar = read_grammar(path)
    words = {symbol.text for symbol in word_graph(grammar).symbols if isinstance(symbol, Tagged)}
    spelt = {word: (lexicon if word in lexicon else grammar.lexicon).pronunciations(word)[0] for word in sorted(words)}
    compiled = compile_graph(replace(grammar, lexicon=Lexicon(spelt))).graph
    return command_graph(compiled, hears_context=hears_context)
