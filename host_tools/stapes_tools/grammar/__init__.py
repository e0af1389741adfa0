"""Grammars: reading them, sampling and matching sentences, compiling them to command graphs."""

from stapes_tools.grammar.compiler import compile_grammar, compile_graph
from stapes_tools.grammar.grammar import Grammar
from stapes_tools.grammar.graph import Graph, describe, parse_graph
from stapes_tools.grammar.reader import parse_grammar, read_grammar

__all__ = [
    "Grammar",
    "Graph",
    "compile_grammar",
    "compile_graph",
    "describe",
    "parse_grammar",
    "parse_graph",
    "read_grammar",
]
