"""Serialise a model to a .tflite flatbuffer.

The same model gives the same bytes. Every buffer starts at a multiple of 16 bytes in the file,
so that a board which maps the file at an aligned address reads whole words in place.

Reference: tensorflow/lite/schema/schema.fbs, version 3.
"""

from collections.abc import Callable, Hashable

import flatbuffers
import numpy as np
import stapes_spec
import tflite

from stapes_tools.convert.graph import OPTIONS, Model, Operator, Subgraph, Tensor

_SCHEMA_VERSION = 3
_NO_BUFFER = 0
# Codes above this do not fit the schema's old one-byte field.
_DEPRECATED_LIMIT = 127

_TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "int32": tflite.TensorType.INT32,
    "int16": tflite.TensorType.INT16,
    "int8": tflite.TensorType.INT8,
    "int4": tflite.TensorType.INT4,
}


class _Buffers:
    """The file's buffer table: equal constants share an entry; entry 0 is the empty buffer."""

    def __init__(self):
        self.contents: list[bytes] = [b""]
        self._index: dict[bytes, int] = {}

    def index(self, data: bytes | None) -> int:
        if not data:
            return _NO_BUFFER
        if data not in self._index:
            self._index[data] = len(self.contents)
            self.contents.append(data)
        return self._index[data]


class _Builder(flatbuffers.Builder):
    """A builder that writes equal vectors of numbers, equal strings and equal tables once.

    All that need one share its offset: the zero points of per-channel weights alone would otherwise
    take eight bytes per channel and layer.
    """

    def __init__(self):
        super().__init__(1 << 16)
        self._shared: dict[Hashable, int] = {}

    def shared(self, key: Hashable, write: Callable[[], int]) -> int:
        """The offset of what write() appended when it was first asked for with this key."""
        if key not in self._shared:
            self._shared[key] = write()
        return self._shared[key]

    def numbers(self, values, dtype: str) -> int:
        array = np.asarray(values, dtype)
        return self.shared((dtype, array.tobytes()), lambda: self.CreateNumpyVector(array))

    def text(self, value: str) -> int:
        return self.CreateSharedString(value)


def _offsets(builder: _Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _aligned_bytes(builder: _Builder, data: bytes) -> int:
    builder.StartVector(1, len(data), stapes_spec.MODEL_ALIGNMENT)
    builder.head = builder.Head() - len(data)
    builder.Bytes[builder.Head() : builder.Head() + len(data)] = data
    return builder.EndVector()


def _buffer_table(builder: _Builder, contents: list[bytes]) -> int:
    offsets = []
    for data in contents:
        vector = _aligned_bytes(builder, data) if data else None
        tflite.BufferStart(builder)
        if vector is not None:
            tflite.BufferAddData(builder, vector)
        offsets.append(tflite.BufferEnd(builder))
    return _offsets(builder, offsets)


def _quantisation(builder: _Builder, tensor: Tensor) -> int:
    key = ("quantisation", tensor.scale, tensor.zero_point, tensor.quantized_dimension)
    return builder.shared(key, lambda: _new_quantisation(builder, tensor))


def _new_quantisation(builder: _Builder, tensor: Tensor) -> int:
    scale = builder.numbers(tensor.scale, "float32")
    zero_point = builder.numbers(tensor.zero_point, "int64")
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
    tflite.QuantizationParametersAddQuantizedDimension(builder, tensor.quantized_dimension)
    return tflite.QuantizationParametersEnd(builder)


def _tensor(builder: _Builder, tensor: Tensor, buffers: _Buffers) -> int:
    name = builder.text(tensor.name)
    shape = builder.numbers(tensor.shape, "int32")
    quantisation = _quantisation(builder, tensor) if tensor.scale else None
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, _TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffers.index(tensor.data))
    tflite.TensorAddName(builder, name)
    if quantisation is not None:
        tflite.TensorAddQuantization(builder, quantisation)
    tflite.TensorAddIsVariable(builder, tensor.variable)
    tflite.TensorAddHasRank(builder, True)
    return tflite.TensorEnd(builder)


def _options(builder: _Builder, operator: Operator) -> int:
    key = ("options", operator.kind, tuple(sorted(operator.options.items())))
    return builder.shared(key, lambda: _new_options(builder, operator))


