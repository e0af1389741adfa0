"""Phrases that are likely now, as the search takes them: layout.context_node in firmware/spec/spec.toml.

The search raises the scores of the paths that say them: names of people, devices or songs that the moment makes likely.
Any path may say anything else as before.
"""

import struct

import stapes_spec as spec

from stapes.errors import StapesError

_SCALE = 1 << spec.Q_LOG_PROB_FRACTION_BITS
_MOST = spec.LIMITS_CONTEXT_BONUS
_MOST_NATS = (_MOST + 1) // _SCALE


class _Node:
    """A begun phrase: its last word's string, and the nodes that go on from it by theirs."""

    def __init__(self, text, depth):
        self.text = text
        self.depth = depth
        self.children = {}
        self.bonus = 0  # of the phrases that end here
        self.ahead = []  # (bonus, words) of those that go on
        self.fail = None
        self.found = self.lent = 0


def compile_context(grammar, phrases, boost=None):
    """Return the table of phrases for decoder_context.

    Args:
        grammar: Grammar, whose words the phrases consist of.
        phrases: list of str, or dict of str -> nats for each word of the phrase.
        boost: float, nats for each word of a phrase that has none of its own, at least 0; None: spec's context_boost.
    Returns:
        bytes: layout.context_node [n]; empty without phrases.
    Raises:
        StapesError: a word is not one of the grammar's, or there are too many; where is the word or the phrase.
        TypeError, ValueError: phrases or boost are of another kind.
    """
    boost = spec.SEARCH_CONTEXT_BOOST / _SCALE if boost is None else boost
    if not isinstance(phrases, (list, tuple, dict)):
        raise TypeError("phrases must be a list or a dictionary, not %s" % type(phrases).__name__)
    words = {phrase: _split(phrase) for phrase in phrases}
    strings = _strings(grammar, words)
    root = _Node(0, 0)
    for phrase, said in words.items():
        nats = phrases[phrase] if isinstance(phrases, dict) else boost
        _add(root, [strings[word] for word in said], min(len(said) * _fixed(nats), _MOST))
    return _pack(_linked(root)) if root.children else b""


def _split(phrase):
    words = phrase.split() if isinstance(phrase, str) else []
    if not words:
        raise ValueError("a phrase is words, not %r" % (phrase,))
    return words


def _fixed(nats):
    if isinstance(nats, bool) or not isinstance(nats, (int, float)) or not 0 <= nats <= _MOST_NATS:
        raise ValueError("boost must be a number from 0 to %d, is %r" % (_MOST_NATS, nats))
    return min(int(nats * _SCALE + 0.5), _MOST)


def _strings(grammar, words):
    """Return word -> string of the grammar, for every word of the phrases."""
    wanted = set()
    for phrase in words:
        wanted.update(words[phrase])
    found = grammar.strings_of(wanted)
    for phrase in words:
        for word in words[phrase]:
            if word not in found:
                raise StapesError(spec.ERROR_CONTEXT_WORD, word, "in %r" % phrase)
    return found


def _add(root, strings, bonus):
    node, path = root, []
    for depth, string in enumerate(strings):
        path.append(node)
        if string not in node.children:
            node.children[string] = _Node(string, depth + 1)
        node = node.children[string]
    node.bonus = max(node.bonus, bonus)  # the same phrase twice is one phrase
    for before in path[1:]:
        before.ahead.append((bonus, len(strings)))


def _linked(root):
    """Return all nodes in breadth-first order, children by their strings, with failure links and bonuses."""
    nodes = [root]
    root.fail = root
    for node in nodes:  # it grows
        for string in sorted(node.children):
            child = node.children[string]
            child.fail = root if node is root else _next(node.fail, string)
            child.found = min(child.bonus + child.fail.found, _MOST)
            child.lent = max([bonus * child.depth // words for bonus, words in child.ahead] + [child.fail.lent])
            nodes.append(child)
    return nodes


def _next(node, string):
    while string not in node.children and node.fail is not node:
        node = node.fail
    return node.children.get(string, node)


def _pack(nodes):
    """Return the table. Raises StapesError: there are more nodes than indices."""
    if len(nodes) > spec.LIMITS_SEARCH_CONTEXT:
        raise StapesError(spec.ERROR_CONTEXT_SIZE, "context", "%d" % (len(nodes) - 1))
    index = {id(node): k for k, node in enumerate(nodes)}
    table, child = bytearray(), 1
    for node in nodes:
        table += struct.pack(spec.CONTEXT_NODE_STRUCT, node.text, node.found, node.lent, child, index[id(node.fail)])
        child += len(node.children)
    return bytes(table)
