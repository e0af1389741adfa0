"""Hostile models and lattices in the host tools: refused in a line, quickly, without filling the memory."""

import struct
import time
from dataclasses import replace

import flatbuffers
import numpy as np
import pytest
import stapes_spec as spec
import tflite
from stapes_tools.convert import board
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Signature, Subgraph, Tensor
from stapes_tools.convert.inspect import describe
from stapes_tools.convert.metadata import Metadata, decode_metadata, encode_metadata, seal
from stapes_tools.convert.pack import densify, pack, pack_for_decode
from stapes_tools.convert.read import read_model
from stapes_tools.convert.zero_skip import encode
from stapes_tools.errors import UserError
from stapes_tools.grammar.graph import graph_crc, parse_graph
from stapes_tools.lattice import Edge, Lattice, Word, parse

ROWS, DEPTH = 64, 64
UNITS = ("<blank>", "a", "b")
LONGEST_S = 5


def weights():
    """Three blocks of four rows in four are zero: packing pays."""
    kept = np.repeat(np.arange(ROWS // 4) % 4 == 0, 4)[:, None]
    return (np.arange(ROWS * DEPTH).reshape(ROWS, DEPTH) % 251 - 125).astype(np.int8) * kept


def dense():
    """x [1, 64] -> FULLY_CONNECTED -> y [1, 64]: tensors x, weights, bias, y."""
    part = Subgraph("encoder")
    x = part.add(Tensor("x", (1, DEPTH), "int8", (0.1,), (-5,)))
    w = part.constant("w", weights(), scale=(0.01,), zero_point=(0,))
    bias = part.constant("bias", np.arange(ROWS, dtype=np.int32))
    y = part.add(Tensor("y", (1, ROWS), "int8", (0.3,), (4,)))
    part.operate("FULLY_CONNECTED", [x, w, bias], [y], FusedActivationFunction=0, WeightsFormat=0, KeepNumDims=False)
    part.inputs, part.outputs = [x], [y]
    return Model([part], metadata={spec.MODEL_METADATA_NAME: encode_metadata(Metadata(UNITS), 1)})


def changed(tensor, **fields):
    def change(model):
        part = model.subgraphs[0]
        part.tensors[tensor] = replace(part.tensors[tensor], **fields)

    return change


def with_signature(*arguments):
    def change(model):
        model.signatures = [Signature(*arguments)]

    return change


def with_intermediate(model):
    model.subgraphs[0].operators[0].intermediates = [77]


def readers(data):
    for reader in (read_model, describe, pack, densify):
        reader(data)


def test_the_unchanged_model_is_read_and_packed():
    data = seal(serialise(dense()))
    readers(data)
    packed, layers = pack(data)
    assert layers[0].packed and densify(packed)[0] == data


@pytest.mark.parametrize(
    "change",
    [
        changed(1, shape=(ROWS, DEPTH + 1)),
        changed(1, shape=(-ROWS, -DEPTH)),
        changed(2, data=bytes(4 * ROWS - 4)),
        changed(0, shape=(1, -DEPTH)),
        with_intermediate,
        with_signature("encoder", 1, [], []),
        with_signature("encoder", 0, [("x", 99)], []),
        with_signature("encoder", 0, [], [("y", 0xFFFFFFFF)]),
    ],
)
def test_tables_that_contradict_each_other(change):
    model = dense()
    change(model)
    with pytest.raises(UserError, match="damaged"):
        read_model(serialise(model))


def packed_model(change):
    """The layer packed, with a change to its tensors or inputs."""
    model = read_model(pack(seal(serialise(dense())))[0])
    operator = model.subgraphs[0].operators[0]
    assert operator.packed
    change(model.subgraphs[0], operator)
    return serialise(model)


def _tensor(k, **fields):
    def change(part, operator):
        part.tensors[operator.inputs[k]] = replace(part.tensors[operator.inputs[k]], **fields)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _tensor(0, scale=(), zero_point=()),
        _tensor(1, shape=(ROWS,)),
        _tensor(1, shape=(0, DEPTH)),
        _tensor(1, shape=(1 << 20, 1 << 20)),
        _tensor(1, dtype="int16"),
        _tensor(3, data=encode(weights()[:8], 8), shape=(len(encode(weights()[:8], 8)),)),
        lambda part, operator: operator.inputs.__setitem__(3, -1),
        lambda part, operator: operator.inputs.__setitem__(0, -1),
        lambda part, operator: operator.inputs.__setitem__(2, -1),
        lambda part, operator: operator.inputs.pop(),
    ],
)
def test_packed_layers_that_lack_something(change):
    data = packed_model(change)
    describe(data)
    with pytest.raises(UserError, match="packed"):
        densify(data)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (spec.METADATA_HEADER_BYTES_OFFSET, struct.pack("<H", 60000)),
        (spec.METADATA_BYTES + 2 * spec.FRONTEND_MEL_BANDS, b"\xff\xfe"),
        (spec.METADATA_UNIT_COUNT_OFFSET, b"\4"),
    ],
)
def test_damaged_metadata(offset, value):
    data = seal(serialise(dense()))
    at = data.find(spec.MAGIC_METADATA.encode()) + offset
    with pytest.raises(UserError, match="metadata"):
        decode_metadata(data[:at] + value + data[at + len(value) :])


