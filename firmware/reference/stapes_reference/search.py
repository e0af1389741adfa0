"""Beam search of a monotonic RNN-T over a graph: the twin of st_search.c and st_token.c.

st_search.h describes the algorithm, its order and its range. Here tokens, entries, nodes and edges
are Python objects; entries and edges point to nodes.
"""

import stapes_spec as spec

from .context import Context
from .lattice import Lattice

NONE = spec.LIMITS_NONE16
WEIGHT_FLOOR = -32768


class Entry:
    """One path into a token: its last word ended at node; word is set only during a step."""

    def __init__(self, node, word, first, score, language):
        self.node = node
        self.word = word
        self.first = first
        self.score = score
        self.language = language

    def key(self):
        """Return the order of entries: the smaller, the better."""
        return (-self.score, self.node.index, self.word, -self.language, self.first)


class Token:
    """The best path into (graph state, context, context state: bias), and its alternatives in order."""

    def __init__(self, score, state, context, last, units, bias=0, doubt=0):
        self.score = score
        self.state = state
        self.context = context
        self.last = last
        self.units = units
        self.bias = bias
        self.doubt = doubt
        self.entries = []

    def identity(self):
        """Return what a token is the best path into."""
        return (self.state, self.context, self.bias)

    def key(self):
        """Return the order of tokens: the smaller, the better."""
        return (-self.score,) + self.identity()

    def merge(self, entry, limit):
        """Add an entry; of two with one word and one class of node to start from, the better stays."""
        for other in self.entries:
            if other.word == entry.word and other.node.same_class(entry.node):
                if entry.key() >= other.key():
                    return
                self.entries.remove(other)
                break
        self.insert(entry, limit)

    def insert(self, entry, limit):
        """Put an entry into its place; what exceeds the limit falls off the end."""
        at = len(self.entries)
        while at > 0 and entry.key() < self.entries[at - 1].key():
            at -= 1
        self.entries.insert(at, entry)
        del self.entries[limit:]


class TokenTable:
    """The tokens of the step being built, in slots."""

    def __init__(self, search):
        self._search = search
        self._index = {}
        self.tokens = []
        self.best = None
        self.dropped = 0

    def floor(self):
        """Return the score below which nothing is kept."""
        return -(1 << 31) if self.best is None else self.best - self._search.beam

    def _new_token(self, wanted):
        slot = len(self.tokens)
        if slot < self._search.max_tokens:
            self.tokens.append(wanted)
        else:
            self.dropped += 1
            slot = max(range(slot), key=lambda i: self.tokens[i].key())
            worst = self.tokens[slot]
            if worst.key() <= wanted.key():
                return None
            del self._index[worst.identity()]
            self.tokens[slot] = wanted
        self._index[wanted.identity()] = wanted
        return wanted

    def _reach(self, wanted):
        token = self._index.get(wanted.identity())
        if token is None:
            return self._new_token(wanted)
        if wanted.score > token.score:
            token.score = wanted.score
            token.last = wanted.last
            token.units = wanted.units
            token.doubt = wanted.doubt
        return token

    def relax(self, source, identity, acoustic, doubt, language=0, word=NONE, step=None):
        """Follow a blank (step None) or an arc from a token of the step before, to a token of some identity."""
        gain = acoustic + language
        state, context, bias = identity
        wanted = Token(source.score + gain, state, context, source.last, source.units, bias, source.doubt + doubt)
        if wanted.score < self.floor():
            return
        if step is not None:
            wanted.last = step + 1
            wanted.units += 1
        token = self._reach(wanted)
        if token is None:
            return
        if self.best is None or wanted.score > self.best:
            self.best = wanted.score
        for entry in source.entries:
            first = step if step is not None and entry.first == NONE else entry.first
            moved = Entry(entry.node, word, first, entry.score + gain, entry.language + language)
            token.merge(moved, self._search.max_alternatives)


