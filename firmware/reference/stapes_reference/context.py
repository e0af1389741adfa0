"""Contextual biasing: the twin of st_context.c, which describes it. A node is a tuple, its children a dictionary."""

import struct

import stapes_spec as spec

TEXT, FOUND, LENT, CHILD, FAIL = range(5)


class Context:
    """The phrases that are likely now.

    Args:
        table: bytes, layout.context_node [n]; none: no phrases.
        room: the most nodes.
    Raises:
        ValueError: with the error's code: the table is too long, or damaged.
    """

    def __init__(self, table=b"", room=0):
        size = spec.CONTEXT_NODE_BYTES
        count = len(table) // size
        if count > room:
            raise ValueError(spec.ERROR_CONTEXT_SIZE)
        nodes = [struct.unpack_from(spec.CONTEXT_NODE_STRUCT, table, size * n) for n in range(count)]
        if len(table) % size or not _are_nodes(nodes):
            raise ValueError(spec.ERROR_ARGUMENT)
        self._nodes = nodes
        ends = [node[CHILD] for node in nodes[1:]] + [count]
        self._children = [range(node[CHILD], end) for node, end in zip(nodes, ends)]

    def __bool__(self):
        return bool(self._nodes)

    def lent(self, node):
        """Return what a path at a node has on account, Q.10."""
        return self._nodes[node][LENT] if self._nodes else 0

    def follow(self, node, text):
        """Return the node that a word, given by its string, leads to from a node, and what that gains, Q.10."""
        if not self._nodes:
            return 0, 0
        at, there = node, self._child(node, text)
        while there == 0 and at != 0:
            at = self._nodes[at][FAIL]
            there = self._child(at, text)
        return there, self._nodes[there][FOUND] + self._nodes[there][LENT] - self._nodes[node][LENT]

    def _child(self, node, text):
        for child in self._children[node]:
            if self._nodes[child][TEXT] >= text:
                return child if self._nodes[child][TEXT] == text else 0
        return 0


def _are_nodes(nodes):
    least = 1
    for n, (_, found, lent, child, fail) in enumerate(nodes):
        if not (0 <= found <= spec.LIMITS_CONTEXT_BONUS and 0 <= lent <= spec.LIMITS_CONTEXT_BONUS):
            return False
        if child < least or not n < child <= len(nodes) or fail >= max(n, 1):
            return False
        if n == 0 and (found or lent):
            return False
        least = child
    return True
