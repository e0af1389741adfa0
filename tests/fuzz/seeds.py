"""Small valid inputs that the fuzz targets start from, made by the builders of the kernels' tests.

Usage: python tests/fuzz/seeds.py FOLDER
"""

import functools
import importlib
import random
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import stapes_spec as spec
from hypothesis import HealthCheck, given, settings
from stapes.link.frame import FrameWriter
from stapes_tools.convert.read import read_model
from stapes_tools.lattice.lattice import Edge, Lattice, Word

HERE = Path(__file__).parent
KERNEL_TESTS = HERE.parent / "kernels"
sys.path.insert(0, str(KERNEL_TESTS))

import model_builder as mb  # noqa: E402  (beside the kernels' tests)
import model_packed  # noqa: E402
import model_samples  # noqa: E402
from graph_builder import random_graph, tree_graph  # noqa: E402
from lstm_builder import lstm_model  # noqa: E402

SAMPLES_PER_OPERATOR = 3
# (kind, bits, shape of the weights, zero point, has a bias): blocks and segments whole and short.
PACKED = (
    ("conv", 4, [5, 1, 1, 12], -5, True),
    ("conv", 8, [8, 1, 2, 6], -128, None),
    ("conv", 4, [6, 1, 1, 300], 3, True),
    ("fully_connected", 8, [3, 260], 0, True),
    ("fully_connected", 4, [4, 10], 127, False),
)


def _sampled():
    """Random models, three of each operator: SAMPLES of every model_samples*.py, and GATHER's, which has a limit."""
    samples = {"gather": model_samples.gather}
    for path in sorted(KERNEL_TESTS.glob("model_samples*.py")):
        samples |= importlib.import_module(path.stem).SAMPLES
    return {
        f"{name}_{number}": sample(np.random.default_rng(zlib.crc32(name.encode()) + number))[0]
        for name, sample in samples.items()
        for number in range(SAMPLES_PER_OPERATOR)
    }


def _drawn():
    """The same from Hypothesis strategies: STRATEGIES of every model_strategies*.py; a sample has its model."""
    seeds = {}
    for path in sorted(KERNEL_TESTS.glob("model_strategies*.py")):
        for name, strategy in importlib.import_module(path.stem).STRATEGIES.items():
            # Hypothesis draws the simplest samples first. A strategy may draw one of several operators.
            for number, model in enumerate(_examples(strategy(), 5 * SAMPLES_PER_OPERATOR)):
                seeds[f"{name}_{operators(model)}_{number % SAMPLES_PER_OPERATOR}"] = model
    return seeds


def operators(model):
    """The kinds of a model's operators, joined by dashes."""
    kinds = {operator.kind for subgraph in read_model(model).subgraphs for operator in subgraph.operators}
    return "-".join(sorted(kinds))


