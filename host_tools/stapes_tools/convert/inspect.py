"""What a model file holds and what it costs: operators, weights, bytes, multiplications, and where they will live."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
import stapes_spec as spec

from stapes_tools.convert import decode_form
from stapes_tools.convert.board import BoardPlan, Place, Refusal
from stapes_tools.convert.graph import Operator, Subgraph, Tensor, element_bits
from stapes_tools.convert.pack import packed_matrices
from stapes_tools.convert.pack_lstm import KIND as LSTM
from stapes_tools.convert.read import read_model
from stapes_tools.convert.zero_skip import count_entries
from stapes_tools.errors import UserError

_WEIGHT_INPUT = 1
_DENSE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# Inputs of an operator that are weights, where it is not the second one alone.
_WEIGHT_INPUTS = {"GATHER": (0,), "SVDF": (1, 2), LSTM: tuple(range(1, 9))}
# Inputs of a packed operator that hold its weights.
_PACKED = dict.fromkeys(_DENSE, slice(spec.ZERO_SKIP_PACKED_INPUT, None))
_PACKED[LSTM] = slice(spec.ZERO_SKIP_LSTM_INPUT, spec.ZERO_SKIP_LSTM_BIAS_INPUT)
# Operators whose second input may be a constant that is no weight.
_WITHOUT_WEIGHTS = ("STRIDED_SLICE", "RESHAPE", "PAD", "PADV2", "MEAN", "TRANSPOSE", "SLICE", "EXPAND_DIMS")


@dataclass(frozen=True)
class Row:
    """One operator; its kind is followed by "packed" when its weights are (zero_skip.py).

    shape and dtype are its first output's; weights counts the elements of its weight tensors (a
    GATHER's table included), zero_weights those of them that stand for 0.0, weight_dtype is their type
    ("" without weights); what DECODE expands is its own and not the layer's. weight_bytes are what they
    take in the file, constant_bytes all its constants; multiplications counts multiplications by a weight
    in one invocation, zeros included, multiplications_done those that packed weights leave of them; work is
    what the result needs (_work).
    place: of its result, None where the board refuses the model; refusal: why the board does not run this operator.
    """

    subgraph: str
    operator: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    weights: int
    weight_dtype: str
    zero_weights: int
    weight_bytes: int
    constant_bytes: int
    multiplications: int
    multiplications_done: int
    work: int
    place: Place | None = None
    refusal: Refusal | None = None

    @property
    def weight_bits(self) -> int:
        """Bits of a weight's type; 0 without weights."""
        return element_bits(self.weight_dtype)

    @property
    def bits_per_weight(self) -> float:
        """Bits in the file per weight, zeros included; 0 without weights."""
        return 8 * self.weight_bytes / self.weights if self.weights else 0.0


@dataclass(frozen=True)
class Totals:
    """Sums over rows."""

    weights: int
    zero_weights: int
    weight_bytes: int
    constant_bytes: int
    multiplications: int
    multiplications_done: int
    work: int

    @property
    def bits_per_weight(self) -> float:
        """Bits in the file per weight, zeros included; 0 without weights."""
        return 8 * self.weight_bytes / self.weights if self.weights else 0.0


def _weights(subgraph: Subgraph, operator: Operator) -> list[Tensor]:
    if operator.kind == decode_form.KIND:
        return [subgraph.tensors[index] for index in operator.outputs]
    if operator.kind in _WITHOUT_WEIGHTS:
        return []
    positions = _WEIGHT_INPUTS.get(operator.kind, (_WEIGHT_INPUT,))
    indices = [operator.inputs[k] for k in positions if k < len(operator.inputs) and operator.inputs[k] >= 0]
    return [
        tensor for tensor in map(subgraph.tensors.__getitem__, indices) if tensor.data is not None or operator.packed
    ]


def _packed(subgraph: Subgraph, operator: Operator) -> list[np.ndarray]:
    """A packed operator's weights; none when they cannot be read."""
    try:
        return packed_matrices(subgraph, operator)
    except UserError:
        return []


def _zero_weights(tensor: Tensor) -> int:
    """How many values equal the zero point; 0 for a type, or sparse data, that cannot be read."""
    bits, count = element_bits(tensor.dtype), prod(tensor.shape)
    if bits == 0 or tensor.data is None or len(tensor.data) != (count * bits + 7) // 8:
        return 0
    return count - int(np.count_nonzero(tensor.array() != (tensor.zero_point or (0,))[0]))


