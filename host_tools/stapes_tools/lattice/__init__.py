"""Word lattices on the host: reading, n-best, and other people's formats."""

from stapes_tools.lattice.formats import as_json, from_json, read_lattice, render, write_lattice
from stapes_tools.lattice.lattice import Edge, Hypothesis, Lattice, Word, parse

__all__ = [
    "Edge",
    "Hypothesis",
    "Lattice",
    "Word",
    "as_json",
    "from_json",
    "parse",
    "read_lattice",
    "render",
    "write_lattice",
]
