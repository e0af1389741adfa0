"""graph_check: what it refuses and with which code, in C and in the twin alike."""

import random
import struct

import pytest
import stapes_spec as spec
from graph_builder import build_graph, random_graph, seal

ARCS = [(0, 1, 1, None, 0), (0, 2, 0, 1, -5), (1, 3, 2, 0, -700), (2, 1, 2, None, -32768)]
GRAPH = build_graph(3, ARCS, {2: 0}, [(1, None, 0), (2, 3, 1)], ["order", "tea", "small", "size"])


def check(kernels, graph):
    info = bytearray(4 * spec.INFO_INDEX_COUNT)
    status = kernels.graph_check(graph, info)
    return status, struct.unpack_from("<i", info, 4 * spec.INFO_INDEX_DETAIL)[0]


@pytest.fixture
def both(native, reference):
    """Check with both implementations, which must agree; returns (status, offset)."""

    def run(graph):
        result = check(native, graph)
        assert result == check(reference, graph)
        return result

    return run


def changed(offset, layout, value):
    data = bytearray(GRAPH)
    struct.pack_into("<" + layout, data, offset, value)
    return seal(data)


def table(field, offset=0):
    return struct.unpack_from("<I", GRAPH, field)[0] + offset


STATES, FINALS = table(spec.GRAPH_STATES_OFFSET_OFFSET), table(spec.GRAPH_FINALS_OFFSET_OFFSET)
ARC, WORD = table(spec.GRAPH_ARCS_OFFSET_OFFSET), table(spec.GRAPH_WORDS_OFFSET_OFFSET)
STRING = table(spec.GRAPH_STRINGS_OFFSET_OFFSET)
TRUNCATED = spec.ERROR_GRAPH_TRUNCATED

DAMAGE = {
    "version": (spec.GRAPH_VERSION_OFFSET, "H", 2, spec.ERROR_GRAPH_VERSION, spec.GRAPH_VERSION_OFFSET),
    "header bytes": (spec.GRAPH_HEADER_BYTES_OFFSET, "H", 8, TRUNCATED, spec.GRAPH_HEADER_BYTES_OFFSET),
    "file bytes": (spec.GRAPH_FILE_BYTES_OFFSET, "I", len(GRAPH) + 1, TRUNCATED, spec.GRAPH_FILE_BYTES_OFFSET),
    "states": (spec.GRAPH_STATE_COUNT_OFFSET, "I", 65536, spec.ERROR_GRAPH_SIZE, spec.GRAPH_STATE_COUNT_OFFSET),
    "no states": (spec.GRAPH_STATE_COUNT_OFFSET, "I", 0, TRUNCATED, spec.GRAPH_START_STATE_OFFSET),
    "start state": (spec.GRAPH_START_STATE_OFFSET, "H", 3, TRUNCATED, spec.GRAPH_START_STATE_OFFSET),
    "arc count": (spec.GRAPH_ARC_COUNT_OFFSET, "I", 1 << 29, TRUNCATED, spec.GRAPH_ARCS_OFFSET_OFFSET),
    "arc count off": (spec.GRAPH_ARC_COUNT_OFFSET, "I", 3, TRUNCATED, STATES + 12),
    "odd offset": (spec.GRAPH_WORDS_OFFSET_OFFSET, "I", WORD + 2, TRUNCATED, spec.GRAPH_WORDS_OFFSET_OFFSET),
    "far offset": (spec.GRAPH_STRINGS_OFFSET_OFFSET, "I", 1 << 31, TRUNCATED, spec.GRAPH_STRINGS_OFFSET_OFFSET),
    "offset in header": (spec.GRAPH_FINALS_OFFSET_OFFSET, "I", 0, TRUNCATED, spec.GRAPH_FINALS_OFFSET_OFFSET),
    "first arc": (STATES, "I", 1, TRUNCATED, STATES),
    "arcs out of order": (STATES + 4, "I", 4, TRUNCATED, STATES + 8),
    "intent": (FINALS + 4, "H", 4, TRUNCATED, FINALS + 4),
    "next state": (ARC + 8, "H", 3, TRUNCATED, ARC + 8),
    "word": (ARC + 2, "H", 2, TRUNCATED, ARC),
    "weight": (ARC + 4, "h", 1, TRUNCATED, ARC),
    "blank": (ARC + 6, "B", 0, TRUNCATED, ARC),
    "unit": (ARC + 6, "B", spec.MODEL_MAX_UNITS, TRUNCATED, ARC),
    "text": (WORD, "H", 4, TRUNCATED, WORD),
    "no text": (WORD, "H", spec.LIMITS_NONE16, TRUNCATED, WORD),
    "slot": (WORD + 10, "H", 4, TRUNCATED, WORD + 8),
    "string": (STRING + 4, "I", len(GRAPH), TRUNCATED, STRING + 4),
    "string before strings": (STRING + 4, "I", STRING, TRUNCATED, STRING + 4),
    "no terminator": (len(GRAPH) - 1, "B", 65, TRUNCATED, len(GRAPH) - 1),
}


def test_good_graph(both):
    assert both(GRAPH) == (0, 0)
    assert both(GRAPH + b"more") == (0, 0)  # buffers may be longer than needed
    assert both(memoryview(b"x" + GRAPH)[1:]) == (0, 0)  # any alignment


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_and_placed(both, name):
    offset, layout, value, code, place = DAMAGE[name]
    assert both(changed(offset, layout, value)) == (-code, place)


def test_strangers(both):
    assert both(b"") == (-TRUNCATED, 0)
    assert both(GRAPH[: spec.GRAPH_BYTES - 1]) == (-TRUNCATED, spec.GRAPH_BYTES - 1)
    assert both(b"RIFF" + GRAPH[4:]) == (-spec.ERROR_GRAPH_MAGIC, 0)
    assert both(GRAPH[:-1]) == (-TRUNCATED, spec.GRAPH_FILE_BYTES_OFFSET)
    flipped = bytearray(GRAPH)
    flipped[ARC + 4] ^= 1
    assert both(flipped) == (-spec.ERROR_GRAPH_CRC, spec.GRAPH_CRC_OFFSET)


def test_short_info_is_refused(native, reference):
    for kernels in (native, reference):
        assert kernels.graph_check(GRAPH, bytearray(4)) == -spec.ERROR_ARGUMENT


def test_random_damage_agrees(both):
    """Whatever the bytes, both implementations give the same answer (and stay inside the buffer)."""
    rng = random.Random(1)
    seen = set()
    for seed in range(400):
        data = bytearray(random_graph(random.Random(seed)))
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(spec.GRAPH_BYTES if seed % 2 else len(data))] = rng.randrange(256)
        seen.add(both(seal(data))[0])
    expected = {0, -TRUNCATED, -spec.ERROR_GRAPH_MAGIC, -spec.ERROR_GRAPH_VERSION, -spec.ERROR_GRAPH_SIZE}
    assert seen == expected
