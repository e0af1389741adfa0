"""The decoder on real models: C against twin, scores against the model's own parts, refusals."""

import array
import random

import numpy as np
import pytest
import stapes_spec as spec
import tflite
from decoder_runner import DecoderRunner, features, with_units
from graph_builder import build_graph, random_graph
from model_runner import Runner
from search_runner import ReadLattice, TwinSearch, make_config
from stapes.lattice import Lattice, slot_values
from stapes_tools.convert import write
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model
from stapes_tools.convert.metadata import Metadata, encode_metadata, seal
from stapes_tools.convert.read import metadata_range

UNITS = 9
SIZES = {"units": UNITS, "channels": 8, "joint": 8, "blocks": (write.Block(3),)}


def make_model(context_size=1, seed=0):
    return write.random_model(seed, context_size=context_size, **SIZES)


def make_graph(seed, **shape):
    return with_units(random_graph(random.Random(seed), units=UNITS, **shape), UNITS)


def without_context(data):
    changed = bytearray(data)
    offset, _ = metadata_range(data, spec.MODEL_METADATA_NAME)
    changed[offset + spec.METADATA_CONTEXT_SIZE_OFFSET] = 0
    return seal(bytes(changed))


MODELS = {
    0: without_context(make_model(1)),
    1: make_model(1),
    2: make_model(2),
}
BUSY = {"states": 4, "arcs": 24, "words": 4}  # enough contexts of two units to crowd the predictor's rows


# --- C against twin ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("context_size", MODELS)
def test_native_equals_twin(native, reference, context_size, seed):
    graph, rng = make_graph(seed, **BUSY), random.Random(seed)
    config = {"max_tokens": (96, 12)[seed % 2], "max_nodes": (384, 16)[seed % 2], "beam": 9000, "lattice_beam": 4000}
    both = [DecoderRunner(one, MODELS[context_size], graph, **config) for one in (native, reference)]
    assert len(both[0].state) == len(both[1].state)
    for utterance in range(2):
        for row in features(rng, 8):
            assert [one.step(row) for one in both] == [0, 0]
            assert both[0].status() == both[1].status()
            assert both[0].partial() == both[1].partial()
        lattices = [one.lattice(utterance, 3) for one in both]
        assert lattices[0] == lattices[1]
        ReadLattice(lattices[0])
        checked, trusted = Lattice(lattices[0]), Lattice(lattices[0], checked=True)
        assert checked.best_words() == trusted.best_words() and checked.text == trusted.text
        assert checked.text == " ".join(text for text, _, _ in checked.best_words())
        assert checked.slots == trusted.slots == slot_values(checked.best_words())
        for one in both:
            one.restart()


@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_a_restarted_decoder_is_as_a_new_one(request, implementation):
    kernels = request.getfixturevalue(implementation)
    graph, rng = make_graph(3, **BUSY), random.Random(3)
    config = {"max_tokens": 12, "max_nodes": 16, "max_edges": 24}  # truncated, tokens dropped
    used, fresh = (DecoderRunner(kernels, MODELS[2], graph, **config) for _ in range(2))
    for row in features(rng, 8):
        assert used.step(row) == 0
    assert ReadLattice(used.lattice()).flags & spec.LATTICE_FLAGS_TRUNCATED
    used.restart()
    for row in features(rng, 5):
        assert used.step(row) == fresh.step(row) == 0
        assert used.status() == fresh.status()
    assert used.lattice() == fresh.lattice()
    again = used.config
    assert kernels.decoder_restart(used.state, make_graph(4, **BUSY), again) == -spec.ERROR_STATE
    assert kernels.decoder_restart(bytearray(len(used.state)), graph, again) == -spec.ERROR_STATE
    before = used.lattice()
    assert kernels.decoder_restart(used.state, graph, again[:-1]) == -spec.ERROR_ARGUMENT
    again[spec.CONFIG_INDEX_REJECTION] = -1
    assert kernels.decoder_restart(used.state, graph, again) == -spec.ERROR_ARGUMENT
    assert used.lattice() == before


@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_another_utterance_obeys_other_settings_but_keeps_its_tables(request, implementation):
    kernels = request.getfixturevalue(implementation)
    graph, rng = make_graph(3, **BUSY), random.Random(5)
    sizes = {"max_tokens": 12, "max_nodes": 64, "max_edges": 96}
    settings = {"beam": 9000, "lattice_beam": 700, "blank_penalty": 900, "start_discount": 300, "rejection": 1}
    changed, fresh = (
        DecoderRunner(kernels, MODELS[1], graph, **sizes),
        DecoderRunner(kernels, MODELS[1], graph, **sizes, **settings),
    )
    unchanged = changed.lattice()
    changed.restart(**settings, language_scale=1024)
    for row in features(rng, 12):
        assert changed.step(row) == fresh.step(row) == 0
        assert changed.status() == fresh.status()
    assert changed.lattice() == fresh.lattice() != unchanged


