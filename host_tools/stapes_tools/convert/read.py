"""Read a .tflite flatbuffer into the objects of graph.py."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import stapes_spec
import tflite

from stapes_tools.convert.graph import OPTIONS, Model, Operator, Signature, Subgraph, Tensor, element_bits
from stapes_tools.errors import UserError

# The index of an optional input that is not there.
_LEFT_OUT = -1

# Tables and vectors may be shared; read one by one, what an honest file holds is at most so many times its size.
_MOST_SHARED = 16

# What the generated accessors raise when an offset or a length points outside the file.
_BAD_OFFSET = (IndexError, struct.error, AttributeError, TypeError, ValueError, OverflowError)


@contextmanager
def _damage_reported() -> Iterator[None]:
    try:
        yield
    except _BAD_OFFSET as fault:
        raise UserError(
            "the model file is cut short or damaged", advice="copy it again from where it came from"
        ) from fault


def _names(enumeration) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_TYPES = {code: name.lower() for code, name in _names(tflite.TensorType).items()}
_KINDS = _names(tflite.BuiltinOperator)
_TABLES = {code: name for code, name in _names(tflite.BuiltinOptions).items() if name != "NONE"}
# Our operator with packed weights: by its options, what it stands for.
_PACKED = {
    tflite.BuiltinOptions.Conv2DOptions: "CONV_2D",
    tflite.BuiltinOptions.FullyConnectedOptions: "FULLY_CONNECTED",
    tflite.BuiltinOptions.UnidirectionalSequenceLSTMOptions: "UNIDIRECTIONAL_SEQUENCE_LSTM",
}


def _vector(table, name: str) -> list[int]:
    return [int(value) for value in np.atleast_1d(getattr(table, name + "AsNumpy")())] if _has(table, name) else []


def _has(table, name: str) -> bool:
    return getattr(table, name + "Length")() > 0


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _tensor(file: tflite.Model, table: tflite.Tensor) -> Tensor:
    tensor = Tensor(_text(table.Name()), tuple(_vector(table, "Shape")), _TYPES.get(table.Type(), "unknown"))
    quantisation = table.Quantization()
    if quantisation is not None and quantisation.ScaleLength():
        tensor.scale = tuple(float(scale) for scale in quantisation.ScaleAsNumpy())
        tensor.zero_point = tuple(_vector(quantisation, "ZeroPoint"))
        tensor.quantized_dimension = quantisation.QuantizedDimension()
    buffer = file.Buffers(table.Buffer())
    if buffer.DataLength():
        tensor.data = buffer.DataAsNumpy().tobytes()
    tensor.variable = bool(table.IsVariable())
    tensor.sparse = table.Sparsity() is not None
    tensor.signature = tuple(_vector(table, "ShapeSignature"))
    return tensor


def _options(kind: str, table: tflite.Operator) -> dict[str, Any]:
    if table.BuiltinOptions() is None:
        return {}
    name = OPTIONS[kind][0] if kind in OPTIONS else _TABLES.get(table.BuiltinOptionsType(), "")
    if not hasattr(tflite, name):
        return {}
    options = getattr(tflite, name)()
    union = table.BuiltinOptions()
    options.Init(union.Bytes, union.Pos)
    return {field: _option(options, field) for field in option_fields(kind, name)}


def _option(options, name: str) -> Any:
    if hasattr(options, name + "Length"):
        return tuple(_vector(options, name))
    value = getattr(options, name)()
    return int(value) if isinstance(value, bool) else value


def option_fields(kind: str, table: str) -> tuple[str, ...]:
    """Names of the options that a kind of operator has: those of graph.OPTIONS, or all of the schema's table."""
    if kind in OPTIONS:
        return OPTIONS[kind][1]
    return tuple(name[len(table) + 3 :] for name in sorted(vars(tflite)) if name.startswith(table + "Add"))


def _operator(file: tflite.Model, table: tflite.Operator) -> Operator:
    code = file.OperatorCodes(table.OpcodeIndex())
    kind = _KINDS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
    packed = False
    if kind == "CUSTOM":
        name = _text(code.CustomCode())
        packed = name == stapes_spec.ZERO_SKIP_OPERATOR and table.BuiltinOptionsType() in _PACKED
        kind = _PACKED[table.BuiltinOptionsType()] if packed else "CUSTOM {}".format(name)
    operator = Operator(
        kind, _vector(table, "Inputs"), _vector(table, "Outputs"), _options(kind, table), code.Version()
    )
    operator.packed = packed
    operator.table = "" if kind in OPTIONS else _TABLES.get(table.BuiltinOptionsType(), "")
    operator.custom = table.CustomOptionsAsNumpy().tobytes() if table.CustomOptionsLength() else b""
    operator.intermediates = _vector(table, "Intermediates")
    return operator


def _subgraph(file: tflite.Model, table: tflite.SubGraph) -> Subgraph:
    return Subgraph(
        _text(table.Name()),
        [_tensor(file, table.Tensors(k)) for k in range(table.TensorsLength())],
        [_operator(file, table.Operators(k)) for k in range(table.OperatorsLength())],
        _vector(table, "Inputs"),
        _vector(table, "Outputs"),
    )


def _checked(subgraph: Subgraph) -> Subgraph:
    """The subgraph, if every tensor index in it exists and every constant has its shape's bytes; IndexError if not."""
    indices = [*subgraph.inputs, *subgraph.outputs]
    for operator in subgraph.operators:
        if not operator.outputs:
            raise IndexError("an operator without output")
        optional = operator.inputs + operator.intermediates
        indices += operator.outputs + [index for index in optional if index != _LEFT_OUT]
    for index in indices:
        if not 0 <= index < len(subgraph.tensors):
            raise IndexError(index)
    for tensor in subgraph.tensors:
        if min(tensor.shape, default=0) < 0 or not _has_its_bytes(tensor):
            raise IndexError(tensor.name)
    return subgraph


