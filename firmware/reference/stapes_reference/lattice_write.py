"""The finished lattice as bytes: the twin of st_lattice_write.c, which describes it."""

import binascii
import struct

import stapes_spec as spec

NONE = spec.LIMITS_NONE16
STEP_MS = spec.FRONTEND_STEP_MS
BEAM_SHARES = 64
DOUBT_SHIFT = spec.Q_LOG_PROB_FRACTION_BITS - spec.Q_DOUBT_FRACTION_BITS


class _End:
    """Where and how the sentence may end, within a beam of the best path."""

    def __init__(self, search, beam):
        finals = search.graph.finals
        tokens = [token for token in search.tokens if finals[token.state] != NONE]
        self.complete = bool(tokens)
        tokens = tokens or search.tokens
        lent = search.context.lent  # it is taken back where nothing follows
        self.best = min(tokens, key=lambda token: (lent(token.bias) - token.score,) + token.key())
        self.floor = self.best.score - lent(self.best.bias) - beam
        self.links = {}  # node -> the entry that ends there best, and what its token's context has lent
        for token in sorted(tokens, key=lambda token: token.key()):
            for entry in token.entries:
                score = entry.score - lent(token.bias)
                if score >= self.floor:
                    link = self.links.get(entry.node)
                    if link is None or score > link[0].score - link[1]:
                        self.links[entry.node] = (entry, lent(token.bias))
        self.best_node = self.best.entries[0].node
        self.best_edges = search.lattice.best_edges(self.best_node)
        doubt, most = self.best_node.doubt, search.rejection * (len(self.best_edges) + 1)
        self.rejected = self.complete and search.rejection > 0 and doubt > most
        self.doubt = min(doubt >> DOUBT_SHIFT, 65535)
        self.intent = finals[self.best.state] if self.complete and not self.rejected else NONE


def _pack_edge(from_index, to_index, word, best, first, acoustic, language):
    flags = spec.EDGE_FLAGS_BEST if best else 0
    return struct.pack(spec.LATTICE_EDGE_STRUCT, from_index, to_index, word, flags, first * STEP_MS, acoustic, language)


def _pack_edges(end, nodes, edges, best_edges, words, lattice):
    """Return the edges' rows, and their biases."""
    index = {node: i for i, node in enumerate(nodes)}
    out, biases = [], []
    for edge in edges:
        ends = (index[edge.from_node], index[edge.to_node], words.index(edge.word))
        biases.append(lattice.bias(edge))
        out.append(_pack_edge(*ends, edge in best_edges, edge.first, edge.acoustic, edge.language - biases[-1]))
    for node in nodes:
        if node in end.links:
            entry, lent = end.links[node]
            biases.append(-lent)
            acoustic = entry.score - node.score - entry.language
            ends = (index[node], len(nodes), NONE)
            out.append(_pack_edge(*ends, node is end.best_node, node.time, acoustic, entry.language))
    return out, biases


def _string_index(strings, string):
    return NONE if string == NONE else strings.index(string)


def _pack_words(graph, words, strings):
    out = []
    for word in words:
        text, slot, flags, _ = graph.words[word]
        out.append(struct.pack(spec.WORD_STRUCT, strings.index(text), _string_index(strings, slot), flags, 0))
    return out


def _flags(end, search, revision, truncated):
    flags = 0 if revision & spec.REVISION_SPECULATIVE else spec.LATTICE_FLAGS_FINAL
    flags |= spec.LATTICE_FLAGS_COMPLETE if end.complete else 0
    flags |= spec.LATTICE_FLAGS_REJECTED if end.rejected else 0
    flags |= spec.LATTICE_FLAGS_CONTEXT if search.context else 0
    return flags | (spec.LATTICE_FLAGS_TRUNCATED if truncated else 0)


def _write_within(search, beam, utterance, revision, truncated):
    """Return the lattice of what lies within a beam of the best path."""
    lattice, graph = search.lattice, search.graph
    end = _End(search, beam)
    behind = {node: entry.score - lent - node.score for node, (entry, lent) in end.links.items()}
    lattice.add_continuations(behind)
    nodes = [node for node in lattice.nodes if node in behind and node.score + behind[node] >= end.floor]
    scores = [lattice.through(edge, behind) for edge in lattice.edges]
    edges = [edge for edge, score in zip(lattice.edges, scores) if score is not None and score >= end.floor]
    words = sorted({edge.word for edge in edges})
    used = {end.intent}
    for word in words:
        used.update(graph.words[word][:2])
    strings = sorted(used - {NONE})
    packed, biases = _pack_edges(end, nodes, edges, end.best_edges, words, lattice)
    body = [struct.pack(spec.LATTICE_NODE_STRUCT, node.time * STEP_MS) for node in nodes]
    body.append(struct.pack(spec.LATTICE_NODE_STRUCT, search.steps * STEP_MS))
    body += packed
    if search.context:
        body += [struct.pack(spec.LATTICE_BIAS_STRUCT, bias) for bias in biases]
    body += _pack_words(graph, words, strings)
    body += [graph.string(string) for string in strings]
    counts = (len(nodes) + 1, len(packed), len(words), len(strings), _string_index(strings, end.intent), end.doubt)
    return _seal(b"".join(body), counts, (utterance, revision, _flags(end, search, revision, truncated)))


def _seal(body, counts, labels):
    """Put the header before a lattice's rows."""
    utterance, revision, flags = labels
    total = spec.LATTICE_BYTES + len(body)
    fixed = (spec.MAGIC_LATTICE.encode(), spec.VERSION_LATTICE, spec.LATTICE_BYTES, 0, total)
    variable = (utterance & 0xFFFFFFFF, revision & 0xFFFF, flags)
    data = bytearray(struct.pack(spec.LATTICE_STRUCT, *(fixed + variable + counts)) + body)
    struct.pack_into("<I", data, spec.LATTICE_CRC_OFFSET, binascii.crc32(data) & 0xFFFFFFFF)
    return bytes(data)


def write_lattice(search, utterance, revision, capacity=None, budget=0):
    """Return the lattice of the utterance so far as bytes, or None when not even the best path fits.

    Args:
        search: a Search.
        utterance: its number, 32 bits.
        revision: low 16 bits, plus REVISION_SPECULATIVE.
        capacity: the most bytes; None: any number.
        budget: bytes that the alternatives keep to; 0: capacity.
    """
    beam, truncated = search.lattice_beam, search.lattice.truncated
    data = _write_within(search, beam, utterance, revision, truncated)
    most = capacity if not budget or (capacity is not None and capacity < budget) else budget
    if most is None or len(data) <= most:
        return data
    fits, exceeds = 0, BEAM_SHARES
    while exceeds - fits > 1:
        share = (fits + exceeds) // 2
        if len(_write_within(search, beam * share // BEAM_SHARES, utterance, revision, truncated)) <= most:
            fits = share
        else:
            exceeds = share
    beam = beam * fits // BEAM_SHARES
    cut = _write_within(search, beam, utterance, revision, truncated)
    if len(cut) < len(data):
        cut = _write_within(search, beam, utterance, revision, True)
    return cut if capacity is None or len(cut) <= capacity else None
