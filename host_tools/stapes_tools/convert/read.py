"""Read a .tflite flatbuffer into the objects of graph.py."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tflite

from stapes_tools.convert.graph import OPTIONS, Model, Operator, Subgraph, Tensor
from stapes_tools.errors import UserError

# The index of an optional input that is not there.
_LEFT_OUT = -1

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
    return tensor


def _options(kind: str, table: tflite.Operator) -> dict[str, int]:
    if kind not in OPTIONS or table.BuiltinOptions() is None:
        return {}
    options = getattr(tflite, OPTIONS[kind][0])()
    union = table.BuiltinOptions()
    options.Init(union.Bytes, union.Pos)
    return {name: int(getattr(options, name)()) for name in OPTIONS[kind][1]}


def _operator(file: tflite.Model, table: tflite.Operator) -> Operator:
    code = file.OperatorCodes(table.OpcodeIndex())
    kind = _KINDS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
    if kind == "CUSTOM":
        kind = "CUSTOM {}".format(_text(code.CustomCode()))
    return Operator(kind, _vector(table, "Inputs"), _vector(table, "Outputs"), _options(kind, table), code.Version())


def _subgraph(file: tflite.Model, table: tflite.SubGraph) -> Subgraph:
    return Subgraph(
        _text(table.Name()),
        [_tensor(file, table.Tensors(k)) for k in range(table.TensorsLength())],
        [_operator(file, table.Operators(k)) for k in range(table.OperatorsLength())],
        _vector(table, "Inputs"),
        _vector(table, "Outputs"),
    )


def _checked(subgraph: Subgraph) -> Subgraph:
    """The subgraph, if every tensor index in it exists; IndexError if not."""
    indices = [*subgraph.inputs, *subgraph.outputs]
    for operator in subgraph.operators:
        if not operator.outputs:
            raise IndexError("an operator without output")
        indices += operator.outputs + [index for index in operator.inputs if index != _LEFT_OUT]
    for index in indices:
        if not 0 <= index < len(subgraph.tensors):
            raise IndexError(index)
    return subgraph


def _metadata_range(file: tflite.Model, index: int) -> tuple[str, int, int]:
    entry = file.Metadata(index)
    table = file.Buffers(entry.Buffer())._tab
    field = table.Offset(4)
    if field == 0:
        return _text(entry.Name()), 0, 0
    return _text(entry.Name()), table.Vector(field), table.VectorLen(field)


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


def _root(data: bytes) -> tflite.Model:
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UserError("not a TensorFlow Lite model (identifier TFL3 is missing)", advice="give a .tflite file")
    return tflite.Model.GetRootAsModel(data, 0)


def read_model(data: bytes) -> Model:
    """Parse a .tflite file.

    Args:
        data: the whole file.
    Returns:
        Model: operators that graph.OPTIONS does not list keep their kind but lose their options.
    Raises:
        UserError: the file is not a .tflite or is damaged.
    """
    file = _root(data)
    with _damage_reported():
        subgraphs = [_checked(_subgraph(file, file.Subgraphs(k))) for k in range(file.SubgraphsLength())]
        metadata = {}
        for index in range(file.MetadataLength()):
            name, offset, length = _metadata_range(file, index)
            metadata[name] = bytes(data[offset : offset + length])
        return Model(subgraphs, _text(file.Description()), metadata)
