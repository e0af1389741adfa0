"""Every reason to refuse a model: the code, and where info points."""

import struct

import flatbuffers
import model_builder as mb
import numpy as np
import pytest
import stapes_spec as spec
from ai_edge_litert import schema_py_generated as schema
from model_runner import check
from model_whole import whole


def refused(native, reference, model, code, subgraph=-1, operator=-1, detail=None):
    found = check(native, model)
    assert found == check(reference, model)
    assert found[0] == -code, (found, spec.ERRORS.get(-found[0]))
    assert found[1][:2] == (subgraph, operator)
    if detail is not None:
        assert found[1][2] == detail


def simple(change=None, model_change=None):
    """x -> 1x1 CONV_2D -> y, with a change to the graph or the model object before it is packed."""
    builder = mb.Builder()
    graph = builder.graph()
    x = graph.tensor([1, 1, 1, 4], scale=0.1)
    w = graph.tensor([2, 1, 1, 4], scale=[0.01, 0.02], data=np.ones([2, 1, 1, 4]))
    bias = graph.tensor([2], mb.INT32, scale=[0.001, 0.002], data=[1, 2])
    y = graph.tensor([1, 1, 1, 2], scale=0.3)
    graph.conv(x, w, bias, y)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    if change:
        change(graph.subgraph)
    if model_change:
        model_change(builder.model)
    return builder.build()


def test_the_unchanged_model_is_accepted(native, reference):
    assert check(native, simple()) == check(reference, simple())
    assert check(native, simple())[0] > 0


@pytest.mark.parametrize("length", [0, 1, 7])
def test_too_short(native, reference, length):
    refused(native, reference, simple()[:length], spec.ERROR_MODEL_TRUNCATED, detail=length)


def test_not_a_model(native, reference):
    refused(native, reference, b"RIFF" + bytes(100), spec.ERROR_MODEL_MAGIC)
    refused(native, reference, b"\0\0\0\0TFL3" + bytes(100), spec.ERROR_MODEL_TRUNCATED)


def test_cut_file(native, reference):
    model = whole()
    for length in (len(model) // 2, len(model) - 1):
        assert check(native, model[:length])[0] in (-spec.ERROR_MODEL_TRUNCATED, -spec.ERROR_MODEL_CRC)


def test_schema_version(native, reference):
    model = simple(model_change=lambda m: setattr(m, "version", 4))
    refused(native, reference, model, spec.ERROR_MODEL_VERSION, detail=4)


def test_metadata(native, reference):
    builder = mb.Builder()
    builder.graph()
    refused(native, reference, builder.build(metadata=False), spec.ERROR_MODEL_METADATA, detail=0)
    model = simple()
    at = model.find(b"STPM")
    for offset, value, code in (
        (0, b"STPX", spec.ERROR_MODEL_METADATA),
        (spec.METADATA_VERSION_OFFSET, b"\2\0", spec.ERROR_MODEL_VERSION),
        (spec.METADATA_FILE_CRC_OFFSET, b"\0\0\0\0", spec.ERROR_MODEL_CRC),
    ):
        changed = model[: at + offset] + value + model[at + offset + len(value) :]
        refused(native, reference, changed, code)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (spec.METADATA_HEADER_BYTES_OFFSET, b"\x20\0"),
        (spec.METADATA_SAMPLE_RATE_HZ_OFFSET, struct.pack("<I", 8000)),
        (spec.METADATA_FRAME_LENGTH_OFFSET, struct.pack("<H", 512)),
        (spec.METADATA_FRAME_SHIFT_OFFSET, struct.pack("<H", 80)),
        (spec.METADATA_MEL_BANDS_OFFSET, b"\x50"),
        (spec.METADATA_STACK_OFFSET, b"\1"),
        (spec.METADATA_CONTEXT_SIZE_OFFSET, b"\3"),
        (spec.METADATA_UNIT_COUNT_OFFSET, b"\4"),
        (spec.METADATA_UNIT_COUNT_OFFSET, b"\1"),
        (spec.METADATA_UNIT_COUNT_OFFSET, b"\xff"),
    ],
)
def test_metadata_of_another_front_end(native, reference, offset, value):
    model = simple()
    at = model.find(b"STPM") + offset
    refused(
        native,
        reference,
        mb.seal(model[:at] + value + model[at + len(value) :]),
        spec.ERROR_MODEL_METADATA,
        detail=offset,
    )


