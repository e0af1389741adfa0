"""What a model file holds and what it costs: operators, weights, bytes, multiplications."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

from stapes_tools.convert.graph import Operator, Subgraph, Tensor, element_bits
from stapes_tools.convert.pack import packed_matrices
from stapes_tools.convert.pack_lstm import KIND as LSTM
from stapes_tools.convert.read import read_model
from stapes_tools.errors import UserError

_WEIGHT_INPUT = 1
_LSTM_WEIGHT_INPUTS = range(1, 9)


@dataclass(frozen=True)
class Row:
    """One operator; its kind is followed by "packed" when its weights are (zero_skip.py).

    shape and dtype are its first output's; weights counts the elements of its weight tensor (a
    GATHER's table included), zero_weights those of them that stand for 0.0, weight_dtype is their type
    ("" without weights); constant_bytes counts all its constants; multiplications counts
    multiplications by a weight in one invocation, zeros included.
    """

    subgraph: str
    operator: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    weights: int
    weight_dtype: str
    zero_weights: int
    constant_bytes: int
    multiplications: int

    @property
    def weight_bits(self) -> int:
        """Bits of a weight in the file; 0 without weights."""
        return element_bits(self.weight_dtype)


@dataclass(frozen=True)
class Totals:
    """Sums over rows."""

    weights: int
    zero_weights: int
    constant_bytes: int
    multiplications: int


def _weights(subgraph: Subgraph, operator: Operator) -> list[Tensor]:
    """Its weight tensors: none, one, or an LSTM's eight."""
    places = _LSTM_WEIGHT_INPUTS if operator.kind == LSTM else [0 if operator.kind == "GATHER" else _WEIGHT_INPUT]
    if operator.kind == "STRIDED_SLICE":
        return []
    indices = [operator.inputs[place] for place in places if place < len(operator.inputs)]
    tensors = [subgraph.tensors[index] for index in indices if index >= 0]
    return [tensor for tensor in tensors if tensor.data is not None or operator.packed]


def _packed_zeros(subgraph: Subgraph, operator: Operator) -> int:
    """How many weights of a packed operator are zero; 0 when they cannot be read."""
    try:
        return sum(matrix.size - int(np.count_nonzero(matrix)) for matrix in packed_matrices(subgraph, operator))
    except UserError:
        return 0


def _zero_weights(tensor: Tensor) -> int:
    """How many values equal the zero point; 0 for a type, or sparse data, that cannot be read."""
    bits, count = element_bits(tensor.dtype), prod(tensor.shape)
    if bits == 0 or tensor.data is None or len(tensor.data) != (count * bits + 7) // 8:
        return 0
    return count - int(np.count_nonzero(tensor.array() != (tensor.zero_point or (0,))[0]))


def _multiplications(subgraph: Subgraph, operator: Operator) -> int:
    if operator.kind == LSTM:
        output = subgraph.tensors[operator.outputs[0]].shape
        return prod(output[:-1]) * sum(prod(tensor.shape) for tensor in _weights(subgraph, operator))
    if operator.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 0
    if len(operator.inputs) <= _WEIGHT_INPUT:
        return 0
    filter_shape = subgraph.tensors[operator.inputs[_WEIGHT_INPUT]].shape
    outputs = prod(subgraph.tensors[operator.outputs[0]].shape)
    if operator.kind == "DEPTHWISE_CONV_2D":
        return outputs * prod(filter_shape[1:3])
    return outputs * prod(filter_shape[1:])


def _row(subgraph: Subgraph, operator: Operator) -> Row:
    output = subgraph.tensors[operator.outputs[0]]
    weights = _weights(subgraph, operator)
    zeros = _packed_zeros(subgraph, operator) if operator.packed else sum(map(_zero_weights, weights))
    constants = {index for index in operator.inputs if index >= 0 and subgraph.tensors[index].data is not None}
    return Row(
        subgraph.name,
        operator.kind + (" packed" if operator.packed else ""),
        output.name,
        output.shape,
        output.dtype,
        sum(prod(tensor.shape) for tensor in weights),
        weights[0].dtype if weights else "",
        zeros,
        sum(len(subgraph.tensors[index].data or b"") for index in constants),
        _multiplications(subgraph, operator),
    )


def describe(data: bytes) -> list[Row]:
    """One row per operator of a .tflite file, in the order of execution.

    Args:
        data: the whole file; any int8 or int4 model, not only ours.
    Raises:
        UserError: the file is not a .tflite or is damaged.
    """
    return [_row(part, operator) for part in read_model(data).subgraphs for operator in part.operators]


def totals(rows: Iterable[Row], subgraph: str | None = None) -> Totals:
    """Sums over all rows, or over those of one subgraph."""
    chosen = [row for row in rows if subgraph is None or row.subgraph == subgraph]
    return Totals(
        sum(row.weights for row in chosen),
        sum(row.zero_weights for row in chosen),
        sum(row.constant_bytes for row in chosen),
        sum(row.multiplications for row in chosen),
    )
