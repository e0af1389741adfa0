"""TensorFlow Lite Micro's DECODE operator with pruned weights: the form in which sparse models are exchanged.

A custom operator before the layer expands the weights: its inputs are a mask, one bit per element, most significant bit
first, and a header with the elements that are not zero after it. Nothing is skipped; the file gets smaller.

Reference: tensorflow/lite/micro/kernels/decode_state_prune.cc of TensorFlow Lite Micro.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from stapes_tools.convert.graph import Model, Operator, Subgraph, Tensor, pack_int4
from stapes_tools.errors import UserError

KIND = "CUSTOM TFLM_DECODE"
# The header: kind of coding and version of the header, two bytes of nothing, version of the pruned form, padding.
_HEADER, _KIND_AT, _VERSION_AT, _PRUNE_VERSION_AT = 16, 0, 1, 4
_PRUNED, _VERSION, _PRUNE_VERSION = 2, 1, 1
# Inputs of operators that are weights, and whose kernels in TensorFlow Lite Micro take them from an operator.
_WEIGHTS = {
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "FULLY_CONNECTED": (1,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 9)),
}
# Ends of the names of what DECODE reads. Weights of 4 bits, which it does not know, become int8 and are marked.
_MASK, _MASK_INT4, _VALUES = "/mask", "/mask of int4", "/values"
# What a layer in this form adds to the file besides its bytes: an operator, two tensors, their names.
_OVERHEAD_BYTES = 256


@dataclass(frozen=True)
class Decoded:
    """A tensor of weights in DECODE's form, or left dense.

    shape: of the weights; zeros: how many of them are the zero point; dense_bytes, coded_bytes: in the file;
    coded: whether it is in that form now.
    """

    subgraph: str
    name: str
    shape: tuple[int, ...]
    zeros: int
    dense_bytes: int
    coded_bytes: int
    coded: bool


# Index of a tensor, its figures, mask, header and values.
_Coded = tuple[int, Decoded, bytes, bytes]


def _zero_points(tensor: Tensor) -> np.ndarray:
    """What DECODE writes where the mask says nothing, broadcast over the tensor."""
    points = np.array(tensor.zero_point or (0,), np.int8)
    shape = [1] * len(tensor.shape)
    if len(points) > 1:
        shape[tensor.quantized_dimension] = len(points)
    return points.reshape(shape)


def encode(tensor: Tensor) -> tuple[bytes, bytes]:
    """(mask, header and values) of constant int8 weights."""
    values = tensor.array()
    there = values != _zero_points(tensor)
    header = bytearray(_HEADER)
    header[_KIND_AT], header[_VERSION_AT], header[_PRUNE_VERSION_AT] = _PRUNED, _VERSION, _PRUNE_VERSION
    return np.packbits(there).tobytes(), bytes(header) + values[there].tobytes()


def decode(tensor: Tensor, mask: bytes, ancillary: bytes) -> bytes:
    """The data of a tensor int8 that DECODE would write.

    Raises:
        UserError: damaged, or of a kind that is not read here.
    """
    count = prod(tensor.shape)
    if len(ancillary) < _HEADER or len(mask) != (count + 7) // 8:
        raise UserError("weights for DECODE are damaged ({})".format(tensor.name))
    if ancillary[_KIND_AT] != _PRUNED or tensor.dtype != "int8":
        what = "of type {}".format(ancillary[_KIND_AT]) if tensor.dtype == "int8" else tensor.dtype
        raise UserError("weights for DECODE {} are not read ({})".format(what, tensor.name))
    if (ancillary[_VERSION_AT], ancillary[_PRUNE_VERSION_AT]) != (_VERSION, _PRUNE_VERSION):
        raise UserError("weights for DECODE are of another version ({})".format(tensor.name))
    there = np.unpackbits(np.frombuffer(mask, np.uint8), count=count).astype(bool)
    values = np.frombuffer(ancillary, np.int8, offset=_HEADER)
    if len(values) != int(there.sum()):
        raise UserError("weights for DECODE are damaged ({})".format(tensor.name))
    result = np.broadcast_to(_zero_points(tensor), tensor.shape).astype(np.int8)
    result[there.reshape(tensor.shape)] = values
    return result.tobytes()


def _is_coded(tensor: Tensor) -> bool:
    """Whether DECODE's kernel takes such weights, as int8: channels along the first or the last axis."""
    if tensor.dtype not in ("int8", "int4") or tensor.data is None or tensor.sparse or not tensor.scale:
        return False
    channels, axis = len(tensor.scale), tensor.quantized_dimension
    if len(tensor.zero_point) != channels or not all(-128 <= point <= 127 for point in tensor.zero_point):
        return False
    return axis == 0 if channels == 1 else axis in (0, len(tensor.shape) - 1) and tensor.shape[axis] == channels


