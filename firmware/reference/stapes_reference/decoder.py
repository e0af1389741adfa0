"""The decoder: the twin of st_decoder.c and api_decoder.c.

A state buffer holds only a magic and a number under which this module keeps the search's objects,
for the MAX_LIVE decoders that were initialised last.
"""

import struct

import stapes_spec as spec

from . import metadata
from .buffers import byte_length, read, write
from .flatbuffer import Flatbuffer
from .graph import Graph, GraphError, graph_check
from .lattice import scratch_bytes
from .lattice_write import write_lattice
from .log_softmax import log_softmax, log_softmax_table
from .model import _find_slot, model_invoke, model_subgraph, model_tensor, model_tensor_size
from .search import Search

__all__ = [
    "decoder_context",
    "decoder_init",
    "decoder_lattice",
    "decoder_partial",
    "decoder_restart",
    "decoder_size",
    "decoder_status",
    "decoder_step",
    "graph_check",
]

MAGIC = 0x31444453
MAX_LIVE = 8
INPUT, OUTPUT = 0, 1

# Sizes of the native structs and of the table of predictor outputs for two context units.
DECODER_BYTES = 48
SEARCH_BYTES = 104
ROWS = 64

_live = {}  # number -> _Decoder
_numbers = [0]  # the last number given


class _CallError(Exception):
    """A call that ends with an error code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def _check(status):
    if status < 0:
        raise _CallError(-status)
    return status


def _align8(n):
    return (n + 7) & ~7


def _quantization(state, model, subgraph, output, k):
    """Return (float32 scale bits, zero point) of an input or output, or () when there is none."""
    slot = _find_slot(state, model, subgraph, output, k)
    return () if isinstance(slot, int) else slot[2:4]


class _Model:
    """The parts of a model that the decoder uses, held against each other."""

    def __init__(self, state, model):
        self.state, self.model = state, model
        header = self._metadata()
        self.context_size, self.unit_count, self.units_crc = header[9], header[10], header[15]
        if self.context_size > spec.MODEL_MAX_CONTEXT or not 2 <= self.unit_count <= spec.MODEL_MAX_UNITS:
            raise _CallError(spec.ERROR_MODEL_METADATA)
        indices = [model_subgraph(state, model, name) for name in (b"encoder", b"predictor", b"joint")]
        _check(min(indices))
        self.encoder, self.predictor, self.joint = indices
        self.encoder_bytes = self._fit(self.encoder, 0)
        self.predictor_bytes = self._fit(self.predictor, 1)
        context_bytes = model_tensor_size(state, model, self.predictor, INPUT, 0)
        logits_bytes = model_tensor_size(state, model, self.joint, OUTPUT, 0)
        if logits_bytes != self.unit_count or context_bytes != 4 * max(self.context_size, 1):
            raise _CallError(spec.ERROR_MODEL_SUBGRAPH)

    def _metadata(self):
        fb = Flatbuffer(memoryview(self.model))
        at, count = metadata.find(fb, fb.follow(0))
        if count < spec.METADATA_BYTES:
            raise _CallError(spec.ERROR_MODEL_METADATA)
        return struct.unpack_from(spec.METADATA_STRUCT, self.model, at)

    def _fit(self, source, k):
        """Return the bytes of a subgraph's output 0, which must go into the joint's input k as it is."""
        parts = ((source, OUTPUT, 0), (self.joint, INPUT, k))
        sizes = [model_tensor_size(self.state, self.model, *part) for part in parts]
        kinds = [_quantization(self.state, self.model, *part) for part in parts]
        if not 0 < sizes[0] <= 65535 or sizes[0] != sizes[1] or kinds[0] != kinds[1]:
            raise _CallError(spec.ERROR_MODEL_SUBGRAPH)
        return sizes[0]

    def get(self, subgraph, output, k):
        """Return a tensor's bytes."""
        at = model_tensor(self.state, self.model, subgraph, output, k)
        return bytes(self.state[at : at + model_tensor_size(self.state, self.model, subgraph, output, k)])

    def set(self, subgraph, k, data):
        """Fill input k of a subgraph."""
        at = model_tensor(self.state, self.model, subgraph, INPUT, k)
        self.state[at : at + len(data)] = data

    def invoke(self, subgraph):
        """Run a subgraph; raises _CallError."""
        _check(model_invoke(self.state, self.model, subgraph))


# Fields of a config that stay what they were for as long as a decoder's state lives.
_SIZES = (
    spec.CONFIG_INDEX_MAX_TOKENS,
    spec.CONFIG_INDEX_MAX_ALTERNATIVES,
    spec.CONFIG_INDEX_MAX_NODES,
    spec.CONFIG_INDEX_MAX_EDGES,
    spec.CONFIG_INDEX_MAX_CONTEXT,
)