def _new_options(builder: _Builder, operator: Operator) -> int:
    table, fields, _version = OPTIONS[operator.kind]
    unknown = set(operator.options) - set(fields)
    assert not unknown, "{} has no option {}".format(operator.kind, sorted(unknown))
    getattr(tflite, table + "Start")(builder)
    for name in fields:
        if name in operator.options:
            getattr(tflite, table + "Add" + name)(builder, operator.options[name])
    return getattr(tflite, table + "End")(builder)


def _operator(builder: _Builder, operator: Operator, codes: list[tuple[str, int]]) -> int:
    options = _options(builder, operator)
    inputs = builder.numbers(operator.inputs, "int32")
    outputs = builder.numbers(operator.outputs, "int32")
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, codes.index((operator.kind, operator.version)))
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, OPTIONS[operator.kind][0]))
    tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


def _subgraph(builder: _Builder, subgraph: Subgraph, buffers: _Buffers, codes: list[tuple[str, int]]) -> int:
    tensors = _offsets(builder, [_tensor(builder, tensor, buffers) for tensor in subgraph.tensors])
    operators = _offsets(builder, [_operator(builder, operator, codes) for operator in subgraph.operators])
    inputs = builder.numbers(subgraph.inputs, "int32")
    outputs = builder.numbers(subgraph.outputs, "int32")
    name = builder.text(subgraph.name)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    tflite.SubGraphAddName(builder, name)
    return tflite.SubGraphEnd(builder)


def _operator_code(builder: _Builder, kind: str, version: int) -> int:
    code = getattr(tflite.BuiltinOperator, kind)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, _DEPRECATED_LIMIT))
    tflite.OperatorCodeAddVersion(builder, version)
    tflite.OperatorCodeAddBuiltinCode(builder, code)
    return tflite.OperatorCodeEnd(builder)


def _tensor_maps(builder: _Builder, subgraph: Subgraph, indices: list[int]) -> int:
    maps = []
    for index in indices:
        name = builder.text(subgraph.tensors[index].name)
        tflite.TensorMapStart(builder)
        tflite.TensorMapAddName(builder, name)
        tflite.TensorMapAddTensorIndex(builder, index)
        maps.append(tflite.TensorMapEnd(builder))
    return _offsets(builder, maps)


def _signature(builder: _Builder, subgraph: Subgraph, index: int) -> int:
    inputs = _tensor_maps(builder, subgraph, subgraph.inputs)
    outputs = _tensor_maps(builder, subgraph, subgraph.outputs)
    key = builder.text(subgraph.name)
    tflite.SignatureDefStart(builder)
    tflite.SignatureDefAddInputs(builder, inputs)
    tflite.SignatureDefAddOutputs(builder, outputs)
    tflite.SignatureDefAddSignatureKey(builder, key)
    tflite.SignatureDefAddSubgraphIndex(builder, index)
    return tflite.SignatureDefEnd(builder)


def _metadata_entry(builder: _Builder, name: str, buffer: int) -> int:
    text = builder.text(name)
    tflite.MetadataStart(builder)
    tflite.MetadataAddName(builder, text)
    tflite.MetadataAddBuffer(builder, buffer)
    return tflite.MetadataEnd(builder)


def serialise(model: Model) -> bytes:
    """Write a model as a flatbuffer.

    Args:
        model: subgraphs whose operators are all in graph.OPTIONS.
    Returns:
        bytes: the .tflite file, identifier TFL3, with one signature per subgraph.
    """
    builder = _Builder()
    buffers = _Buffers()
    codes: list[tuple[str, int]] = []
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if (operator.kind, operator.version) not in codes:
                codes.append((operator.kind, operator.version))
    subgraphs = _offsets(builder, [_subgraph(builder, s, buffers, codes) for s in model.subgraphs])
    signatures = _offsets(builder, [_signature(builder, s, i) for i, s in enumerate(model.subgraphs)])
    operator_codes = _offsets(builder, [_operator_code(builder, kind, version) for kind, version in codes])
    entries = [_metadata_entry(builder, name, buffers.index(data)) for name, data in model.metadata.items()]
    metadata = _offsets(builder, entries)
    buffer_table = _buffer_table(builder, buffers.contents)
    description = builder.text(model.description)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, _SCHEMA_VERSION)
    tflite.ModelAddOperatorCodes(builder, operator_codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddDescription(builder, description)
    tflite.ModelAddBuffers(builder, buffer_table)
    tflite.ModelAddMetadata(builder, metadata)
    tflite.ModelAddSignatureDefs(builder, signatures)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())