def _has_its_bytes(tensor: Tensor) -> bool:
    bits = element_bits(tensor.dtype)
    if tensor.data is None or tensor.sparse or bits == 0:
        return True
    return len(tensor.data) == (prod(tensor.shape) * bits + 7) // 8


def _lengths(file: tflite.Model) -> Iterator[int]:
    """How long everything is that read_model copies, table by table."""
    for part in (file.Subgraphs(k) for k in range(file.SubgraphsLength())):
        yield part.InputsLength() + part.OutputsLength()
        for tensor in (part.Tensors(k) for k in range(part.TensorsLength())):
            yield 1 + tensor.ShapeLength() + tensor.ShapeSignatureLength() + file.Buffers(tensor.Buffer()).DataLength()
            quantisation = tensor.Quantization()
            if quantisation is not None:
                yield quantisation.ScaleLength() + quantisation.ZeroPointLength()
        for operator in (part.Operators(k) for k in range(part.OperatorsLength())):
            yield 1 + operator.InputsLength() + operator.OutputsLength() + operator.IntermediatesLength()
            yield operator.CustomOptionsLength()
    for k in range(file.MetadataLength()):
        yield 1 + _metadata_range(file, k)[2]
    for entry in (file.SignatureDefs(k) for k in range(file.SignatureDefsLength())):
        yield 1 + entry.InputsLength() + entry.OutputsLength()


def _check_lengths(file: tflite.Model, size: int) -> None:
    """IndexError for a file whose tables, shared a thousand times, would fill the memory."""
    left = _MOST_SHARED * size
    for length in _lengths(file):
        left -= length
        if left < 0:
            raise IndexError("tables that are shared too often")


def _signature(table: tflite.SignatureDef) -> Signature:
    inputs = [table.Inputs(k) for k in range(table.InputsLength())]
    outputs = [table.Outputs(k) for k in range(table.OutputsLength())]
    return Signature(
        _text(table.SignatureKey()),
        table.SubgraphIndex(),
        [(_text(entry.Name()), entry.TensorIndex()) for entry in inputs],
        [(_text(entry.Name()), entry.TensorIndex()) for entry in outputs],
    )


def _check_signatures(signatures: list[Signature], subgraphs: list[Subgraph]) -> None:
    """IndexError for an entry point that names a subgraph or a tensor which is not there."""
    for entry in signatures:
        if not 0 <= entry.subgraph < len(subgraphs):
            raise IndexError(entry.subgraph)
        for _, index in entry.inputs + entry.outputs:
            if not 0 <= index < len(subgraphs[entry.subgraph].tensors):
                raise IndexError(index)


def _metadata_range(file: tflite.Model, index: int) -> tuple[str, int, int]:
    entry = file.Metadata(index)
    return _text(entry.Name()), *_buffer_range(file, entry.Buffer())


def _buffer_range(file: tflite.Model, index: int) -> tuple[int, int]:
    """Where a buffer's bytes lie in the file: (offset, length), or (0, 0) of an empty one."""
    table = file.Buffers(index)._tab
    field = table.Offset(4)
    return (table.Vector(field), table.VectorLen(field)) if field else (0, 0)


def metadata_range(data: bytes, name: str) -> tuple[int, int]:
    """Where a metadata entry's buffer lies in the file: (offset, length), or (0, 0) without it.

    Raises:
        UserError: the file is not a .tflite or is damaged.
    """
    file = _root(data)
    with _damage_reported():
        for index in range(file.MetadataLength()):
            found, offset, length = _metadata_range(file, index)
            if found == name and offset + length <= len(data):
                return offset, length
    return 0, 0


def constant_range(data: bytes, subgraph: str, tensor: int) -> tuple[int, int]:
    """Where a constant of a file that read_model takes lies in it: (offset, length).

    Args:
        data: the whole file.
        subgraph: its name.
        tensor: its index there.
    """
    file = _root(data)
    parts = (file.Subgraphs(index) for index in range(file.SubgraphsLength()))
    part = next(part for part in parts if _text(part.Name()) == subgraph)
    return _buffer_range(file, part.Tensors(tensor).Buffer())


def _root(data: bytes) -> tflite.Model:
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UserError("not a TensorFlow Lite model (identifier TFL3 is missing)", advice="give a .tflite file")
    return tflite.Model.GetRootAsModel(data, 0)


def read_model(data: bytes) -> Model:
    """Parse a .tflite file.

    Args:
        data: the whole file.
    Returns:
        Model: without what graph.py has no place for, such as sparsity; pack.py refuses files that need it.
    Raises:
        UserError: the file is not a .tflite or is damaged.
    """
    file = _root(data)
    with _damage_reported():
        _check_lengths(file, len(data))
        subgraphs = [_checked(_subgraph(file, file.Subgraphs(k))) for k in range(file.SubgraphsLength())]
        if not subgraphs:
            raise IndexError("no subgraph")
        metadata = {}
        for index in range(file.MetadataLength()):
            name, offset, length = _metadata_range(file, index)
            metadata[name] = bytes(data[offset : offset + length])
        model = Model(subgraphs, _text(file.Description()), metadata)
        signatures = [_signature(file.SignatureDefs(k)) for k in range(file.SignatureDefsLength())]
        _check_signatures(signatures, subgraphs)
        model.signatures = None if signatures == model.default_signatures() else signatures
        return model
