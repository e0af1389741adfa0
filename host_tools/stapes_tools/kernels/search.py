"""The board's search with scores of one's own: any function gives the log-probabilities, not a model file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cffi
import numpy as np
import stapes_spec as spec

from . import binding

FFI = cffi.FFI()
FFI.cdef("""
    typedef const int16_t *(*st_scorer_t)(void *scorer, uint32_t context);
    int32_t st_graph_check(const uint8_t *data, uint32_t bytes, void *graph, int32_t *info);
    int32_t st_search_size(const int32_t *config, int context_size);
    int32_t st_search_init(void *search, const int32_t *config, int context_size, uint32_t units, const void *graph);
    int32_t st_search_step(void *search, const void *graph, st_scorer_t score, void *scorer);
    int32_t st_context_set(void *search, const uint8_t *table, uint32_t bytes);
    void st_search_start(void *search, const void *graph);
    void st_search_status(const void *search, const void *graph, int32_t *status);
    int32_t st_lattice_partial(const void *search, uint16_t *words, uint32_t capacity);
    int32_t st_lattice_write(void *search, const void *graph, uint8_t *out, uint32_t capacity,
                             uint32_t utterance, uint32_t revision, uint32_t budget);
""")
LATTICE_CAPACITY = 1 << 18
_MOST_WORDS = 1024
_GRAPH_WORDS = 32  # uint64, more than st_graph_t has

# Log-probabilities of all units, int16 Q5.10, after a context (the last units, one byte each, the newest
# in the low byte); None ends the step with an error.
Score = Callable[[int], Sequence[int] | np.ndarray | None]


class Search:
    """st_search.c and st_lattice.c on one utterance.

    Args:
        graph: a compiled grammar.
        config: the integers of stapes_spec's CONFIG_INDEX_….
        context_size: units that a score depends on.
    Raises:
        ValueError: the graph or the configuration is refused.
    """

    def __init__(self, graph: bytes, config: Sequence[int], context_size: int = 1):
        self.library = FFI.dlopen(binding.library_path(), FFI.RTLD_LAZY)
        self._file = graph
        self._graph = FFI.new("uint64_t[]", _GRAPH_WORDS)
        self._config = FFI.new("int32_t[]", list(config))
        # Units beyond those that are given cannot have been said.
        self._row = np.full(spec.MODEL_MAX_UNITS, np.iinfo(np.int16).min, np.int16)
        self._row_at = FFI.cast("const int16_t *", FFI.from_buffer(self._row))
        _check(self.library.st_graph_check(FFI.from_buffer(graph), len(graph), self._graph, FFI.NULL))
        self.size = _check(self.library.st_search_size(self._config, context_size))
        self._state = FFI.from_buffer("uint8_t[]", bytearray(self.size))
        units = len(self._row)
        _check(self.library.st_search_init(self._state, self._config, context_size, units, self._graph))

    def step(self, score: Score) -> int:
        """Make one step of 30 ms; returns 0, or an error's code times -1."""

        def row(_, context):
            values = score(context)
            if values is None:
                return FFI.NULL
            self._row[: len(values)] = values
            return self._row_at

        callback = FFI.callback("const int16_t *(void *, uint32_t)", row)
        return self.library.st_search_step(self._state, self._graph, callback, FFI.NULL)

    def set_context(self, table: bytes) -> int:
        """Set the phrases that are likely now: layout.context_node [n]. Returns 0, or an error's code times -1."""
        return self.library.st_context_set(self._state, FFI.from_buffer(table), len(table))

    def restart(self) -> None:
        """Start another utterance."""
        self.library.st_search_start(self._state, self._graph)

    def status(self) -> list[int]:
        """Figures of the search, by stapes_spec's STATUS_INDEX_…."""
        values = FFI.new("int32_t[]", spec.STATUS_INDEX_COUNT)
        self.library.st_search_status(self._state, self._graph, values)
        return list(values)

    def partial(self, capacity: int = _MOST_WORDS) -> tuple[int, list[int]]:
        """(How many words the best path has, the indices of those that fit capacity, then zeros)."""
        words = FFI.new("uint16_t[]", _MOST_WORDS)
        count = self.library.st_lattice_partial(self._state, words, capacity)
        return count, list(words)

    def lattice(
        self, utterance: int = 0, revision: int = 0, capacity: int = LATTICE_CAPACITY, budget: int = 0
    ) -> bytes | int:
        """The lattice's bytes, or an error's code times -1."""
        out = bytearray(capacity)
        size = self.library.st_lattice_write(
            self._state, self._graph, FFI.from_buffer(out), capacity, utterance, revision, budget
        )
        return bytes(out[:size]) if size >= 0 else size


def _check(status: int) -> int:
    if status < 0:
        error, _, text, advice = spec.ERRORS[-status]
        raise ValueError(f"{text} ({error}); {advice}")
    return status
