"""The lattice under construction: the twin of st_lattice.c, which describes it."""

import stapes_spec as spec

NONE = spec.LIMITS_NONE16


class Node:
    """Where a word ended: graph state and context at a time (steps consumed); score of the best path into it."""

    def __init__(self, index, score, time, state, context):
        self.index = index
        self.score = score
        self.time = time
        self.state = state
        self.context = context

    def same_class(self, other):
        """Whether two nodes differ in nothing but time."""
        return self.state == other.state and self.context == other.context


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
        """Keep what lies on a path of a live entry that scores at least floor (None: any)."""
        search = self._search
        if floor is None:
            floor = -(1 << 31)
        for token in search.tokens:
            token.entries = [entry for entry in token.entries if entry.score >= floor]
        search.tokens = [token for token in search.tokens if token.entries]
        behind = {}
        for token in search.tokens:
            for entry in token.entries:
                score = entry.score - entry.node.score
                behind[entry.node] = max(behind.get(entry.node, score), score)
        self.add_continuations(behind)
        scores = [self.through(edge, behind) for edge in self.edges]
        self.edges = [edge for edge, score in zip(self.edges, scores) if score is not None and score >= floor]
        self.nodes = [
            node for node in self.nodes if node.index == 0 or (node in behind and node.score + behind[node] >= floor)
        ]
        for index, node in enumerate(self.nodes):
            node.index = index

    def _make_room(self, best):
        needs = self._needs()
        if self._has_room(needs):
            return
        self._collect(None)
        beam = self._search.lattice_beam
        while beam > 0 and not self._has_room(needs, True):
            beam >>= 1
            self.truncated = True
            self._collect(best - beam)
            needs = self._needs()

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
            if entry.node.state == token.state and entry.node.context == token.context:
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
        node = Node(len(self.nodes), score, self._search.steps, token.state, token.context)
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