def _config_ok(config):
    index = spec.CONFIG_INDEX_MAX_TOKENS, spec.CONFIG_INDEX_MAX_ALTERNATIVES, spec.CONFIG_INDEX_MAX_NODES
    limits = spec.LIMITS_SEARCH_TOKENS, spec.LIMITS_SEARCH_ALTERNATIVES, spec.LIMITS_SEARCH_NODES
    ranges = [(i, 1, limit) for i, limit in zip(index, limits)]
    ranges.append((spec.CONFIG_INDEX_MAX_EDGES, 1, spec.LIMITS_SEARCH_EDGES))
    ranges.append((spec.CONFIG_INDEX_BEAM, 0, spec.LIMITS_SEARCH_BEAM))
    ranges.append((spec.CONFIG_INDEX_LATTICE_BEAM, 0, spec.LIMITS_SEARCH_BEAM))
    ranges.append((spec.CONFIG_INDEX_MAX_CONTEXT, 0, spec.LIMITS_SEARCH_CONTEXT))
    ranges.append((spec.CONFIG_INDEX_BLANK_PENALTY, -32768, 32767))
    ranges.append((spec.CONFIG_INDEX_START_DISCOUNT, -32768, 32767))
    ranges.append((spec.CONFIG_INDEX_LANGUAGE_SCALE, 0, 32767))
    ranges.append((spec.CONFIG_INDEX_REJECTION, 0, 65535))
    return all([low <= config[i] <= high for i, low, high in ranges])


def _read_config(config):
    if byte_length(config) < 4 * spec.CONFIG_INDEX_COUNT:
        raise _CallError(spec.ERROR_ARGUMENT)
    return read(config, "i", spec.CONFIG_INDEX_COUNT)


def _search_bytes(config):
    """Return the bytes of the native search's state: struct, two token tables, nodes, edges, hash."""
    tokens = config[spec.CONFIG_INDEX_MAX_TOKENS]
    nodes, edges = config[spec.CONFIG_INDEX_MAX_NODES], config[spec.CONFIG_INDEX_MAX_EDGES]
    buckets = 8
    while buckets < tokens:
        buckets *= 2
    table = tokens * (20 + 16 * config[spec.CONFIG_INDEX_MAX_ALTERNATIVES])
    table = _align8(max(table, scratch_bytes(nodes, edges)))
    rows = _align8(16 * nodes) + _align8(16 * edges) + _align8(2 * buckets)
    return SEARCH_BYTES + 2 * table + rows + spec.CONTEXT_NODE_BYTES * config[spec.CONFIG_INDEX_MAX_CONTEXT]


def _state_bytes(model, config):
    """Return the bytes of the native decoder's state."""
    if not _config_ok(config):
        raise _CallError(spec.ERROR_ARGUMENT)
    rows = {0: 1, 1: model.unit_count}.get(model.context_size, ROWS)
    caches = _align8(model.encoder_bytes) + _align8(rows * model.predictor_bytes) + _align8(2 * rows)
    return DECODER_BYTES + caches + _align8(2 * model.unit_count) + 4 * 256 + _search_bytes(config)


class _Decoder:
    """One utterance."""

    def __init__(self, model, graph, config):
        self.graph = graph
        self.config = config
        self.context_size = model.context_size
        self.search = None
        self.restart(config)
        self.encoder, self.predictor, self.joint = model.encoder, model.predictor, model.joint
        self.table = bytearray(4 * 256)
        scale = _quantization(model.state, model.model, model.joint, OUTPUT, 0)[0]
        if log_softmax_table(scale, self.table) < 0:
            raise _CallError(spec.ERROR_MODEL_SUBGRAPH)
        self._predicted = {}

    def restart(self, config):
        """Start another utterance with the context of the one before, and a config but for the tables' sizes."""
        context = self.search.context if self.search else None
        self.config = [self.config[i] if i in _SIZES else value for i, value in enumerate(config)]
        self.search = Search(self.config, self.context_size, self.graph)
        if context:
            self.search.context = context

    def _predict(self, model, context):
        if context not in self._predicted:
            units = [(context >> (8 * k)) & 0xFF for k in reversed(range(max(self.context_size, 1)))]
            model.set(self.predictor, 0, struct.pack("<%di" % len(units), *units))
            model.invoke(self.predictor)
            self._predicted[context] = model.get(self.predictor, OUTPUT, 0)
        return self._predicted[context]

    def step(self, model):
        """Make one step on the encoder's current output; raises _CallError."""
        encoded = model.get(self.encoder, OUTPUT, 0)

        def score(context):
            predicted = self._predict(model, context)
            model.set(self.joint, 0, encoded)
            model.set(self.joint, 1, predicted)
            model.invoke(self.joint)
            logits = model.get(self.joint, OUTPUT, 0)
            log_probs = bytearray(2 * len(logits))
            log_softmax(logits, self.table, log_probs)
            return read(log_probs, "h", len(logits))

        _check(self.search.step(score))


