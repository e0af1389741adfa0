"""What one fuzzed file must hold to in Python; each function takes the file and raises when it does not.

The kernels and their twin agree on every file: accepted or not, with the same error and the same `info`, and
with the same state after every invocation. The host's readers raise UserError or BoardError, nothing else.
"""

import contextlib
import random
import time
import zlib

import stapes_reference
import stapes_spec as spec
from stapes_tools import kernels
from stapes_tools.convert import board, inspect, pack
from stapes_tools.convert.metadata import decode_metadata, is_sealed
from stapes_tools.convert.read import read_model
from stapes_tools.errors import StapesError
from stapes_tools.grammar.graph import describe, parse_graph, to_dot
from stapes_tools.lattice.formats import FORMATS, render
from stapes_tools.lattice.lattice import parse

# What is larger, or takes the kernels longer, is not run by the twin.
MAX_STATE_BYTES = 1 << 15
MAX_INVOKE_S = 0.002
INVOCATIONS = 2


def _checked(module, method, data):
    """Return (status, info) of model_size or graph_check."""
    info = bytearray(4 * spec.INFO_INDEX_COUNT)
    return getattr(module, method)(data, info), bytes(info)


def _agree(what, found, expected):
    assert found == expected, f"{what}: the kernels give {found}, their twin {expected}"


def _places(state, model, subgraph, output):
    """Return [(offset, size)] of a subgraph's inputs or outputs; empty when there is no such subgraph."""
    places = []
    while (at := kernels.model_tensor(state, model, subgraph, output, len(places))) >= 0:
        places.append((at, kernels.model_tensor_size(state, model, subgraph, output, len(places))))
    return places


def _input_bytes(rng, size):
    """Any bytes, or small int32, which serve as indices."""
    return rng.randbytes(size) if rng.randrange(2) else bytes(0 if i % 4 else rng.randrange(3) for i in range(size))


def _invoke_both(rng, states, model, subgraph):
    """Run a subgraph in both on the same inputs; False when it is not there or takes too long."""
    outputs = _places(states[0], model, subgraph, 1)
    if not outputs:
        return False
    inputs = _places(states[0], model, subgraph, 0)
    for at, size in inputs[: len(inputs) - (len(outputs) - 1)]:  # what is left is recurrent
        data = _input_bytes(rng, size)
        for state in states:
            state[at : at + size] = data
    start = time.thread_time()
    status = kernels.model_invoke(states[0], model, subgraph)
    if time.thread_time() - start > MAX_INVOKE_S:
        return False
    _agree(f"model_invoke of subgraph {subgraph}", status, stapes_reference.model_invoke(states[1], model, subgraph))
    assert states[0] == states[1], f"the states differ after subgraph {subgraph}, status {status}"
    return True


def model_twins(data):
    """A .tflite, in the kernels and in their twin."""
    found = _checked(kernels, "model_size", data)
    _agree("model_size", found, _checked(stapes_reference, "model_size", data))
    if not 0 < found[0] <= MAX_STATE_BYTES:
        return
    rng = random.Random(zlib.crc32(data))
    states = bytearray(found[0]), bytearray(found[0])
    status = kernels.model_init(states[0], data, bytearray(16))
    _agree("model_init", status, stapes_reference.model_init(states[1], data, bytearray(16)))
    assert states[0] == states[1], "the states differ after model_init"
    for subgraph in range(spec.MODEL_MAX_SUBGRAPHS):
        for _ in range(INVOCATIONS):
            if not _invoke_both(rng, states, data, subgraph):
                return


def graph_twins(data):
    """A .stg."""
    _agree("graph_check", _checked(kernels, "graph_check", data), _checked(stapes_reference, "graph_check", data))


def _inspected(data):
    inspect.describe(data, board.plan(data))


def model_readers(data):
    """A .tflite, in the host tools: whatever is read can be packed, unpacked and listed, or is refused in a line."""
    readers = (read_model, pack.pack, pack.pack_for_decode, pack.densify, _inspected, decode_metadata, is_sealed)
    for reader in readers:
        with contextlib.suppress(StapesError):
            reader(data)


def graph_reader(data):
    """A .stg, in the host tools: listed and drawn, or refused in a line."""
    with contextlib.suppress(StapesError):
        describe(data)
        to_dot(parse_graph(data))


def lattice_reader(data):
    """A lattice: refused in a line, or shown in every format."""
    try:
        lattice = parse(data)
    except StapesError:
        return
    for form in FORMATS:
        render(lattice, form)
    lattice.nbest(5)


CASES = {f.__name__: f for f in (model_twins, graph_twins, model_readers, graph_reader, lattice_reader)}
