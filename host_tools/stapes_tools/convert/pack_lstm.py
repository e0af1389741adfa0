"""Pack the eight matrices of an LSTM without their zeros, and put them back: pack.py's part for that operator."""

from collections import Counter

import numpy as np
import stapes_spec as spec

from stapes_tools.convert.graph import Operator, Subgraph, Tensor
from stapes_tools.convert.zero_skip import decode, encode, moved
from stapes_tools.errors import UserError

KIND = "UNIDIRECTIONAL_SEQUENCE_LSTM"
GATES = 4
# Inputs of the operator: x, the matrices for x and for the recurrent state, biases, the recurrent state.
_X, _MATRICES, _BIASES, _HIDDEN, _INPUTS = 0, range(1, 9), range(12, 16), 18, 24
_ABSENT = (9, 10, 11, 16, 17, 20, 21, 22, 23)  # peepholes, projection, layer normalisation
_LIFT = 128  # u = x + 128
_MOST_COLUMNS = 65536


def bits_of(matrix: np.ndarray) -> int:
    """Bits of a packed weight: 4 if all of them fit, else 8."""
    return 4 if matrix.size == 0 or (matrix.min() >= -8 and matrix.max() <= 7) else 8


def _packed(matrices: list[np.ndarray]) -> list[bytes]:
    kinds = [spec.ZERO_SKIP_BIAS_GIVEN] * GATES + [spec.ZERO_SKIP_BIAS_ABSENT] * GATES
    return [encode(matrix, bits_of(matrix), kind) for matrix, kind in zip(matrices, kinds, strict=True)]


def packed_bytes(matrices: list[np.ndarray]) -> int:
    """Bytes of the packed weights and of the recurrent biases."""
    return sum(map(len, _packed(matrices))) + 4 * GATES * len(matrices[0])


def can_be_packed(subgraph: Subgraph, operator: Operator, uses: Counter[int]) -> bool:
    """Whether an operator is a stock LSTM of the form that the board serves, whose constants are its alone.

    Args:
        subgraph: that has the operator.
        operator: of any kind.
        uses: how often each tensor of the subgraph is used.
    """
    if operator.kind != KIND or operator.packed or len(operator.inputs) != _INPUTS:
        return False
    if any(operator.inputs[k] >= 0 for k in _ABSENT):
        return False
    constants = [operator.inputs[k] for k in (*_MATRICES, *_BIASES)]
    if any(index < 0 or uses[index] > 1 or subgraph.tensors[index].data is None for index in constants):
        return False
    x, hidden = (subgraph.tensors[operator.inputs[k]] for k in (_X, _HIDDEN))
    biases = [subgraph.tensors[operator.inputs[k]] for k in _BIASES]
    activations = all(tensor.dtype == "int8" and len(tensor.zero_point) == 1 for tensor in (x, hidden))
    return activations and all(bias.dtype == "int32" for bias in biases) and _are_matrices(subgraph, operator)


def _are_matrices(subgraph: Subgraph, operator: Operator) -> bool:
    """Whether the eight matrices have the shapes of one LSTM and symmetric int8 weights."""
    matrices = [subgraph.tensors[operator.inputs[k]] for k in _MATRICES]
    if any(tensor.dtype != "int8" or len(tensor.shape) != 2 or any(tensor.zero_point) for tensor in matrices):
        return False
    cells, inputs = matrices[0].shape
    shapes = [(cells, inputs)] * GATES + [(cells, cells)] * GATES
    fits = 0 < inputs <= _MOST_COLUMNS and 0 < cells <= _MOST_COLUMNS
    return fits and [tensor.shape for tensor in matrices] == shapes


def dense_matrices(subgraph: Subgraph, operator: Operator) -> list[np.ndarray]:
    """The eight matrices of a stock LSTM, int64 [cells, inputs] and [cells, cells]."""
    return [subgraph.tensors[operator.inputs[k]].array().astype(np.int64) for k in _MATRICES]


