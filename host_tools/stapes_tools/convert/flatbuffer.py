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

from stapes_tools.convert.graph import OPTIONS, Model, Operator, Signature, Subgraph, Tensor

_SCHEMA_VERSION = 3
_NO_BUFFER = 0
# Codes above this do not fit the schema's old one-byte field.
_DEPRECATED_LIMIT = 127

_TYPES = {name.lower(): value for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}

_KINDS = {name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)} - {"CUSTOM"}

_Code = tuple[str, int, bool]  # kind, version, packed


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
    signature = builder.numbers(tensor.signature, "int32") if tensor.signature else None
    quantisation = _quantisation(builder, tensor) if tensor.scale else None
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, _TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffers.index(tensor.data))
    tflite.TensorAddName(builder, name)
    if quantisation is not None:
        tflite.TensorAddQuantization(builder, quantisation)
    if signature is not None:
        tflite.TensorAddShapeSignature(builder, signature)
    tflite.TensorAddIsVariable(builder, tensor.variable)
    tflite.TensorAddHasRank(builder, True)
    return tflite.TensorEnd(builder)


def _table(operator: Operator) -> str:
    """The schema's table of the operator's options; "" without one."""
    return OPTIONS[operator.kind][0] if operator.kind in OPTIONS else operator.table


def _options(builder: _Builder, operator: Operator) -> int:
    key = ("options", _table(operator), tuple(sorted(operator.options.items())))
    return builder.shared(key, lambda: _new_options(builder, operator))


def _new_options(builder: _Builder, operator: Operator) -> int:
    table = _table(operator)
    fields = OPTIONS[operator.kind][1] if operator.kind in OPTIONS else tuple(operator.options)
    unknown = set(operator.options) - set(fields)
    assert not unknown, "{} has no option {}".format(operator.kind, sorted(unknown))
    values = {
        name: builder.numbers(value, "int32") if isinstance(value, tuple) else value
        for name, value in operator.options.items()
    }
    getattr(tflite, table + "Start")(builder)
    for name in fields:
        if name in values:
            getattr(tflite, table + "Add" + name)(builder, values[name])
    return getattr(tflite, table + "End")(builder)


def _code(operator: Operator) -> _Code:
    return operator.kind, operator.version, operator.packed


def _operator(builder: _Builder, operator: Operator, codes: list[_Code]) -> int:
    options = _options(builder, operator) if _table(operator) else None
    inputs = builder.numbers(operator.inputs, "int32")
    outputs = builder.numbers(operator.outputs, "int32")
    custom = builder.numbers(np.frombuffer(operator.custom, np.uint8), "uint8") if operator.custom else None
    intermediates = builder.numbers(operator.intermediates, "int32") if operator.intermediates else None
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, codes.index(_code(operator)))
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, _table(operator)))
        tflite.OperatorAddBuiltinOptions(builder, options)
    if custom is not None:
        tflite.OperatorAddCustomOptions(builder, custom)
    if intermediates is not None:
        tflite.OperatorAddIntermediates(builder, intermediates)
    return tflite.OperatorEnd(builder)


def _subgraph(builder: _Builder, subgraph: Subgraph, buffers: _Buffers, codes: list[_Code]) -> int:
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


def _operator_code(builder: _Builder, kind: str, version: int, packed: bool) -> int:
    name = stapes_spec.ZERO_SKIP_OPERATOR if packed else kind.removeprefix("CUSTOM ") if kind not in _KINDS else ""
    code = tflite.BuiltinOperator.CUSTOM if name else getattr(tflite.BuiltinOperator, kind)
    custom = builder.text(name) if name else None
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, _DEPRECATED_LIMIT))
    if custom is not None:
        tflite.OperatorCodeAddCustomCode(builder, custom)
    tflite.OperatorCodeAddVersion(builder, version)
    tflite.OperatorCodeAddBuiltinCode(builder, code)
    return tflite.OperatorCodeEnd(builder)


def _tensor_maps(builder: _Builder, entries: list[tuple[str, int]]) -> int:
    maps = []
    for name, index in entries:
        text = builder.text(name)
        tflite.TensorMapStart(builder)
        tflite.TensorMapAddName(builder, text)
        tflite.TensorMapAddTensorIndex(builder, index)
        maps.append(tflite.TensorMapEnd(builder))
    return _offsets(builder, maps)


def _signature(builder: _Builder, signature: Signature) -> int:
    inputs = _tensor_maps(builder, signature.inputs)
    outputs = _tensor_maps(builder, signature.outputs)
    key = builder.text(signature.key)
    tflite.SignatureDefStart(builder)
    tflite.SignatureDefAddInputs(builder, inputs)
    tflite.SignatureDefAddOutputs(builder, outputs)
    tflite.SignatureDefAddSignatureKey(builder, key)
    tflite.SignatureDefAddSubgraphIndex(builder, signature.subgraph)
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
        model: subgraphs whose operators are in graph.OPTIONS or name the table of their options.
    Returns:
        bytes: the .tflite file, identifier TFL3.
    """
    builder = _Builder()
    buffers = _Buffers()
    codes: list[_Code] = []
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if _code(operator) not in codes:
                codes.append(_code(operator))
    subgraphs = _offsets(builder, [_subgraph(builder, s, buffers, codes) for s in model.subgraphs])
    entry_points = model.default_signatures() if model.signatures is None else model.signatures
    signatures = _offsets(builder, [_signature(builder, entry) for entry in entry_points])
    operator_codes = _offsets(builder, [_operator_code(builder, *code) for code in codes])
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
