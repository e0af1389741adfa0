"""INT4 weights: where they are refused, and what damaged, hostile and unaligned files do to them."""

import struct

import model_builder as mb
import numpy as np
import pytest
import stapes_spec as spec
from ai_edge_litert import schema_py_generated as schema
from model_int4 import int4_layers
from model_runner import Runner, check
from test_model_hostile import assert_alike, assert_changed_bytes_alike, resealed

DEPTH = 8
FLIPS = 600


def layer(kind, type_=mb.INT4, rows=2, depth=DEPTH, change=None):
    """One layer whose weights are all of another value in each row, without bias."""
    builder = mb.Builder()
    graph = builder.graph()
    lead = [] if kind == "fully_connected" else [1, 1]
    x = graph.tensor([1, *lead, depth], scale=0.1, zero_point=-3)
    shape = [1, 1, 1, depth] if kind == "depthwise" else [rows, *lead, depth]
    outputs = depth if kind == "depthwise" else rows
    data = np.resize(np.arange(-8, 8), shape)
    w = graph.tensor(shape, type_, scale=np.full(outputs, 0.1), axis=3 if kind == "depthwise" else 0, data=data)
    y = graph.tensor([1, *lead, outputs], scale=1.0)
    getattr(graph, kind)(x, w, -1, y)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    if change:
        change(builder, graph.subgraph)
    return builder.build()


def refused(native, reference, model, code, detail=None):
    found = check(native, model)
    assert found == check(reference, model)
    assert found[0] == -code, (found, spec.ERRORS.get(-found[0]))
    if detail is not None:
        assert found[1][2] == detail


def test_convolutions_are_served(native, reference):
    found = check(native, layer("conv"))
    assert found[0] > 0 and found == check(reference, layer("conv"))


@pytest.mark.parametrize("kind", ["depthwise", "fully_connected"])
def test_other_layers_refuse_int4_weights(native, reference, kind):
    assert check(native, layer(kind, mb.INT8))[0] > 0
    refused(native, reference, layer(kind), spec.ERROR_MODEL_TYPE, detail=1)


@pytest.mark.parametrize("count", [0, 1, 7, 9, 16])
def test_data_of_another_length_is_refused(native, reference, count):
    """2 x 8 weights take 8 bytes; without any the tensor is no constant."""

    def change(builder, graph):
        builder.model.buffers[graph.tensors[1].buffer].data = np.full(count, 0x53, np.uint8)

    code = spec.ERROR_MODEL_TRUNCATED if count else spec.ERROR_MODEL_TYPE
    refused(native, reference, layer("conv", change=change), code)


@pytest.mark.parametrize(("rows", "depth"), [(1, 1), (3, 5), (1, 9), (5, 7)])
def test_odd_counts_take_half_a_byte_more(native, reference, rows, depth):
    assert check(native, layer("conv", rows=rows, depth=depth))[0] > 0

    def change(builder, graph):
        buffer = builder.model.buffers[graph.tensors[1].buffer]
        buffer.data = buffer.data[:-1] if rows * depth > 1 else np.zeros(2, np.uint8)

    model = layer("conv", rows=rows, depth=depth, change=change)
    refused(native, reference, model, spec.ERROR_MODEL_TRUNCATED)


def test_the_half_byte_beyond_the_last_weight_is_ignored(native, reference):
    def change(builder, graph):
        buffer = builder.model.buffers[graph.tensors[1].buffer]
        buffer.data = np.append(buffer.data[:-1], buffer.data[-1] | 0xF0).astype(np.uint8)

    x = np.full(DEPTH - 1, 127, np.int8)
    for kernels in (native, reference):
        plain, changed = (Runner(kernels, layer("conv", rows=1, depth=7, change=c))(x) for c in (None, change))
        assert plain == changed


@pytest.mark.parametrize(("zero_point", "accepted"), [(0, True), (1, False), (-8, False), (8, False), (1 << 40, False)])
def test_weights_are_symmetric(native, reference, zero_point, accepted):
    def change(builder, graph):
        graph.tensors[1].quantization.zeroPoint = [0, zero_point]

    model = layer("conv", change=change)
    if accepted:
        assert check(native, model)[0] == check(reference, model)[0] > 0
    else:
        refused(native, reference, model, spec.ERROR_MODEL_TYPE, detail=1)