def packed_matrices(subgraph: Subgraph, operator: Operator) -> list[np.ndarray]:
    """The same of a packed LSTM.

    Raises:
        UserError: they are damaged.
    """
    if len(operator.inputs) != spec.ZERO_SKIP_LSTM_BIAS_INPUT + GATES or not _has_tensors(operator):
        raise UserError("a packed layer of {} lacks its weights".format(subgraph.name))
    matrices = []
    for number, k in enumerate(_MATRICES):
        weights = subgraph.tensors[operator.inputs[k]]
        data = subgraph.tensors[operator.inputs[spec.ZERO_SKIP_LSTM_INPUT + number]].data or b""
        if len(weights.shape) != 2 or weights.dtype != "int8":
            raise UserError("a packed layer of {} lacks its weights".format(subgraph.name))
        bits = data[spec.ZERO_SKIP_BITS_OFFSET] if len(data) >= spec.ZERO_SKIP_BYTES else 8
        rows, depth = weights.shape
        matrices.append(decode(data, rows, depth, bits if bits in (4, 8) else 8)[0].astype(np.int64))
    return matrices


def _has_tensors(operator: Operator) -> bool:
    needed = (*_MATRICES, *_BIASES, _HIDDEN, *range(spec.ZERO_SKIP_LSTM_INPUT, spec.ZERO_SKIP_LSTM_BIAS_INPUT))
    return all(operator.inputs[k] >= 0 for k in needed)


def _lifts(subgraph: Subgraph, operator: Operator) -> list[int]:
    """What the packed kernel adds to every input of each matrix less its zero point."""
    x, hidden = (_LIFT + subgraph.tensors[operator.inputs[k]].zero_point[0] for k in (_X, _HIDDEN))
    return [x] * GATES + [hidden] * GATES


def pack_operator(subgraph: Subgraph, operator: Operator, matrices: list[np.ndarray]) -> None:
    """Make a stock LSTM a packed one.

    Args:
        matrices: its own, from dense_matrices.
    """
    lifts = _lifts(subgraph, operator)
    amounts = [-lift * matrix.sum(axis=1) for lift, matrix in zip(lifts, matrices, strict=True)]
    for k, amount in zip(_BIASES, amounts[:GATES], strict=True):
        bias = subgraph.tensors[operator.inputs[k]]
        bias.data = moved(bias.data or b"", amount)
    weights = [subgraph.tensors[operator.inputs[k]] for k in _MATRICES]
    for tensor, data in zip(weights, _packed(matrices), strict=True):
        tensor.data = None
        operator.inputs.append(subgraph.add(Tensor(tensor.name + "/packed", (len(data),), "int8", data=data)))
    for tensor, amount, lift in zip(weights[GATES:], amounts[GATES:], lifts[GATES:], strict=True):
        data = moved(bytes(4 * len(amount)), amount)
        bias = Tensor(tensor.name + "/packed_bias", amount.shape, "int32", data=data)
        operator.inputs.append(subgraph.add(bias) if lift else -1)
    operator.packed = True


def unpack_operator(subgraph: Subgraph, operator: Operator, matrices: list[np.ndarray]) -> None:
    """Make a packed LSTM a stock one.

    Args:
        matrices: its own, from packed_matrices.
    Raises:
        UserError: it is damaged.
    """
    for k, matrix in zip(_MATRICES, matrices, strict=True):
        subgraph.tensors[operator.inputs[k]].data = matrix.astype(np.int8).tobytes()
    for k, matrix, lift in zip(_BIASES, matrices[:GATES], _lifts(subgraph, operator), strict=False):
        bias = subgraph.tensors[operator.inputs[k]]
        if len(bias.data or b"") != 4 * len(matrix):
            raise UserError("a packed layer of {} has no bias that fits".format(subgraph.name))
        bias.data = moved(bias.data or b"", lift * matrix.sum(axis=1))
    del operator.inputs[_INPUTS:]
    operator.packed = False
