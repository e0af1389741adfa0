"""Kaldi's text form of a lattice, as `lattice-copy ark:- ark,t:-` prints it."""

from __future__ import annotations

from stapes_tools.lattice.lattice import Lattice

EPSILON = "<eps>"


def word_ids(lattice: Lattice) -> dict[str, int]:
    """Number the distinct words from 1, in the order of the lattice's table; 0 is epsilon."""
    texts = dict.fromkeys(word.text for word in lattice.words)
    return {text: number for number, text in enumerate(texts, start=1)}


def kaldi_words(lattice: Lattice) -> str:
    """Return Kaldi's words.txt for the lattice: one `word number` a line."""
    return "".join(f"{text} {number}\n" for text, number in {EPSILON: 0, **word_ids(lattice)}.items())


def to_kaldi(lattice: Lattice) -> str:
    """Return one archive entry in Kaldi's text form: key, `from to label label graph,acoustic` lines, blank line.

    Costs are negated natural logs: graph from the language and context scores, acoustic from the acoustic one. A
    word's label stands on both sides. Times have no place in this form, which counts frames by
    transition-ids; slots have none either.
    """
    ids = word_ids(lattice)
    lines = [f"utterance-{lattice.utterance}-{lattice.revision}"]
    for edge in sorted(lattice.edges, key=lambda edge: edge.from_node):
        label = 0 if edge.word is None else ids[lattice.words[edge.word].text]
        costs = f"{_cost(edge.graph)},{_cost(edge.acoustic)}"
        lines.append(f"{edge.from_node}\t{edge.to_node}\t{label}\t{label}\t{costs}")
    lines.append(f"{len(lattice.nodes) - 1}\t0,0")
    return "\n".join([*lines, "", ""])


def _cost(log: float) -> str:
    return f"{-log:.17g}" if log else "0"