def copying(kind, type_):
    """A GATHER, RESHAPE or CONCATENATION of a constant."""
    builder = mb.Builder()
    graph = builder.graph()
    x = graph.tensor([2], mb.INT32)
    table = graph.tensor([2, 4], type_, scale=0.1, data=np.ones([2, 4]))
    y = graph.tensor([4, 2] if kind == "reshape" else [4, 4] if kind == "concatenation" else [2, 4], type_, scale=0.1)
    z = graph.tensor([2], mb.INT32)
    if kind == "gather":
        graph.gather(table, x, y)
    elif kind == "reshape":
        graph.reshape(table, [4, 2], y)
    else:
        graph.concatenation([table, table], y, 0)
    graph.reshape(x, [2], z)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    return builder.build()


@pytest.mark.parametrize("kind", ["gather", "reshape", "concatenation"])
def test_constants_that_are_copied_have_whole_bytes(native, reference, kind):
    assert check(native, copying(kind, mb.INT8))[0] > 0
    refused(native, reference, copying(kind, mb.INT4), spec.ERROR_MODEL_TYPE)


@pytest.mark.parametrize("index", [0, 2], ids=["input", "output"])
def test_activations_have_whole_bytes(native, reference, index):
    def change(builder, graph):
        graph.tensors[index].type = mb.INT4

    refused(native, reference, layer("conv", change=change), spec.ERROR_MODEL_TYPE, detail=index)


def test_biases_are_int32(native, reference):
    def change(builder, graph):
        bias = schema.TensorT()
        bias.shape, bias.type, bias.buffer = [2], mb.INT4, builder.buffer(b"\x11")
        graph.tensors.append(bias)
        graph.operators[0].inputs = [0, 1, 3]

    refused(native, reference, layer("conv", change=change), spec.ERROR_MODEL_TYPE, detail=3)


def moved(model, weights, shift):
    """The same file with the buffer of these bytes copied to shift bytes after a multiple of 16."""
    vector = model.index(struct.pack("<I", len(weights)) + weights)
    reference = next(
        at for at in range(8, vector) if at + struct.unpack_from("<I", model, at)[0] == vector and at % 4 == 0
    )
    changed = bytearray(model) + bytes(-len(model) % 16 + 12 + shift)
    struct.pack_into("<I", changed, reference, len(changed) - reference)
    return mb.seal(bytes(changed + struct.pack("<I", len(weights)) + weights))


@pytest.mark.parametrize("type_", [mb.INT4, mb.INT8])
def test_weights_at_any_position_give_the_same(native, reference, type_):
    rng = np.random.default_rng(3)
    depth, rows = 16, 3
    values = rng.integers(-8, 8, [rows, 1, 1, depth])
    builder = mb.Builder()
    graph = builder.graph()
    x = graph.tensor([1, 1, 1, depth], scale=0.1, zero_point=-20)
    w = graph.tensor(values.shape, type_, scale=np.full(rows, 0.1), data=values)
    y = graph.tensor([1, 1, 1, rows], scale=0.5)
    graph.conv(x, w, -1, y)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    model = builder.build()
    weights = bytes(builder.model.buffers[builder.model.subgraphs[0].tensors[w].buffer].data)
    inputs = rng.integers(-128, 128, (10, depth), dtype=np.int8)
    expected = [Runner(native, model)(row) for row in inputs]
    assert len(set(map(tuple, expected))) > 5
    for shift in range(16):
        file = moved(model, weights, shift)
        ours, twin = Runner(native, file), Runner(reference, file)
        for row, outputs in zip(inputs, expected, strict=True):
            assert ours(row) == twin(row) == outputs
            assert ours.state == twin.state


def test_damaged_files_are_refused_or_run_alike(native, reference):
    model = int4_layers()
    assert assert_alike(native, reference, model)
    assert_changed_bytes_alike(native, reference, model, FLIPS, seed=4)
    for length in range(0, len(model), 29):
        assert not assert_alike(native, reference, resealed(model, model[:length]) if length > 64 else model[:length])