def _multiplications(subgraph: Subgraph, operator: Operator, weights: list[Tensor]) -> int:
    """Of one invocation, by a weight."""
    result = subgraph.tensors[operator.outputs[0]].shape
    if operator.kind == LSTM:
        return sum(prod(tensor.shape) for tensor in weights) * prod(result[:-1])
    if operator.kind == "SVDF":
        return sum(prod(tensor.shape) for tensor in weights)
    if operator.kind not in _DENSE or len(operator.inputs) <= _WEIGHT_INPUT:
        return 0
    # Weights that an operator computes count like others.
    shape = subgraph.tensors[operator.inputs[_WEIGHT_INPUT]].shape
    return prod(result) * prod(shape[1:3] if operator.kind == "DEPTHWISE_CONV_2D" else shape[1:])


def _work(subgraph: Subgraph, operator: Operator, weights: list[Tensor], zeros: int, multiplications: int) -> int:
    """Multiplications that one invocation needs, however the weights are stored.

    Dense and recurrent layers: weights that are not zero times the positions that they are used at. Depthwise
    kernels in full, zeros or not: nothing skips them. MUL: one per element.
    """
    if operator.kind == "MUL":
        return prod(subgraph.tensors[operator.outputs[0]].shape)
    if operator.kind == "DEPTHWISE_CONV_2D" or not multiplications:
        return multiplications
    count = sum(prod(tensor.shape) for tensor in weights)
    if not weights:
        index = operator.inputs[_WEIGHT_INPUT]
        count = prod(subgraph.tensors[index].shape)
        zeros = count - decode_form.count_expanded(subgraph, index, count)
    return multiplications // max(count, 1) * (count - zeros)


def _row(subgraph: Subgraph, operator: Operator, place: Place | None, refusal: Refusal | None) -> Row:
    output = subgraph.tensors[operator.outputs[0]]
    weights = _weights(subgraph, operator)
    count = sum(prod(tensor.shape) for tensor in weights)
    constants = {index for index in operator.inputs if index >= 0 and subgraph.tensors[index].data is not None}
    stored = {index: len(subgraph.tensors[index].data or b"") for index in constants}
    multiplications = done = _multiplications(subgraph, operator, weights)
    zeros, weight_bytes = sum(map(_zero_weights, weights)), sum(len(tensor.data or b"") for tensor in weights)
    if operator.kind == decode_form.KIND:
        weight_bytes = sum(stored.values())
        zeros = count - decode_form.count_values(subgraph, operator)
    elif operator.packed:
        matrices = _packed(subgraph, operator)
        zeros = sum(matrix.size - int(np.count_nonzero(matrix)) for matrix in matrices)
        weight_bytes = sum(stored.get(index, 0) for index in operator.inputs[_PACKED[operator.kind]])
        if matrices:
            entries = sum(map(count_entries, matrices))
            done = multiplications // max(count, 1) * spec.ZERO_SKIP_ROWS * entries
    return Row(
        subgraph.name,
        operator.kind + (" packed" if operator.packed else ""),
        output.name,
        output.shape,
        output.dtype,
        count,
        weights[0].dtype if weights else "",
        zeros,
        weight_bytes,
        sum(stored.values()),
        multiplications,
        done,
        _work(subgraph, operator, weights, zeros, multiplications),
        place,
        refusal,
    )


def describe(data: bytes, board: BoardPlan | None = None) -> list[Row]:
    """One row per operator of a .tflite file, in the order of execution.

    Args:
        data: the whole file; any int8 or int4 model, not only ours.
        board: of the same file (board.plan), for places and refusals.
    Raises:
        UserError: the file is not a .tflite or is damaged.
    """
    places = board.places if board else {}
    refusals = board.operators if board else {}
    return [
        _row(part, operator, places.get((index, number)), refusals.get((index, number)))
        for index, part in enumerate(read_model(data).subgraphs)
        for number, operator in enumerate(part.operators)
    ]


def totals(rows: Iterable[Row], subgraph: str | None = None) -> Totals:
    """Sums over all rows, or over those of one subgraph."""
    chosen = [row for row in rows if subgraph is None or row.subgraph == subgraph]
    return Totals(
        sum(row.weights for row in chosen),
        sum(row.zero_weights for row in chosen),
        sum(row.weight_bytes for row in chosen),
        sum(row.constant_bytes for row in chosen),
        sum(row.multiplications for row in chosen),
        sum(row.multiplications_done for row in chosen),
        sum(row.work for row in chosen),
    )
