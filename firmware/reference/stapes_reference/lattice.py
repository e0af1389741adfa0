"""The lattice under construction: the twin of st_lattice.c, which describes it."""

import stapes_spec as spec

NONE = spec.LIMITS_NONE16


def scratch_bytes(max_nodes, max_edges):
    """Return the scratch of the native code: behind, link and index of each node, words, strings."""
    return max_nodes * 8 + max_edges * 2 + (2 * max_edges + 1) * 2


class Node:
    """Where a word ended: what a token there is, at a time (steps consumed); score, doubt of the best path into it."""

    def __init__(self, index, score, time, state, context, bias=0, doubt=0):
        self.index = index
        self.score = score
        self.time = time
        self.state = state
        self.context = context
        self.bias = bias
        self.doubt = doubt

    def same_class(self, other):
        """Whether a node differs from another, or from a token, in nothing but time."""
        return self.state == other.state and self.context == other.context and self.bias == other.bias


class Edge:
    """A word between two nodes; first is the step of its first unit."""

    def __init__(self, from_node, to_node, word, first, acoustic, language):
        self.from_node = from_node
        self.to_node = to_node
        self.word = word
        self.first = first
        self.acoustic = acoustic
        self.language = language

    def score(self):
        """Return the edge's whole score."""
        return self.acoustic + self.language

    def is_best(self):
        """Whether the best path into to_node comes along here; of several such edges the last counts."""
        return self.from_node.score + self.score() == self.to_node.score


class Lattice:
    """Nodes in the order of time, edges in the order of their to-node."""

    def __init__(self, search, max_nodes, max_edges):
        self._search = search
        self._max_nodes = max_nodes
        self._max_edges = max_edges
        self.nodes = [Node(0, 0, 0, search.graph.start_state, spec.MODEL_BLANK_UNIT)]
        self.edges = []
        self.truncated = False

    def bias(self, edge):
        """Return the part of an edge's language score that is the context's."""
        search = self._search
        return search.follow(edge.from_node.bias, edge.word)[1] if edge.to_node.time > search.context_step else 0

    # --- room ------------------------------------------------------------------------------

    def _needs(self):
        """Return (nodes, edges) that the words just completed will take."""
        words = [sum([entry.word != NONE for entry in token.entries]) for token in self._search.tokens]
        return sum([count > 0 for count in words]), sum(words)

    def _has_room(self, needs, spare=False):
        nodes = len(self.nodes) + needs[0] + (self._max_nodes // 8 if spare else 0)
        edges = len(self.edges) + needs[1] + (self._max_edges // 8 if spare else 0)
        return nodes <= self._max_nodes and edges <= self._max_edges

    def add_continuations(self, behind):
        """Extend behind, {node: best score of what follows it directly}, by what follows along edges."""
        for edge in reversed(self.edges):
            if edge.to_node in behind:
                score = edge.score() + behind[edge.to_node]
                behind[edge.from_node] = max(behind.get(edge.from_node, score), score)

    def through(self, edge, behind):
        """Return the score of the best path through an edge, None when it leads nowhere."""
        if edge.to_node not in behind:
            return None
        return edge.from_node.score + edge.score() + behind[edge.to_node]

    def _collect(self, floor):
        """Keep what lies on a path of a live entry; floor (None: any): against its token's best score."""
        behind = {}
        for token in self._search.tokens:
            for entry in token.entries:
                score = entry.score - token.score - entry.node.score
                behind[entry.node] = max(behind.get(entry.node, score), score)
        self.add_continuations(behind)

        def keeps(score):
            return score is not None and (floor is None or score >= floor)

        self.edges = [edge for edge in self.edges if keeps(self.through(edge, behind))]
        self.nodes = [
            node for node in self.nodes if node.index == 0 or (node in behind and keeps(node.score + behind[node]))
        ]
        for index, node in enumerate(self.nodes):
            node.index = index

    def _make_room(self, best):
        search = self._search
        if self._has_room(self._needs()):
            return
        self._collect(None)
        beam = search.lattice_beam
        while beam > 0 and not self._has_room(self._needs(), True):
            beam >>= 1
            self.truncated = True
            for token in search.tokens:
                token.entries = [entry for entry in token.entries if entry.score >= token.score - beam]
            self._collect(-beam)
        beam = search.beam
        while beam > 0 and not self._has_room(self._needs()):
            beam >>= 1
            self.truncated = True
            search.tokens = [token for token in search.tokens if token.score >= best - beam]
            self._collect(None)

    # --- words -----------------------------------------------------------------------------

    def advance(self, best):
        """Turn the words that the tokens completed in the step just made into nodes and edges."""
        self._make_room(best)
        for token in self._search.tokens:
            ended = [entry for entry in token.entries if entry.word != NONE]
            if ended:
                self._resolve(token, ended)

    def _resolve(self, token, ended):
        others = [entry for entry in token.entries if entry.word == NONE]
        settled = None
        for entry in others:
            if entry.node.same_class(token):
                settled = entry
                break
        if settled and settled.score >= ended[0].score:
            token.entries = others
        elif not self._has_room((1, len(ended))):
            self._forget_words(token)
        else:
            token.entries = [entry for entry in others if entry is not settled]
            self._settle(token, ended)

    def _settle(self, token, ended):
        score = ended[0].score
        identity = token.identity()
        node = Node(len(self.nodes), score, self._search.steps, *identity, doubt=token.doubt)
        self.nodes.append(node)
        for entry in reversed(ended):
            acoustic = entry.score - entry.node.score - entry.language
            self.edges.append(Edge(entry.node, node, entry.word, entry.first, acoustic, entry.language))
        entry = ended[0]
        entry.node = node
        entry.word = entry.first = NONE
        entry.language = 0
        token.insert(entry, self._search.max_alternatives)

    def _forget_words(self, token):
        self.truncated = True
        kept = []
        for entry in token.entries:
            if not any([entry.node.same_class(other.node) for other in kept]):
                entry.word = NONE
                kept.append(entry)
        token.entries = kept

    def best_edges(self, node):
        """Return the edges of the best path from the start to a node, in order."""
        path = []
        for edge in reversed(self.edges):
            if edge.to_node is node and edge.is_best():
                path.append(edge)
                node = edge.from_node
        path.reverse()
        return path