def test_unknown_operator(native, reference):
    def change(model):
        model.operatorCodes[0].builtinCode = mb.OP.TRANSPOSE
        model.operatorCodes[0].deprecatedBuiltinCode = mb.OP.TRANSPOSE

    refused(native, reference, simple(model_change=change), spec.ERROR_MODEL_OP, 0, 0, mb.OP.TRANSPOSE)


def test_operator_of_another_subgraph_is_named(native, reference):
    builder = mb.Builder()
    for name, code in (("encoder", mb.OP.ADD), ("predictor", mb.OP.SUB)):
        graph = builder.graph(name)
        a, b, c = (graph.tensor([1, 4], scale=0.1) for _ in range(3))
        graph.add(a, a, b)
        graph.add(b, b, c)
        graph.subgraph.operators[1].opcodeIndex = builder.opcode(code)
        graph.subgraph.inputs, graph.subgraph.outputs = [a], [c]
    refused(native, reference, builder.build(), spec.ERROR_MODEL_OP, 1, 1, mb.OP.SUB)


def _option(name, value):
    return lambda g: setattr(g.operators[0].builtinOptions, name, value)


def _tensor(index, name, value):
    return lambda g: setattr(g.tensors[index], name, value)


def _scale(index, *values):
    return lambda g: setattr(g.tensors[index].quantization, "scale", list(values))


@pytest.mark.parametrize(
    "change",
    [
        _option("fusedActivationFunction", mb.ACTIVATION.TANH),
        _option("strideW", 0),
        _option("strideH", -1),
        _option("dilationWFactor", 5000),
        lambda g: setattr(g.operators[0], "builtinOptions", None),
    ],
)
def test_unserved_options(native, reference, change):
    refused(native, reference, simple(change), spec.ERROR_MODEL_OP, 0, 0, mb.OP.CONV_2D)


@pytest.mark.parametrize(
    "change",
    [
        _tensor(0, "type", schema.TensorType.FLOAT32),
        _tensor(1, "type", schema.TensorType.UINT8),
        _tensor(3, "type", schema.TensorType.INT16),
        _tensor(0, "type", schema.TensorType.INT4),
        _tensor(3, "type", schema.TensorType.INT4),
        _tensor(3, "shape", [1, 1, 1, 3]),
        _tensor(3, "shape", [1, 2, 1, 1]),
        _tensor(0, "shape", [1, 1, 1, 0]),
        _tensor(0, "shape", [1, 1, 1, -4]),
        _tensor(0, "shape", [1, 1, 1, 1, 4]),
        _tensor(3, "shape", [2]),
        _scale(0, 0.0),
        _scale(0, -0.1),
        _scale(0, float("nan")),
        _scale(0, float("inf")),
        _scale(3, 1e-38),
        _scale(1, 0.1, 0.1, 0.1),
        _scale(1, 0.0),
        lambda g: setattr(g.tensors[1].quantization, "zeroPoint", [0, 3]),
        lambda g: setattr(g.tensors[0].quantization, "zeroPoint", [128]),
        lambda g: setattr(g.tensors[0].quantization, "zeroPoint", [1 << 40]),
        lambda g: setattr(g.tensors[1].quantization, "quantizedDimension", 3),
        lambda g: setattr(g.tensors[0], "quantization", None),
        lambda g: setattr(g.operators[0], "outputs", [3, 3]),
        lambda g: setattr(g.operators[0], "outputs", [0]),
        lambda g: setattr(g.operators[0], "outputs", [2]),
        lambda g: setattr(g.operators[0], "inputs", [3, 1, 2]),
        lambda g: setattr(g.operators[0], "inputs", [0, 0, 2]),
        lambda g: setattr(g.operators[0], "inputs", [0]),
        lambda g: setattr(g, "outputs", []),
        lambda g: setattr(g, "outputs", [0]),
        lambda g: setattr(g, "outputs", [3, 3]),
        lambda g: setattr(g, "inputs", [0, 0]),
        lambda g: setattr(g, "inputs", [0, 1]),
        lambda g: setattr(g.tensors[0], "isVariable", True),
        lambda g: setattr(g.tensors[0], "sparsity", schema.SparsityParametersT()),
    ],
)
def test_types_and_shapes(native, reference, change):
    found = check(native, simple(change))
    assert found == check(reference, simple(change))
    assert found[0] == -spec.ERROR_MODEL_TYPE
    assert found[1][0] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda g: setattr(g.operators[0], "inputs", [99, 1, 2]),
        lambda g: setattr(g.operators[0], "inputs", [-5, 1, 2]),
        lambda g: setattr(g.operators[0], "opcodeIndex", 7),
        lambda g: setattr(g.tensors[1], "shape", [3, 1, 1, 4]),
        lambda g: setattr(g.tensors[1], "buffer", 1000),
        lambda g: setattr(g, "inputs", [77]),
    ],
)
def test_indices_outside_the_file(native, reference, change):
    found = check(native, simple(change))
    assert found == check(reference, simple(change))
    assert found[0] == -spec.ERROR_MODEL_TRUNCATED