@pytest.mark.parametrize("context_size", MODELS)
def test_scores_are_the_models(native, reference, context_size):
    """The decoder equals the search fed by predictor, joint and log-softmax run one by one."""
    model, graph = MODELS[context_size], make_graph(11, **BUSY)
    decoder = DecoderRunner(native, model, graph)
    encoder, predictor, joint = (Runner(reference, model, part) for part in ("encoder", "predictor", "joint"))
    search = TwinSearch(graph, make_config(), context_size)
    table = array.array("i", [0] * 256)
    scale = logits_scale(model)
    assert reference.log_softmax_table(scale, table) == 0

    def score(context, encoded):
        units = [context >> 8 * age & 0xFF for age in reversed(range(max(context_size, 1)))]
        (predicted,) = predictor(np.array(units, np.int32))
        (logits,) = joint(encoded, predicted)
        log_probs = array.array("h", [0] * UNITS)
        assert reference.log_softmax(logits, table, log_probs) == 0
        return list(log_probs)

    for row in features(random.Random(5), 7):
        decoder.step(row)
        encoded = encoder(row)[0]
        search.step(lambda context, encoded=encoded: score(context, encoded))
        assert decoder.status() == search.status()
    assert decoder.lattice() == search.lattice(1, 0)
    contexts = {token.context for token in search.search.tokens}
    assert contexts == {0} if context_size == 0 else len(contexts) > (5 if context_size == 1 else 40)
    assert decoder.status()[spec.STATUS_INDEX_JOINT_EVALUATIONS] >= 7
    if context_size == 0:
        assert decoder.status()[spec.STATUS_INDEX_JOINT_EVALUATIONS] == 7


def logits_scale(model):
    """Bits of the logits' scale, read with the public schema."""
    root = tflite.Model.GetRootAsModel(model, 0)
    names = [root.Subgraphs(i).Name() for i in range(root.SubgraphsLength())]
    joint = root.Subgraphs(names.index(b"joint"))
    quantization = joint.Tensors(joint.Outputs(0)).Quantization()
    return int(np.float32(quantization.Scale(0)).view(np.uint32))


def test_default_decoder_fits_its_budget(native):
    """A graph stays where it is, so only the configuration and the joint's width count."""
    names = ("max_tokens", "beam", "lattice_beam", "max_alternatives", "max_nodes", "max_edges")
    config = {name: getattr(spec, f"SEARCH_{name.upper()}") for name in names}
    model = write.random_model(0, small=True, joint=128)
    decoder = DecoderRunner(native, model, with_units(random_graph(random.Random(0)), 40), **config)
    assert len(decoder.state) <= 40 * 1024


# --- refusals ----------------------------------------------------------------------------


class Calls:
    """decoder_size and decoder_init with one argument or another replaced."""

    def __init__(self, kernels, model=None, part="encoder"):
        self.kernels = kernels
        self.model = model or MODELS[1]
        self.state = Runner(kernels, self.model, part).state
        self.graph = make_graph(1)
        self.config = array.array("i", make_config())
        self.decoder = bytearray(1 << 17)

    def size(self):
        return self.kernels.decoder_size(self.state, self.model, self.graph, self.config)

    def init(self):
        return self.kernels.decoder_init(self.decoder, self.state, self.model, self.graph, self.config)

    def step(self):
        return self.kernels.decoder_step(self.decoder, self.state, self.model, self.graph)


@pytest.fixture(params=["native", "reference"])
def kernels(request):
    return request.getfixturevalue(request.param)


def test_graph_of_other_units(kernels):
    calls = Calls(kernels)
    calls.graph = random_graph(random.Random(1))
    assert calls.size() > 0  # a matter of size alone
    assert calls.init() == -spec.ERROR_GRAPH_UNITS


def test_unit_the_model_lacks(kernels):
    calls = Calls(kernels)
    calls.graph = with_units(build_graph(1, [(0, UNITS, 0, None, 0)], {0: 0}, [], ["x"]), UNITS)
    assert calls.init() == -spec.ERROR_GRAPH_UNITS


def test_damaged_graph(kernels):
    calls = Calls(kernels)
    good = calls.graph
    calls.graph = good[:-1]
    assert calls.size() == calls.init() == -spec.ERROR_GRAPH_TRUNCATED
    calls.graph = b"RIFF" + good[4:]
    assert calls.size() == calls.init() == -spec.ERROR_GRAPH_MAGIC
    calls.graph = good[:-2] + b"!\0"
    assert calls.init() == -spec.ERROR_GRAPH_CRC