def _figures(part: Subgraph, tensor: Tensor, dense: int, mask: bytes, ancillary: bytes) -> Decoded:
    zeros = prod(tensor.shape) - (len(ancillary) - _HEADER)
    size = len(mask) + len(ancillary)
    return Decoded(part.name, tensor.name, tensor.shape, zeros, dense, size, size + _OVERHEAD_BYTES < dense)


def _single_use(part: Subgraph) -> set[int]:
    """Tensors that one operator reads once, and nobody else."""
    reads = [*part.inputs, *part.outputs, *(index for operator in part.operators for index in operator.inputs)]
    return {index for index in reads if reads.count(index) == 1}


def code(model: Model) -> list[Decoded]:
    """Give a model's weights DECODE's form where that is smaller, in place.

    Returns:
        one Decoded per tensor of weights.
    """
    results = []
    for part in model.subgraphs:
        single = _single_use(part)
        operators = []
        for operator in part.operators:
            found = [_figured(part, index) for index in _weights(part, operator, single)]
            results += [figures for _, figures, *_ in found]
            chosen = [one for one in found if one[1].coded]
            if chosen:
                operators.append(_decoder(part, chosen))
            operators.append(operator)
        part.operators = operators
    return results


def _weights(part: Subgraph, operator: Operator, single: set[int]) -> list[int]:
    """An operator's tensors of weights that DECODE can write."""
    if operator.packed:
        return []
    indices = [operator.inputs[k] for k in _WEIGHTS.get(operator.kind, ()) if k < len(operator.inputs)]
    return [index for index in indices if index in single and _is_coded(part.tensors[index])]


def _figured(part: Subgraph, index: int) -> _Coded:
    mask, ancillary = encode(part.tensors[index])
    tensor = part.tensors[index]
    return index, _figures(part, tensor, len(tensor.data or b""), mask, ancillary), mask, ancillary


def _decoder(part: Subgraph, coded: list[_Coded]) -> Operator:
    """The operator that writes some tensors, which lose their data."""
    inputs = []
    for index, _, *parts in coded:
        tensor = part.tensors[index]
        part.tensors[index] = replace(tensor, data=None, dtype="int8")
        names = _MASK if tensor.dtype == "int8" else _MASK_INT4, _VALUES
        for name, data in zip(names, parts, strict=True):
            inputs.append(part.add(Tensor(tensor.name + name, (len(data),), "uint8", data=data)))
    return Operator(KIND, inputs, [index for index, *_ in coded])


def count_values(part: Subgraph, operator: Operator) -> int:
    """How many weights an operator DECODE has that are not left out."""
    return sum(max(0, len(part.tensors[index].data or b"") - _HEADER) for index in operator.inputs[1::2])


def count_expanded(part: Subgraph, index: int, otherwise: int) -> int:
    """How many weights that are not left out an operator DECODE writes into a tensor; otherwise if none does."""
    for operator in part.operators:
        if operator.kind == KIND and index in operator.outputs:
            values = operator.inputs[1::2][operator.outputs.index(index) :][:1]
            return sum(max(0, len(part.tensors[k].data or b"") - _HEADER) for k in values)
    return otherwise


def expand(part: Subgraph) -> list[Decoded]:
    """Write the weights that DECODE operators of a subgraph expand as constants, and drop the operators, in place.

    Returns:
        one Decoded per tensor.
    Raises:
        UserError: damaged, or DECODE of another kind.
    """
    found = [figures for operator in part.operators if operator.kind == KIND for figures in _expanded(part, operator)]
    part.operators = [operator for operator in part.operators if operator.kind != KIND]
    return found


def _expanded(part: Subgraph, operator: Operator) -> Iterator[Decoded]:
    if len(operator.inputs) != 2 * len(operator.outputs) or min(operator.inputs) < 0:
        raise UserError("an operator DECODE of {} is damaged".format(part.name))
    for k, index in enumerate(operator.outputs):
        mask, ancillary = (part.tensors[operator.inputs[2 * k + j]] for j in (0, 1))
        tensor, parts = part.tensors[index], (mask.data or b"", ancillary.data or b"")
        data = decode(tensor, *parts)
        if mask.name.endswith(_MASK_INT4):
            data = pack_int4(np.frombuffer(data, np.int8))
        part.tensors[index] = replace(tensor, data=data, dtype="int4" if mask.name.endswith(_MASK_INT4) else "int8")
        yield replace(_figures(part, tensor, len(data), *parts), coded=True)
