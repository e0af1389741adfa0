"""HTK's Standard Lattice Format (HTK Book, chapter 20)."""

from __future__ import annotations

from stapes_tools.lattice.lattice import Lattice

_NULL = "!NULL"


def to_slf(lattice: Lattice) -> str:
    """Return the lattice with words on its links, times in seconds on its nodes, natural-log scores."""
    lines = [
        "VERSION=1.0",
        f"UTTERANCE={lattice.utterance}-{lattice.revision}",
        "lmscale=1.00 wdpenalty=0.00 acscale=1.00",
        f"N={len(lattice.nodes)} L={len(lattice.edges)}",
    ]
    lines += [f"I={index} t={time_ms / 1000:.3f}" for index, time_ms in enumerate(lattice.nodes)]
    for index, edge in enumerate(lattice.edges):
        word = _NULL if edge.word is None else _quote(lattice.words[edge.word].text)
        scores = f"a={edge.acoustic:.17g} l={edge.graph:.17g}"
        lines.append(f"J={index} S={edge.from_node} E={edge.to_node} W={word} {scores}")
    return "\n".join([*lines, ""])


def _quote(word: str) -> str:
    """HTK takes a leading quote for the start of a quoted string: escape it."""
    escaped = word.replace("\\", "\\\\")
    return "\\" + escaped if escaped.startswith(("'", '"')) else escaped