@pytest.mark.parametrize("part", [b"encoder", b"predictor", b"joint"])
def test_missing_part(kernels, part):
    other = "joint" if part == b"encoder" else "encoder"
    calls = Calls(kernels, seal(MODELS[1].replace(part, b"x" * len(part))), other)
    assert calls.size() == calls.init() == -spec.ERROR_MODEL_SUBGRAPH


def mixed_model(encoder, predictor, joint, context_size=1, units=UNITS):
    """A model whose parts come from different networks: (seed, changes of the topology)."""
    parts = []
    for make, (seed, changes) in zip(
        (write._encoder, write._predictor, write._joint), (encoder, predictor, joint), strict=True
    ):
        topology = write.random_topology(**{**SIZES, **changes})
        parameters = write.random_parameters(topology, seed)
        parts.append(make(write.quantise(topology, parameters, write.random_calibration(seed))))
    names = ("<blank>", *(f"u{unit}" for unit in range(1, units)))
    entry = encode_metadata(Metadata(names), context_size)
    return seal(serialise(Model(parts, "mixed", {spec.MODEL_METADATA_NAME: entry})))


ONE, OTHER = (0, {}), (1, {})
MISFITS = {
    "encoder's scale": {"encoder": OTHER, "predictor": ONE, "joint": ONE},
    "predictor's scale": {"encoder": ONE, "predictor": OTHER, "joint": ONE},
    "joint's width": {"encoder": ONE, "predictor": ONE, "joint": (0, {"joint": 12})},
    "joint's units": {"encoder": ONE, "predictor": ONE, "joint": (0, {"units": 8})},
    "context": {"encoder": ONE, "predictor": ONE, "joint": ONE, "context_size": 2},
    "no context": {
        "encoder": (0, {"context_size": 2}),
        "predictor": (0, {"context_size": 2}),
        "joint": ONE,
        "context_size": 0,
    },
}


@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit(kernels, name):
    calls = Calls(kernels, mixed_model(**MISFITS[name]))
    assert calls.size() == calls.init() == -spec.ERROR_MODEL_SUBGRAPH


def test_parts_that_fit(kernels):
    assert Calls(kernels, mixed_model(ONE, ONE, ONE)).init() == 0


def test_small_and_foreign_buffers(kernels):
    calls = Calls(kernels)
    size = calls.size()
    calls.decoder = bytearray(size)
    assert calls.init() == calls.step() == 0
    calls.decoder = bytearray(size - 1)
    assert calls.init() == -spec.ERROR_BUFFER_SMALL
    assert calls.step() == -spec.ERROR_STATE
    calls.decoder = bytearray(0)
    assert calls.init() == -spec.ERROR_BUFFER_SMALL
    assert calls.step() == -spec.ERROR_STATE
    calls.decoder = bytearray(size)
    assert calls.step() == -spec.ERROR_STATE
    calls.config = calls.config[:7]
    assert calls.size() == calls.init() == -spec.ERROR_ARGUMENT
    calls.config = array.array("i", make_config(max_nodes=0))
    assert calls.size() == calls.init() == -spec.ERROR_ARGUMENT


def test_state_of_no_model(kernels):
    calls = Calls(kernels)
    for state in (bytearray(0), bytearray(4), bytearray(len(calls.state))):
        calls.state = state
        assert calls.size() == calls.init() == -spec.ERROR_STATE


def test_another_graph_or_model_on_the_way(kernels):
    calls = Calls(kernels)
    assert calls.init() == 0
    good, calls.graph = calls.graph, make_graph(2)
    out = array.array("i", [0] * 4096)
    for result in (
        calls.step(),
        kernels.decoder_status(calls.decoder, calls.graph, out),
        kernels.decoder_partial(calls.decoder, calls.graph, array.array("H", [0] * 8)),
        kernels.decoder_lattice(calls.decoder, calls.graph, out, 0, 0, 0),
    ):
        assert result == -spec.ERROR_STATE
    calls.graph = good[:20]
    assert calls.step() == -spec.ERROR_GRAPH_TRUNCATED
    calls.graph = good
    calls.state = bytearray(len(calls.state))
    assert calls.step() == -spec.ERROR_STATE
    assert kernels.decoder_status(calls.decoder, good, array.array("i", [0] * 9)) == -spec.ERROR_ARGUMENT
    assert kernels.decoder_lattice(calls.decoder, good, bytearray(10), 0, 0, 0) == -spec.ERROR_BUFFER_SMALL
    assert kernels.decoder_lattice(calls.decoder, good, bytearray(10), 0, 0, -1) == -spec.ERROR_ARGUMENT


def test_unaligned_buffers(native):
    """Python objects know no alignment; native code refuses what it could not read."""
    calls = Calls(native)
    shifted = memoryview(bytearray(len(calls.decoder) + 1))[1:]
    calls.decoder = shifted
    assert calls.init() == -spec.ERROR_ARGUMENT
    assert calls.step() == -spec.ERROR_STATE