class Search:
    """The search of one utterance.

    Args:
        config: [config_index.count] integers, checked by config_ok.
        context_size: units that scores depend on, 0 to 2.
        graph: a Graph.
    """

    def __init__(self, config, context_size, graph):
        self.max_tokens = config[spec.CONFIG_INDEX_MAX_TOKENS]
        self.beam = config[spec.CONFIG_INDEX_BEAM]
        self.lattice_beam = config[spec.CONFIG_INDEX_LATTICE_BEAM]
        self.max_alternatives = config[spec.CONFIG_INDEX_MAX_ALTERNATIVES]
        self.blank_penalty = config[spec.CONFIG_INDEX_BLANK_PENALTY]
        self.start_discount = config[spec.CONFIG_INDEX_START_DISCOUNT]
        self.language_scale = config[spec.CONFIG_INDEX_LANGUAGE_SCALE]
        self.rejection = config[spec.CONFIG_INDEX_REJECTION]
        self.context_mask = (1 << 8 * context_size) - 1
        self.max_context = config[spec.CONFIG_INDEX_MAX_CONTEXT]
        self.graph = graph
        self.context = Context()
        self.context_step = 0
        self.steps = 0
        self.tokens_dropped = 0
        self.joint_evaluations = 0
        self.lattice = Lattice(self, config[spec.CONFIG_INDEX_MAX_NODES], config[spec.CONFIG_INDEX_MAX_EDGES])
        start = Token(0, graph.start_state, spec.MODEL_BLANK_UNIT, 0, 0)
        start.entries.append(Entry(self.lattice.nodes[0], NONE, NONE, 0, 0))
        self.tokens = [start]
        self.best = start

    def scaled_weight(self, weight):
        """Return a graph weight in the search's terms."""
        return max((self.language_scale * weight) >> spec.Q_LOG_PROB_FRACTION_BITS, WEIGHT_FLOOR)

    def follow(self, bias, word):
        """Return the context state behind a word (NONE: none), and what it gains."""
        return (bias, 0) if word == NONE else self.context.follow(bias, self.graph.words[word][0])

    def set_context(self, table):
        """Replace the phrases; what was lent is taken back.

        Args:
            table: bytes, see Context.
        Raises:
            ValueError: see Context.
        """
        context = Context(table, self.max_context)
        for token in self.tokens:
            lent = self.context.lent(token.bias)
            for entry in token.entries:
                entry.score -= lent
                entry.language -= lent
            token.score -= lent
            token.bias = 0
        for node in self.lattice.nodes:
            node.bias = 0
        self.context_step = self.steps
        self.context = context

    def _expand(self, table, token, log_probs):
        blank = log_probs[spec.MODEL_BLANK_UNIT] - self.blank_penalty
        free = max(blank, *log_probs[spec.MODEL_BLANK_UNIT + 1 :])
        doubt = free - blank if token.units else 0
        if token.state == self.graph.start_state:
            blank += self.start_discount
        table.relax(token, token.identity(), blank, doubt)
        for next_state, word, weight, unit, _ in self.graph.arcs_of(token.state):
            context = ((token.context << 8) | unit) & self.context_mask
            bias, gain = self.follow(token.bias, word)
            language = self.scaled_weight(weight) + gain
            acoustic = log_probs[unit]
            table.relax(token, (next_state, context, bias), acoustic, free - acoustic, language, word, self.steps)

    def step(self, score):
        """Make one step.

        Args:
            score: context -> log P of every unit, Q5.10; called once per distinct context.
        Returns:
            int: 0, or -ERROR_AUDIO_LENGTH.
        """
        if self.steps >= spec.LIMITS_SEARCH_STEPS:
            return -spec.ERROR_AUDIO_LENGTH
        table = TokenTable(self)
        contexts = [self.best.context]
        for token in self.tokens:
            if token.context not in contexts:
                contexts.append(token.context)
        for context in contexts:
            log_probs = score(context)
            for token in self.tokens:
                if token.context == context:
                    self._expand(table, token, log_probs)
        self.joint_evaluations += len(contexts)
        self.tokens_dropped += table.dropped
        self.steps += 1
        self._prune(table)
        self.lattice.advance(table.best)
        self.best = min(self.tokens, key=Token.key)
        return 0

    def _prune(self, table):
        floor = table.floor()
        self.tokens = [token for token in table.tokens if token.score >= floor]
        for token in self.tokens:
            low = token.score - self.lattice_beam
            token.entries = [entry for entry in token.entries if entry.score >= low]

    def status(self):
        """Return the figures of decoder_status, in the order of status_index."""
        values = [0] * spec.STATUS_INDEX_COUNT
        values[spec.STATUS_INDEX_STEPS] = self.steps
        values[spec.STATUS_INDEX_ACTIVE_TOKENS] = len(self.tokens)
        values[spec.STATUS_INDEX_BEST_SCORE] = self.best.score
        values[spec.STATUS_INDEX_BEST_IS_FINAL] = int(self.graph.finals[self.best.state] != NONE)
        values[spec.STATUS_INDEX_TRAILING_BLANKS] = self.steps - self.best.last
        values[spec.STATUS_INDEX_UNITS_EMITTED] = self.best.units
        values[spec.STATUS_INDEX_TOKENS_DROPPED] = self.tokens_dropped
        values[spec.STATUS_INDEX_JOINT_EVALUATIONS] = self.joint_evaluations
        values[spec.STATUS_INDEX_NODES_USED] = len(self.lattice.nodes)
        values[spec.STATUS_INDEX_EDGES_USED] = len(self.lattice.edges)
        return values
