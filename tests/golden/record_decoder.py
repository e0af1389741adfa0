"""Traces of graph check, search and lattice: a tiny model listens to noise through the front end.

tiny_model.tflite has random weights: stapes_tools.convert.write.random_model(7, units=6, channels=4,
joint=8, blocks=(), context_size=2), kept as a file because it comes out of floating-point arithmetic.
"""

import binascii
import importlib.util
import random
import struct
from pathlib import Path

import stapes_spec as spec

HERE = Path(__file__).parent
UNITS = b"<blank>\0u1\0u2\0u3\0u4\0u5\0"
STEPS = 20
CHUNK = 480

AMPLE = {"max_tokens": 24, "beam": 9000, "lattice_beam": 2500, "max_alternatives": 4, "max_nodes": 96, "max_edges": 192}
TIGHT = {"max_tokens": 4, "beam": 9000, "lattice_beam": 2500, "max_alternatives": 2, "max_nodes": 6, "max_edges": 8}


def _builder():
    path = HERE.parent / "kernels" / "graph_builder.py"
    module_spec = importlib.util.spec_from_file_location("graph_builder", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


BUILDER = _builder()


def command_graph():
    """Two words with a slot, a filler, an optional ending; state 3 and 5 are final."""
    arcs = [
        (0, 1, 1, None, -200),
        (1, 2, 2, 0, -100),
        (1, 3, 2, 1, -100),
        (2, 4, 3, 2, 0),
        (3, 5, 4, None, -300),
        (4, 1, 5, 3, 0),
        (0, 5, 0, 3, -800),
        (5, 2, 0, 3, -900),
    ]
    words = [(1, 4, 1), (2, 4, 1), (3, None, 0), (5, None, 0)]
    strings = ["order", "small", "large", "tea", "size", "na\u00efve"]
    graph = bytearray(BUILDER.build_graph(6, arcs, {3: 0, 5: 0}, words, strings))
    struct.pack_into("<I", graph, spec.GRAPH_UNITS_CRC_OFFSET, binascii.crc32(UNITS))
    return BUILDER.seal(graph)


def noise(samples):
    source = random.Random(12)
    return struct.pack(f"<{samples}h", *(source.randint(-1, 1) * source.randint(0, 9000) for _ in range(samples)))


def config_data(recorder, settings):
    values = [0] * spec.CONFIG_INDEX_COUNT
    for name, value in {**settings, "blank_penalty": 600, "start_discount": 150, "language_scale": 900}.items():
        values[getattr(spec, f"CONFIG_INDEX_{name.upper()}")] = value
    return recorder.data(struct.pack(f"<{len(values)}i", *values))


class Utterance:
    """Front end, model and decoder of one trace."""

    def __init__(self, recorder, settings, graph=None, model="tiny_model.tflite"):
        self.recorder = recorder
        self.model = recorder.data((HERE / model).read_bytes())
        self.graph = recorder.data(graph or command_graph())
        self.config = config_data(recorder, settings)
        self.info = recorder.zeros(4 * spec.INFO_INDEX_COUNT)
        self.state = recorder.sized("model_size", self.model, self.info)
        recorder.call("model_init", self.state, self.model, self.info)
        self.encoder = recorder.call("model_subgraph", self.state, self.model, recorder.data(b"encoder"))
        self.input = recorder.call("model_tensor", self.state, self.model, self.encoder, 0, 0)
        self.front = recorder.sized("frontend_size")
        recorder.call("frontend_init", self.front, recorder.zeros(2 * spec.FRONTEND_MEL_BANDS))
        self.samples = recorder.data(noise(4 * CHUNK))
        self.status = recorder.zeros(4 * spec.STATUS_INDEX_COUNT)
        self.words = recorder.zeros(2 * 8)
        self.lattice = recorder.zeros(2048)

    def start(self):
        """Size and initialise the decoder."""
        arguments = self.state, self.model, self.graph, self.config
        self.decoder = self.recorder.sized("decoder_size", *arguments)
        self.recorder.call("decoder_init", self.decoder, *arguments)

    def hear(self, index):
        """One chunk of noise; one step of the search for each step it completes."""
        self.hear_chunk(self.samples.piece(2 * CHUNK * (index * index % 4), 2 * CHUNK))

    def hear_chunk(self, chunk):
        """The same for given samples; returns the steps, 0 or 1."""
        features = self.state.piece(self.input, spec.FRONTEND_FEATURE_SIZE)
        steps = self.recorder.call("frontend_apply", self.front, chunk, features)
        if steps:
            self.recorder.call("encoder_step", self.state, self.model, spec.ARBITRATOR_EFFORT_PERCENT)
            self.recorder.call("decoder_step", self.decoder, self.state, self.model, self.graph)
        return steps

    def report(self, revision):
        """Status, partial words and the lattice so far."""
        self.recorder.call("decoder_status", self.decoder, self.graph, self.status)
        self.recorder.expect(self.status)
        self.recorder.call("decoder_partial", self.decoder, self.graph, self.words)
        self.recorder.expect(self.words)
        size = self.recorder.call("decoder_lattice", self.decoder, self.graph, self.lattice, 77, revision, 0)
        self.recorder.expect(self.lattice, 0, max(size, 0))
        for budget in (1, 2 * size // 3):
            cut = self.recorder.call("decoder_lattice", self.decoder, self.graph, self.lattice, 77, revision, budget)
            self.recorder.expect(self.lattice, 0, cut)


def listening(settings):
    """Return a recording function: a whole utterance, reported on the way."""

    def record(recorder):
        utterance = Utterance(recorder, settings)
        utterance.start()
        utterance.report(0)
        for index in range(STEPS):
            utterance.hear(index)
            if index % 6 == 5:
                utterance.report(spec.REVISION_SPECULATIVE + index)
        utterance.report(STEPS)

    return record


CONTEXTS = {  # step -> layout.context_node, by string of command_graph
    0: [(0, 0, 0, 1, 0), (1, 600, 900, 3, 0), (3, 0, 700, 4, 0), (2, 1500, 0, 4, 0)],
    7: [],
    9: [(0, 0, 0, 1, 0), (2, 900, 0, 2, 0), (3, 2000, 0, 3, 0)],
    13: [(0, 0, 0, 1, 0), (2, 900, 0, 1, 0)],  # refused: a child before its parent
}


def context(recorder):
    """Phrases that come, go and come again in one utterance, and stay for the next, which rejects what it finds."""
    utterance = Utterance(recorder, {**AMPLE, "max_context": 5})
    utterance.start()
    for index in range(STEPS):
        if index in CONTEXTS:
            nodes = b"".join(struct.pack(spec.CONTEXT_NODE_STRUCT, *node) for node in CONTEXTS[index])
            recorder.call("decoder_context", utterance.decoder, utterance.graph, recorder.data(nodes))
            utterance.report(index)
        utterance.hear(index)
    utterance.report(STEPS)
    strict = config_data(recorder, {**AMPLE, "rejection": 40})
    recorder.call("decoder_restart", utterance.decoder, utterance.graph, strict)
    for index in range(STEPS // 2):
        utterance.hear(index)
    utterance.report(STEPS)
    recorder.call("decoder_context", utterance.decoder, utterance.graph, recorder.zeros(6 * spec.CONTEXT_NODE_BYTES))


def graph_faults(recorder):
    """What graph_check must refuse, and where."""
    good = command_graph()
    info = recorder.zeros(4 * spec.INFO_INDEX_COUNT)
    arcs = struct.unpack_from("<I", good, spec.GRAPH_ARCS_OFFSET_OFFSET)[0]
    damage = [(0, 88), (spec.GRAPH_VERSION_OFFSET, 9), (spec.GRAPH_STATE_COUNT_OFFSET + 2, 1), (arcs + 8, 6), (arcs, 1)]
    recorder.call("graph_check", recorder.data(good), info)
    for offset, value in damage:
        data = bytearray(good)
        data[offset] = value
        for sealed in (data, BUILDER.seal(data)):
            recorder.call("graph_check", recorder.data(sealed), info)
            recorder.expect(info)
    for length in (0, spec.GRAPH_BYTES, len(good) - 1):
        recorder.call("graph_check", recorder.data(good[:length]), info)
        recorder.expect(info)


def faults(recorder):
    """What the decoder must refuse."""
    utterance = Utterance(recorder, AMPLE, BUILDER.build_graph(1, [], {0: 0}, [], ["x"]))
    arguments = utterance.state, utterance.model
    big = recorder.zeros(1 << 15)
    recorder.call("decoder_init", big, *arguments, utterance.graph, utterance.config)
    recorder.call("decoder_step", big, *arguments, utterance.graph)
    utterance.graph = recorder.data(command_graph())
    recorder.call("decoder_size", *arguments, utterance.graph, config_data(recorder, {**AMPLE, "max_edges": 0}))
    recorder.call("decoder_init", big.piece(0, 1024), *arguments, utterance.graph, utterance.config)
    recorder.call("decoder_init", big, recorder.zeros(64), utterance.model, utterance.graph, utterance.config)
    recorder.call("decoder_init", big, *arguments, utterance.graph, utterance.config)
    recorder.call("decoder_restart", big, utterance.graph, config_data(recorder, {**AMPLE, "rejection": -1}))
    recorder.call("decoder_lattice", big, utterance.graph, utterance.lattice.piece(0, 32), 1, 1, 0)
    recorder.call("decoder_lattice", big, utterance.graph, utterance.lattice, 1, 1, -1)
    recorder.call("decoder_status", big, utterance.graph, utterance.status.piece(0, 8))
    recorder.call("decoder_status", big, utterance.graph.piece(0, 12), utterance.status)


TRACES = {
    "decoder": listening(AMPLE),
    "decoder_full_tables": listening(TIGHT),
    "decoder_context": context,
    "decoder_faults": faults,
    "graph_faults": graph_faults,
}
