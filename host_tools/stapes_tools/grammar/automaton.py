"""Minimal deterministic acyclic automata over integer labels, by OpenFst (kaldifst)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import kaldifst

EPSILON = 0


@dataclass(frozen=True)
class Automaton:
    """arcs[state] = sorted (label, next state); state 0 starts; the only final state has no arcs."""

    arcs: list[list[tuple[int, int]]]

    @property
    def arc_count(self) -> int:
        return sum(len(leaving) for leaving in self.arcs)


class Builder:
    """Collects the states and arcs of a non-deterministic automaton; label 0 is epsilon."""

    def __init__(self) -> None:
        self._fst = kaldifst.StdVectorFst()
        self.start = self.state()
        self.end = self.state()
        self._fst.start = self.start
        self._fst.set_final(self.end, 0.0)

    def state(self) -> int:
        return self._fst.add_state()

    def arc(self, source: int, label: int, target: int) -> None:
        self._fst.add_arc(source, kaldifst.StdArc(label, label, 0.0, target))

    def minimal(self) -> Automaton:
        """Return the minimal automaton of the language, numbered breadth first in label order.

        The minimal automaton is unique and so is this numbering: equal languages give equal results.
        """
        fst = self._fst
        kaldifst.rmepsilon(fst)
        kaldifst.connect(fst)
        fst = kaldifst.determinize(fst)
        kaldifst.minimize(fst)
        return _renumber(fst)


def _renumber(fst: kaldifst.StdVectorFst) -> Automaton:
    number = {fst.start: 0}
    queue = deque([fst.start])
    arcs: list[list[tuple[int, int]]] = []
    while queue:
        state = queue.popleft()
        leaving = sorted((arc.ilabel, arc.nextstate) for arc in kaldifst.ArcIterator(fst, state))
        for _, target in leaving:
            if target not in number:
                number[target] = len(number)
                queue.append(target)
        arcs.append([(label, number[target]) for label, target in leaving])
    return Automaton(arcs)