def _examples(strategy, count):
    """The models of so many samples, always the same ones."""
    found = []

    @settings(derandomize=True, max_examples=count, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(strategy)
    def keep(sample):
        found.append(sample.model)

    keep()
    return found


@functools.cache
def model_seeds():
    """Models: those of the golden vectors, a recurrent one, random ones of each operator, packed ones."""
    golden = sorted((HERE.parent / "golden").glob("**/*.tflite"))
    seeds = {path.stem: path.read_bytes() for path in golden}
    seeds["lstm"] = lstm_model(np.random.default_rng(0), inputs=3, cells=2, steps=2, cell_clip=0.5)
    return seeds | _sampled() | _drawn() | zero_skip_seeds()


def zero_skip_seeds():
    """Models of packed layers, 4 and 8 bits, one segment and two."""
    golden = sorted((HERE.parent / "golden").glob("**/packed*.tflite"))
    seeds = {path.stem: path.read_bytes() for path in golden}
    for number, (kind, bits, shape, zero_point, bias) in enumerate(PACKED):
        rng = np.random.default_rng(number)
        stock = model_packed.layer(rng, kind, bits, shape, zero_point=zero_point, bias=bias, width=3)
        seeds[f"packed_{number}"] = model_packed.packed_always(stock)
    return seeds


def graph_seeds():
    """Grammars with cycles, grammars with final states only at the ends of trees; each with bytes for the search."""
    seeds = {}
    for number in range(6):
        rng = random.Random(number)
        graph = tree_graph(rng) if number % 2 else random_graph(rng)
        seeds[f"graph_{number}"] = graph + rng.randbytes(16)
    return seeds


def _dense(rng, graph, shape, x_scale):
    w = graph.tensor(shape, scale=[0.02] * shape[0], data=rng.integers(-127, 128, shape))
    bias = graph.tensor([shape[0]], mb.INT32, scale=[0.02 * x_scale] * shape[0], data=rng.integers(-99, 99, shape[0]))
    return w, bias


def speech_model(seed=0, channels=4):
    """The smallest model that decodes: encoder, predictor, joint; the units of model_builder."""
    rng = np.random.default_rng(seed)
    builder = mb.Builder()
    units = len(mb.UNITS)
    encoder = builder.graph("encoder")
    x = encoder.tensor([1, 1, 1, channels], scale=0.1)
    y = encoder.tensor([1, 1, 1, channels], scale=0.1, zero_point=3)
    encoder.conv(x, *_dense(rng, encoder, [channels, 1, 1, channels], 0.1), y)
    encoder.subgraph.inputs, encoder.subgraph.outputs = [x], [y]
    predictor = builder.graph("predictor")
    indices = predictor.tensor([2], mb.INT32)
    table = predictor.tensor([units, 2], scale=0.1, zero_point=3, data=rng.integers(-128, 128, [units, 2]))
    rows = predictor.tensor([2, 2], scale=0.1, zero_point=3)
    flat = predictor.tensor([1, channels], scale=0.1, zero_point=3)
    predictor.gather(table, indices, rows)
    predictor.reshape(rows, [1, channels], flat)
    predictor.subgraph.inputs, predictor.subgraph.outputs = [indices], [flat]
    joint = builder.graph("joint")
    a = joint.tensor([1, 1, 1, channels], scale=0.1, zero_point=3)
    b = joint.tensor([1, channels], scale=0.1, zero_point=3)
    total = joint.tensor([1, 1, 1, channels], scale=0.2, zero_point=-128)
    logits = joint.tensor([1, 1, 1, units], scale=0.1)
    joint.add(a, b, total, fusedActivationFunction=mb.ACTIVATION.RELU)
    joint.conv(total, *_dense(rng, joint, [units, 1, 1, channels], 0.2), logits)
    joint.subgraph.inputs, joint.subgraph.outputs = [a, b], [logits]
    return builder.build()


def decoder_seeds():
    """A model, a grammar for its units, and the grammar's length."""
    seeds = {}
    model = speech_model()
    units_crc = struct.unpack_from("<I", model, model.find(b"STPM") + spec.METADATA_UNITS_CRC_OFFSET)[0]
    for number in range(2):
        rng = random.Random(number)
        graph = bytearray(random_graph(rng, units=3) if number else tree_graph(rng, units=3, words=2, branches=2))
        struct.pack_into("<I", graph, spec.GRAPH_UNITS_CRC_OFFSET, units_crc)
        struct.pack_into("<I", graph, spec.GRAPH_CRC_OFFSET, 0)
        struct.pack_into("<I", graph, spec.GRAPH_CRC_OFFSET, zlib.crc32(graph))
        seeds[f"utterance_{number}"] = model + bytes(graph) + struct.pack("<I", len(graph))
    return seeds


def frontend_seeds():
    """A prior, then noise and full scale in calls of many lengths."""
    rng = random.Random(0)
    prior = struct.pack("<40h", *(rng.randrange(-9000, 9000) for _ in range(40)))
    loud = struct.pack("<800h", *(rng.choice((-32768, 32767)) for _ in range(800)))
    return {
        "noise": prior + b"\xff" + rng.randbytes(2 * 8 * 255) + b"\x05" + rng.randbytes(80) + b"\0",
        "loud": prior + b"\x64" + loud,
        "silence": prior + b"\xc8" + bytes(3200),
    }


def frame_seeds():
    """Frames of many lengths, padded and not, two of them damaged; the two bytes before them: buffer and pace."""
    writers = [FrameWriter(padded) for padded in (False, True)]
    rng = random.Random(1)
    payloads = [b"", bytes(300), rng.randbytes(90), b"\x01" * 600, rng.randbytes(spec.FRAME_PAYLOAD)]
    frames = [bytes(writers[k % 2].encode(16 + k % 3, k, 1, 128, 0, 7, one)) for k, one in enumerate(payloads)]
    bent = bytearray(frames[2])
    bent[20] ^= 1
    stream = b"".join(frames)
    return {
        "whole": b"\x1f\xff" + stream,
        "slow": b"\x1f\x02" + stream,
        "small": b"\x01\x20" + stream,
        "damaged": b"\x12\x40" + frames[0] + bytes(bent) + frames[3][:99] + b"\0" + frames[1],
    }


def stg_seeds():
    """The grammars of graph_seeds without what follows them."""
    return {
        name: data[: struct.unpack_from("<I", data, spec.GRAPH_FILE_BYTES_OFFSET)[0]]
        for name, data in graph_seeds().items()
    }


def lattice_seeds():
    """A lattice of one word in two readings, and one without words."""
    words = [Word("make"), Word("tea", "drink", True), Word("tee", "drink", True)]
    edges = [
        Edge(0, 1, 0, 0, 30, -5, -6, True),
        Edge(1, 2, 1, 30, 90, -9, -4, True),
        Edge(1, 2, 2, 30, 90, -9, -44),
        Edge(2, 3, None, 90, 120, -1, 0, True),
    ]
    return {
        "words": Lattice([0, 30, 90, 120], edges, words, "order", 7, 1).to_bytes(),
        "empty": Lattice([0, 30], [Edge(0, 1, None, 0, 30, -1, 0, True)], []).to_bytes(),
    }


# By fuzz target of the kernels, and by case of cases.py.
SEEDS = {
    "model": model_seeds,
    "zero_skip": zero_skip_seeds,
    "graph": graph_seeds,
    "decoder": decoder_seeds,
    "frontend": frontend_seeds,
    "frame": frame_seeds,
    "model_twins": model_seeds,
    "graph_twins": stg_seeds,
    "model_readers": model_seeds,
    "graph_reader": stg_seeds,
    "lattice_reader": lattice_seeds,
}


def write_seeds(target, folder):
    """Write the seeds of a target into a folder, and return it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS[target]().items():
        (folder / name).write_bytes(data)
    return folder


if __name__ == "__main__":
    for each in SEEDS:
        write_seeds(each, Path(sys.argv[1]) / each)