def _open_graph(graph, contents):
    try:
        return Graph(graph, contents)
    except GraphError as error:
        raise _CallError(error.code)


def _get_decoder(state, graph):
    """Return the live decoder of a state; its graph must be the one given."""
    magic, number = read(state, "I", 2) if byte_length(state) >= 8 else (0, 0)
    decoder = _live.get(number)
    if magic != MAGIC or decoder is None:
        raise _CallError(spec.ERROR_STATE)
    header = bytes(graph[: spec.GRAPH_BYTES])
    if header != decoder.graph.data[: spec.GRAPH_BYTES] or byte_length(graph) < len(decoder.graph.data):
        _open_graph(graph, False)
        raise _CallError(spec.ERROR_STATE)
    return decoder


def _guarded(method, *arguments):
    try:
        return method(*arguments)
    except _CallError as refused:
        return -refused.code


def _size(model_state, model, graph, config):
    config = _read_config(config)
    _open_graph(graph, False)
    return _state_bytes(_Model(model_state, model), config)


def decoder_size(model_state, model, graph, config):
    """Return the bytes of state (those that native code needs): see docs/kernels_api.md."""
    return _guarded(_size, model_state, model, graph, config)


def _init(state, model_state, model, graph, config):
    config = _read_config(config)
    parts = _Model(model_state, model)
    size = _state_bytes(parts, config)
    checked = _open_graph(graph, True)
    if checked.units_crc != parts.units_crc or checked.max_unit() >= parts.unit_count:
        raise _CallError(spec.ERROR_GRAPH_UNITS)
    if byte_length(state) < size:
        raise _CallError(spec.ERROR_BUFFER_SMALL)
    decoder = _Decoder(parts, checked, config)
    magic, number = read(state, "I", 2)
    if magic != MAGIC or number not in _live:
        _numbers[0] = number = _numbers[0] + 1
        _live.pop(number - MAX_LIVE, None)
    _live[number] = decoder
    write(state, "I", (MAGIC, number))
    return 0


def decoder_init(state, model_state, model, graph, config):
    """Start an utterance: see docs/kernels_api.md."""
    return _guarded(_init, state, model_state, model, graph, config)


def _restart(state, graph, config):
    decoder = _get_decoder(state, graph)
    config = _read_config(config)
    if not _config_ok(config):
        raise _CallError(spec.ERROR_ARGUMENT)
    decoder.restart(config)
    return 0


def decoder_restart(state, graph, config):
    """Start another utterance with the same graph and tables: see docs/kernels_api.md."""
    return _guarded(_restart, state, graph, config)


def _context(state, graph, table):
    try:
        _get_decoder(state, graph).search.set_context(bytes(table))
    except ValueError as refused:
        raise _CallError(refused.args[0])
    return 0


def decoder_context(state, graph, table):
    """Set the phrases that are likely now: see docs/kernels_api.md."""
    return _guarded(_context, state, graph, table)


def _step(state, model_state, model, graph):
    decoder = _get_decoder(state, graph)
    decoder.step(_Model(model_state, model))
    return 0


def decoder_step(state, model_state, model, graph):
    """Make one step of the search on the encoder's current output: see docs/kernels_api.md."""
    return _guarded(_step, state, model_state, model, graph)


def _status(state, graph, status):
    decoder = _get_decoder(state, graph)
    if byte_length(status) < 4 * spec.STATUS_INDEX_COUNT:
        raise _CallError(spec.ERROR_ARGUMENT)
    write(status, "i", decoder.search.status()[: spec.STATUS_INDEX_BRANCH])
    return 0


def decoder_status(state, graph, status):
    """Fill in figures for end-pointing and statistics: see docs/kernels_api.md."""
    return _guarded(_status, state, graph, status)


def _partial(state, graph, words):
    search = _get_decoder(state, graph).search
    path = [edge.word for edge in search.lattice.best_edges(search.best.entries[0].node)]
    write(words, "H", path[: byte_length(words) // 2])
    return len(path)


def decoder_partial(state, graph, words):
    """Write the word indices of the best path so far: see docs/kernels_api.md."""
    return _guarded(_partial, state, graph, words)


def _lattice(state, graph, lattice, utterance, revision, budget):
    search = _get_decoder(state, graph).search
    if budget < 0:
        raise _CallError(spec.ERROR_ARGUMENT)
    data = write_lattice(search, utterance, revision, byte_length(lattice), budget)
    if data is None:
        raise _CallError(spec.ERROR_BUFFER_SMALL)
    memoryview(lattice)[: len(data)] = data
    return len(data)


def decoder_lattice(state, graph, lattice, utterance, revision, budget):
    """Write the lattice of the utterance so far; returns its bytes: see docs/kernels_api.md."""
    return _guarded(_lattice, state, graph, lattice, utterance, revision, budget)
