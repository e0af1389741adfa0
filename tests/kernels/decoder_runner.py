"""A whole decoder on one utterance of random features, through any implementation of the method table."""

import array
import struct
import zlib

import stapes_spec as spec
from graph_builder import seal
from model_runner import Runner
from search_runner import make_config
from stapes_tools.grammar.units import units_block

CAPACITY = 1 << 16


def features(rng, steps):
    """Random int8 features: a list of [120] rows as bytes."""
    size = spec.FRONTEND_FEATURE_SIZE
    return [bytes((rng.randint(-40, 40) & 0xFF) for _ in range(size)) for _ in range(steps)]


class DecoderRunner:
    """Model and decoder of one implementation: stapes_tools.kernels or stapes_reference."""

    def __init__(self, kernels, model, graph, **config):
        self.kernels, self.graph = kernels, graph
        self.encoder = Runner(kernels, model)
        self.config = array.array("i", make_config(**config))
        size = kernels.decoder_size(self.encoder.state, model, graph, self.config)
        assert size > 0, size
        self.state = bytearray(size)
        one = self.encoder
        assert kernels.decoder_init(self.state, one.state, one.model, graph, self.config) == 0
        assert kernels.model_reset(one.state, one.model) == 0

    def restart(self, **config):
        """Start another utterance, with other settings where some are given."""
        again = array.array("i", make_config(**config)) if config else self.config
        assert self.kernels.model_reset(self.encoder.state, self.encoder.model) == 0
        assert self.kernels.decoder_restart(self.state, self.graph, again) == 0

    def step(self, row):
        """Encode one row of features and search on."""
        one = self.encoder
        one(row)
        return self.kernels.decoder_step(self.state, one.state, one.model, self.graph)

    def status(self):
        values = array.array("i", [0] * spec.STATUS_INDEX_COUNT)
        assert self.kernels.decoder_status(self.state, self.graph, values) == 0
        return list(values)

    def partial(self):
        words = array.array("H", [0] * 64)
        return list(words[: self.kernels.decoder_partial(self.state, self.graph, words)])

    def lattice(self, utterance=1, revision=0, budget=0):
        out = bytearray(CAPACITY)
        size = self.kernels.decoder_lattice(self.state, self.graph, out, utterance, revision, budget)
        assert size > 0, size
        return bytes(out[:size])


def with_units(graph, units):
    """The graph, made for the unit count of convert.write.random_model."""
    names = ("<blank>", *(f"u{unit}" for unit in range(1, units)))
    data = bytearray(graph)
    struct.pack_into("<I", data, spec.GRAPH_UNITS_CRC_OFFSET, zlib.crc32(units_block(names)))
    return seal(data)