@pytest.mark.parametrize("shape", [[1, 1, 4096, 4097], [1 << 13, 1 << 13, 1 << 13, 4], [2**31 - 1, 2**31 - 1, 1, 1]])
def test_huge_tensors(native, reference, shape):
    found = check(native, simple(_tensor(0, "shape", shape)))
    assert found == check(reference, simple(_tensor(0, "shape", shape)))
    assert found[0] == -spec.ERROR_MODEL_MEMORY


def test_too_many_subgraphs(native, reference):
    def change(model):
        model.subgraphs *= spec.MODEL_MAX_SUBGRAPHS + 1

    refused(native, reference, simple(model_change=change), spec.ERROR_MODEL_SUBGRAPH, detail=9)


def test_too_many_operators(native, reference):
    def change(graph):
        graph.operators *= 513

    refused(native, reference, simple(change), spec.ERROR_MODEL_MEMORY, 0, -1, 513)


def test_recurrent_output_unlike_its_input(native, reference):
    def change(graph):
        graph.inputs = [0, 4]
        twin = schema.TensorT()
        twin.shape, twin.type, twin.name = [1, 1, 1, 3], mb.INT8, "other"
        twin.quantization = graph.tensors[3].quantization
        second = schema.TensorT()
        second.shape, second.type, second.name = [1, 1, 1, 2], mb.INT8, "next"
        second.quantization = graph.tensors[3].quantization
        graph.tensors += [twin, second]
        again = schema.OperatorT()
        again.inputs, again.outputs = [0, 1, 2], [5]
        again.builtinOptions = graph.operators[0].builtinOptions
        again.builtinOptionsType = graph.operators[0].builtinOptionsType
        graph.operators.append(again)
        graph.outputs = [3, 5]

    refused(native, reference, simple(change), spec.ERROR_MODEL_TYPE, 0, -1, 5)


def test_unknown_subgraph_and_bad_arguments(native, reference):
    model = whole()
    for kernels in (native, reference):
        info = bytearray(16)
        state = bytearray(kernels.model_size(model, info))
        assert kernels.model_init(state, model, info) == 0
        assert [kernels.model_subgraph(state, model, name) for name in (b"encoder", b"predictor", b"lstm")] == [0, 1, 2]
        for name in (b"", b"enc", b"encoder\0", b"joint"):
            assert kernels.model_subgraph(state, model, name) == -spec.ERROR_MODEL_SUBGRAPH
        for arguments in ((-1, 0, 0), (3, 0, 0), (0, 2, 0), (0, -1, 0), (0, 0, 2), (0, 1, 2), (0, 0, -1)):
            assert kernels.model_tensor(state, model, *arguments) == -spec.ERROR_ARGUMENT
            assert kernels.model_tensor_size(state, model, *arguments) == -spec.ERROR_ARGUMENT
        for subgraph in (-1, 3, 2**31 - 1):
            assert kernels.model_invoke(state, model, subgraph) == -spec.ERROR_ARGUMENT


def test_offsets_that_form_a_cycle(native, reference):
    """A root table whose subgraph vector contains the root itself."""
    packer = flatbuffers.Builder(0)
    packer.StartVector(4, 1, 4)
    packer.PrependUint32(0)
    vector = packer.EndVector()
    schema.ModelStart(packer)
    schema.ModelAddVersion(packer, 3)
    schema.ModelAddSubgraphs(packer, vector)
    schema.ModelAddMetadata(packer, vector)
    schema.ModelAddBuffers(packer, vector)
    packer.Finish(schema.ModelEnd(packer), b"TFL3")
    data = bytearray(packer.Output())
    root = struct.unpack_from("<I", data, 0)[0]
    for at in range(8, len(data) - 3, 4):
        changed = bytearray(data)
        struct.pack_into("<I", changed, at, (root - at) & 0xFFFFFFFF)
        found = check(native, bytes(changed))
        assert found == check(reference, bytes(changed))
        assert found[0] < 0