def shared(count):
    """A small file in which count subgraphs are one and the same, its tensors, count of them, too."""
    packer = flatbuffers.Builder(0)

    def vector(offset):
        packer.StartVector(4, count, 4)
        for _ in range(count):
            packer.PrependUOffsetTRelative(offset)
        return packer.EndVector()

    tflite.BufferStart(packer)
    buffers_entry = tflite.BufferEnd(packer)
    packer.StartVector(4, 1, 4)
    packer.PrependUOffsetTRelative(buffers_entry)
    buffers = packer.EndVector()
    tflite.TensorStart(packer)
    tensors = vector(tflite.TensorEnd(packer))
    tflite.SubGraphStart(packer)
    tflite.SubGraphAddTensors(packer, tensors)
    subgraphs = vector(tflite.SubGraphEnd(packer))
    tflite.ModelStart(packer)
    tflite.ModelAddVersion(packer, 3)
    tflite.ModelAddSubgraphs(packer, subgraphs)
    tflite.ModelAddBuffers(packer, buffers)
    packer.Finish(tflite.ModelEnd(packer), b"TFL3")
    return bytes(packer.Output())


def test_tables_shared_a_thousand_times():
    """A thousand times a thousand tensors in eight kilobytes."""
    start = time.thread_time()
    with pytest.raises(UserError, match="damaged"):
        read_model(shared(1000))
    assert time.thread_time() - start < LONGEST_S


def test_a_grammar_of_overlapping_strings():
    """Thousands of strings, each the rest of the file."""
    count, length = 5000, 40_000
    table = struct.pack(f"<{count}I", *range(spec.GRAPH_BYTES + 8 + 4 + 4 * count, spec.GRAPH_BYTES + 12 + 5 * count))
    body = struct.pack("<IIHH", 0, 0, spec.LIMITS_NONE16, 0) + table + b"a" * length + b"\0"
    at = spec.GRAPH_BYTES
    offsets = (at, at + 8, at + 12, at + 12, at + 12)
    fixed = (spec.MAGIC_GRAPH.encode(), spec.VERSION_GRAPH, at, 0, at + len(body), 0)
    data = bytearray(struct.pack(spec.GRAPH_STRUCT, *fixed, 1, 0, 0, count, 0, 0, *offsets) + body)
    struct.pack_into("<I", data, spec.GRAPH_CRC_OFFSET, graph_crc(data))
    with pytest.raises(Exception, match="a string at byte"):
        parse_graph(bytes(data))


def test_a_lattice_later_than_any_recording():
    latest = spec.LIMITS_SEARCH_STEPS * spec.FRONTEND_STEP_MS
    for time_ms in (latest, latest + 1, 0xFFFFFFFF):
        data = Lattice([0, time_ms], [Edge(0, 1, None, 0, 0, 0, 0, True)], []).to_bytes()
        if time_ms == latest:
            assert parse(data).nodes == [0, latest]
        else:
            with pytest.raises(Exception, match=str(time_ms)):
                parse(data)


def test_a_lattice_of_endless_paths():
    """2 ** 60 paths that spell two sentences."""
    words = [Word("tea")]
    edges = [Edge(k, k + 1, None, 0, 0, -score, 0) for k in range(60) for score in (1, 1)]
    edges[0] = replace(edges[0], word=0)
    lattice = parse(Lattice([0] * 61, edges, words).to_bytes())
    start = time.thread_time()
    assert [one.text for one in lattice.nbest(5)] in (["tea", ""], ["", "tea"])
    assert time.thread_time() - start < LONGEST_S


def test_weights_with_a_zero_point_that_no_int8_has_are_left_as_they_are():
    model = dense()
    changed(1, zero_point=((1 << 32) - 4,))(model)
    data = seal(serialise(model))
    assert pack_for_decode(data) == (data, [])


def test_a_tensor_of_a_type_that_no_kernel_knows_is_a_refusal_of_its_operator():
    model = dense()
    data = bytearray(serialise(replace(model, metadata={})))
    fields = tflite.Model.GetRootAs(data).Subgraphs(0).Tensors(3)._tab
    data[fields.Pos + fields.Offset(6)] = 77  # its type
    refusals = board.plan(bytes(data)).operators
    assert [(refused.error, "unknown" in refused.detail) for refused in refusals.values()] == [("model_type", True)]
