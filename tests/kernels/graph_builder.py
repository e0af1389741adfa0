"""Tiny command graphs as .stg bytes, and random ones, for the search's tests."""

import struct
import zlib

import stapes_spec as spec

NONE = spec.LIMITS_NONE16
UNITS_CRC = 0x12345678


def build_graph(state_count, arcs, finals, words, strings, start_state=0, units_crc=UNITS_CRC):
    """Return a graph file.

    Args:
        arcs: (state, unit, next_state, word or None, weight <= 0, Q.10), any order.
        finals: {state: string index of the intent}.
        words: (text, slot or None, flags), string indices.
        strings: str.
    """
    arcs = sorted(arcs, key=lambda arc: arc[0])  # stable: arcs of a state stay in the given order
    first_arc = [sum(arc[0] < s for arc in arcs) for s in range(state_count + 1)]
    tables = [
        struct.pack(f"<{state_count + 1}I", *first_arc),
        struct.pack(f"<{state_count}H", *(finals.get(s, NONE) for s in range(state_count))),
        b"".join(
            struct.pack(spec.GRAPH_ARC_STRUCT, to, NONE if w is None else w, weight, unit, 0)
            for _, unit, to, w, weight in arcs
        ),
        b"".join(
            struct.pack(spec.WORD_STRUCT, text, NONE if slot is None else slot, flags, 0) for text, slot, flags in words
        ),
    ]
    offsets = [spec.GRAPH_BYTES]
    for i, table in enumerate(tables):
        tables[i] = table + bytes(-len(table) % 4)
        offsets.append(offsets[-1] + len(tables[i]))
    texts = [text.encode() + b"\0" for text in strings]
    at = offsets[-1] + 4 * len(texts)
    places = [at + sum(map(len, texts[:i])) for i in range(len(texts))]
    body = b"".join(tables) + struct.pack(f"<{len(texts)}I", *places) + b"".join(texts)
    counts = (state_count, len(arcs), len(words), len(strings), start_state, 0)
    header = struct.pack(
        spec.GRAPH_STRUCT,
        spec.MAGIC_GRAPH.encode(),
        spec.VERSION_GRAPH,
        spec.GRAPH_BYTES,
        0,
        spec.GRAPH_BYTES + len(body),
        units_crc,
        *counts,
        *offsets,
    )
    return seal(header + body)


def seal(data):
    """Return the file with its CRC made right."""
    data = bytearray(data)
    struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, 0)
    struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, zlib.crc32(data))
    return bytes(data)


def random_graph(rng, states=6, arcs=14, units=5, words=4, word_share=0.5, max_weight=3000):
    """Return a random graph (cycles, self-loops and homophones included) with at least one final state."""
    rows = [
        (
            rng.randrange(states),
            rng.randrange(1, units),
            rng.randrange(states),
            rng.randrange(words) if rng.random() < word_share else None,
            -rng.randrange(max_weight + 1),
        )
        for _ in range(arcs)
    ]
    finals = {s: rng.randrange(2) for s in range(states) if rng.random() < 0.3} or {states - 1: 0}
    strings = ["intent0", "intent1", "slot", *(f"w{i}" for i in range(words))]
    table = [(3 + i, 2 if i % 2 else None, i % 2) for i in range(words)]
    return build_graph(states, rows, finals, table, strings, start_state=rng.randrange(states))


def tree_graph(rng, units=4, words=3, branches=3, depth=2, letters=2):
    """Return a graph without shared states: every sentence has its own final state.

    Every word is 1 .. letters units long; sentences have up to depth words and may end after each.
    """
    arcs, finals, count = [], {}, 1
    frontier = [0]
    for _ in range(depth):
        grown = []
        for state in frontier:
            for _ in range(rng.randint(1, branches)):
                here, length = state, rng.randint(1, letters)
                for k in range(length):
                    word = rng.randrange(words) if k == length - 1 else None
                    arcs.append((here, rng.randrange(1, units), count, word, -rng.randrange(2000)))
                    here, count = count, count + 1
                finals[here] = 0
                grown.append(here)
        frontier = grown
    strings = ["intent", *(f"w{i}" for i in range(words))]
    return build_graph(count, arcs, finals, [(1 + i, None, 0) for i in range(words)], strings)
