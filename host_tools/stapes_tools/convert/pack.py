"""Pack the weights of dense layers without their zeros, and put them back.

A packed layer keeps its tensors, names, scales and options: its operator becomes ours, its weights lose their data, and
an input with the packed bytes comes after the bias (layout.zero_skip of the specification).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import stapes_spec as spec
from stapes_reference.tensor import MAX_BYTES

from stapes_tools.convert import pack_lstm
from stapes_tools.convert.branches import check_branches
from stapes_tools.convert.decode_form import Decoded, code, expand
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Operator, Subgraph, Tensor, element_bits, pack_int4
from stapes_tools.convert.metadata import seal
from stapes_tools.convert.read import read_model
from stapes_tools.convert.zero_skip import count_entries, decode, encode, moved
from stapes_tools.errors import UserError

_X, _WEIGHTS, _BIAS, _PACKED = 0, 1, 2, spec.ZERO_SKIP_PACKED_INPUT
_RANKS = {"CONV_2D": 4, "FULLY_CONNECTED": 2}
_LIFT = 128  # u = x + 128
_MOST_INPUTS = 65536
# What a packed tensor adds to the file besides its bytes: its name, perhaps a bias.
_OVERHEAD_BYTES = 128
# Cycles on the emulated Cortex-M0+ (docs/model_file.md): per weight of the dense kernels; per entry of four weights and
# per block of the packed ones.
_DENSE_CYCLES = {8: 4.7, 4: 4.1}
_DENSE_LSTM_CYCLES = 7.1
_ENTRY_CYCLES = {8: 17.7, 4: 14.5}
_BLOCK_CYCLES = 70


@dataclass(frozen=True)
class Layer:
    """A dense layer with constant weights, or an LSTM.

    rows, depth, bits: of its matrix; of an LSTM's eight beside and above each other; zeros: how many of its weights are
    0; dense_bytes, packed_bytes: of its weights in the file; packed_bits: of a packed weight; entries: blocks of four
    weights that are not all 0, which the packed kernel multiplies; positions: how often the matrix is used in one
    invocation; packed: whether it is packed now; matrices: how many are packed by themselves.
    """

    subgraph: str
    name: str
    rows: int
    depth: int
    bits: int
    zeros: int
    dense_bytes: int
    packed_bytes: int
    packed_bits: int
    entries: int
    positions: int
    packed: bool
    matrices: int = 1

    @property
    def dense_cycles(self) -> int:
        """Emulated cycles of an invocation's products, packed or not: see docs/model_file.md."""
        each = _DENSE_CYCLES[self.bits] if self.matrices == 1 else _DENSE_LSTM_CYCLES
        return round(self.positions * self.rows * self.depth * each)

    @property
    def packed_cycles(self) -> int:
        """The same for packed weights."""
        blocks = (self.rows + spec.ZERO_SKIP_ROWS - 1) // spec.ZERO_SKIP_ROWS
        if self.matrices > 1:  # each block of an LSTM's is two: one of x, one of the recurrent state
            blocks *= 2
        return round(self.positions * (self.entries * _ENTRY_CYCLES[self.packed_bits] + blocks * _BLOCK_CYCLES))

    @property
    def pays(self) -> bool:
        """Whether packing makes the file smaller and the step cheaper."""
        added = self.packed_bytes + self.matrices * _OVERHEAD_BYTES
        return added < self.dense_bytes and self.packed_cycles < self.dense_cycles


def packed_matrix(subgraph: Subgraph, operator: Operator) -> tuple[np.ndarray, int]:
    """A packed operator's weights, int8 [rows, depth], and its stock operator's bias (zero_skip_bias).

    Raises:
        UserError: they are damaged.
    """
    if len(operator.inputs) <= _PACKED or min(operator.inputs[k] for k in (_X, _WEIGHTS, _PACKED)) < 0:
        raise UserError("a packed layer of {} lacks its weights".format(subgraph.name))
    x, tensor, packed = (subgraph.tensors[operator.inputs[k]] for k in (_X, _WEIGHTS, _PACKED))
    is_matrix = tensor.dtype in ("int8", "int4") and len(tensor.shape) > 1 and 0 < prod(tensor.shape) <= MAX_BYTES
    if not is_matrix or not _one_scale(x):
        raise UserError("a packed layer of {} has inputs or weights of a strange type".format(subgraph.name))
    shape = tensor.shape[0], prod(tensor.shape[1:])
    return decode(packed.data or b"", *shape, element_bits(tensor.dtype))


def packed_matrices(subgraph: Subgraph, operator: Operator) -> list[np.ndarray]:
    """All weights of a packed operator, int8 [rows, depth] each.

    Raises:
        UserError: they are damaged.
    """
    if operator.kind == pack_lstm.KIND:
        return pack_lstm.packed_matrices(subgraph, operator)
    return [packed_matrix(subgraph, operator)[0]]


def _matrix(tensor: Tensor) -> np.ndarray:
    return tensor.array().reshape(tensor.shape[0], -1).astype(np.int64)


def _stored(matrix: np.ndarray, dtype: str) -> bytes:
    return pack_int4(matrix.astype(np.int8)) if dtype == "int4" else matrix.astype(np.int8).tobytes()


def _uses(subgraph: Subgraph) -> Counter[int]:
    """How often each tensor is an input of an operator, or an input or output of the subgraph."""
    uses = Counter(subgraph.inputs + subgraph.outputs)
    for operator in subgraph.operators:
        uses.update(operator.inputs)
    return uses


def _one_scale(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and len(tensor.scale) == len(tensor.zero_point) == 1


def _is_dense(subgraph: Subgraph, operator: Operator, uses: Counter[int]) -> bool:
    """Whether a stock operator is a layer that can be packed."""
    if operator.kind not in _RANKS or operator.packed or len(operator.inputs) not in (2, 3):
        return False
    if min(operator.inputs[:_BIAS]) < 0:
        return False
    x, weights = (subgraph.tensors[index] for index in operator.inputs[:2])
    y = subgraph.tensors[operator.outputs[0]]
    is_matrix = weights.dtype in ("int8", "int4") and weights.data is not None and not any(weights.zero_point)
    if not is_matrix or not weights.scale or len(weights.shape) != _RANKS[operator.kind]:
        return False
    whole = operator.kind == "FULLY_CONNECTED" or x.shape[-1:] == weights.shape[-1:]  # no groups
    plain = operator.options.get("WeightsFormat", 0) == 0 and prod(weights.shape[1:]) <= _MOST_INPUTS
    if not (whole and plain and _one_scale(x) and _one_scale(y)) or uses[operator.inputs[_WEIGHTS]] > 1:
        return False
    return _can_bias(subgraph, operator, uses)


def _can_bias(subgraph: Subgraph, operator: Operator, uses: Counter[int]) -> bool:
    """Whether the bias is absent, stays as it is, or is this layer's alone."""
    index = _bias_index(operator)
    if index < 0:
        return True
    bias = subgraph.tensors[index]
    alone = uses[index] == 1 or _lift(subgraph, operator) == 0
    rows = subgraph.tensors[operator.inputs[_WEIGHTS]].shape[0]
    return bias.dtype == "int32" and bias.data is not None and prod(bias.shape) == rows and alone


def _bias_index(operator: Operator) -> int:
    return operator.inputs[_BIAS] if len(operator.inputs) > _BIAS else -1


def _lift(subgraph: Subgraph, operator: Operator) -> int:
    """What the packed kernel adds to every x less its zero point."""
    return _LIFT + subgraph.tensors[operator.inputs[_X]].zero_point[0]


def _layer(subgraph: Subgraph, operator: Operator, matrix: np.ndarray) -> Layer:
    weights = subgraph.tensors[operator.inputs[_WEIGHTS]]
    rows, depth = matrix.shape
    bits = element_bits(weights.dtype)
    return Layer(
        subgraph.name,
        subgraph.tensors[operator.outputs[0]].name,
        rows,
        depth,
        bits,
        int(matrix.size - np.count_nonzero(matrix)),
        (matrix.size * bits + 7) // 8,
        len(encode(matrix, bits)),
        bits,
        count_entries(matrix),
        prod(subgraph.tensors[operator.outputs[0]].shape) // rows,
        operator.packed,
    )


def _lstm_layer(subgraph: Subgraph, operator: Operator, matrices: list[np.ndarray]) -> Layer:
    cells, inputs = matrices[0].shape
    output = subgraph.tensors[operator.outputs[0]]
    return Layer(
        subgraph.name,
        output.name,
        pack_lstm.GATES * cells,
        inputs + cells,
        8,
        int(sum(matrix.size - np.count_nonzero(matrix) for matrix in matrices)),
        sum(matrix.size for matrix in matrices),
        pack_lstm.packed_bytes(matrices),
        max(pack_lstm.bits_of(matrix) for matrix in matrices),
        sum(count_entries(matrix) for matrix in matrices),
        prod(output.shape) // cells,
        operator.packed,
        len(matrices),
    )


def _set_bias(subgraph: Subgraph, operator: Operator, matrix: np.ndarray) -> int:
    """Take the lift out of the bias, adding one where there is none; returns what there was (zero_skip_bias)."""
    kind = spec.ZERO_SKIP_BIAS_ABSENT if len(operator.inputs) <= _BIAS else spec.ZERO_SKIP_BIAS_LEFT_OUT
    index = _bias_index(operator)
    amounts = -_lift(subgraph, operator) * matrix.sum(axis=1)
    operator.inputs[_BIAS:] = [index]
    if index >= 0:
        bias = subgraph.tensors[index]
        if amounts.any():
            subgraph.tensors[index] = replace(bias, data=moved(bias.data or b"", amounts))
        return spec.ZERO_SKIP_BIAS_GIVEN
    if _lift(subgraph, operator):
        name = subgraph.tensors[operator.inputs[_WEIGHTS]].name + "/packed_bias"
        data = moved(bytes(4 * len(amounts)), amounts)
        operator.inputs[_BIAS] = subgraph.add(Tensor(name, amounts.shape, "int32", data=data))
    return kind


def _pack_layer(subgraph: Subgraph, operator: Operator, matrix: np.ndarray, bits: int) -> None:
    weights = subgraph.tensors[operator.inputs[_WEIGHTS]]
    data = encode(matrix, bits, _set_bias(subgraph, operator, matrix))
    subgraph.tensors[operator.inputs[_WEIGHTS]] = replace(weights, data=None)
    operator.inputs.append(subgraph.add(Tensor(weights.name + "/packed", (len(data),), "int8", data=data)))
    operator.packed = True


def _unpack_layer(subgraph: Subgraph, operator: Operator) -> None:
    matrix, kind = packed_matrix(subgraph, operator)
    weights = subgraph.tensors[operator.inputs[_WEIGHTS]]
    subgraph.tensors[operator.inputs[_WEIGHTS]] = replace(weights, data=_stored(matrix, weights.dtype))
    amounts = _lift(subgraph, operator) * matrix.sum(axis=1, dtype=np.int64)
    index = _bias_index(operator)
    if kind == spec.ZERO_SKIP_BIAS_GIVEN:
        bias = subgraph.tensors[index]
        if index < 0 or len(bias.data or b"") != 4 * len(amounts):
            raise UserError("a packed layer of {} has no bias that fits".format(subgraph.name))
        if amounts.any():
            subgraph.tensors[index] = replace(bias, data=moved(bias.data or b"", amounts))
        del operator.inputs[_PACKED:]
    else:
        del operator.inputs[_BIAS:]
        operator.inputs += [-1] if kind == spec.ZERO_SKIP_BIAS_LEFT_OUT else []
    operator.packed = False


def _pack_operator(subgraph: Subgraph, operator: Operator, uses: Counter[int]) -> Layer | None:
    """Pack an operator if that pays; None for one that cannot be packed."""
    if pack_lstm.can_be_packed(subgraph, operator, uses):
        matrices = pack_lstm.dense_matrices(subgraph, operator)
        layer = _lstm_layer(subgraph, operator, matrices)
        if layer.pays:
            pack_lstm.pack_operator(subgraph, operator, matrices)
    elif _is_dense(subgraph, operator, uses):
        matrix = _matrix(subgraph.tensors[operator.inputs[_WEIGHTS]])
        layer = _layer(subgraph, operator, matrix)
        if layer.pays:
            _pack_layer(subgraph, operator, matrix, layer.bits)
    else:
        return None
    return replace(layer, packed=layer.pays)


def _unpack_operator(subgraph: Subgraph, operator: Operator) -> Layer:
    if operator.kind == pack_lstm.KIND:
        matrices = pack_lstm.packed_matrices(subgraph, operator)
        layer = _lstm_layer(subgraph, operator, matrices)
        pack_lstm.unpack_operator(subgraph, operator, matrices)
    else:
        layer = _layer(subgraph, operator, packed_matrix(subgraph, operator)[0].astype(np.int64))
        _unpack_layer(subgraph, operator)
    return layer


def _drop_tensors(subgraph: Subgraph, dropped: set[int]) -> dict[int, int]:
    """Remove tensors; returns where the others are now."""
    kept = [index for index in range(len(subgraph.tensors)) if index not in dropped]
    places = {old: new for new, old in enumerate(kept)} | {-1: -1}
    subgraph.tensors = [subgraph.tensors[index] for index in kept]
    subgraph.inputs = [places[index] for index in subgraph.inputs]
    subgraph.outputs = [places[index] for index in subgraph.outputs]
    for operator in subgraph.operators:
        operator.inputs = [places[index] for index in operator.inputs]
        operator.outputs = [places[index] for index in operator.outputs]
        operator.intermediates = [places[index] for index in operator.intermediates]
    return places


def read_copyable(data: bytes) -> Model:
    """A .tflite file as a model that can be written again as it was.

    Raises:
        UserError: not a .tflite, damaged, with a part that cannot be copied, or with branches that do not fit.
    """
    model = read_model(data)
    check_branches(model.subgraphs)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if element_bits(tensor.dtype) == 0 or tensor.sparse:
                what = "sparse" if tensor.sparse else "of type {}".format(tensor.dtype)
                raise UserError("tensor {} is {}, and cannot be copied".format(tensor.name, what))
        for operator in subgraph.operators:
            if not all(map(_is_copied, operator.options.values())) or operator.kind in ("unknown", "CUSTOM "):
                raise UserError("operator {} of {} cannot be copied".format(operator.kind, subgraph.name))
    return model


def _is_copied(value) -> bool:
    return isinstance(value, int | float) or (isinstance(value, tuple) and all(isinstance(v, int) for v in value))


def written(model: Model) -> bytes:
    """The model's file, with our checksum where it has our metadata."""
    data = serialise(model)
    entry = model.metadata.get(spec.MODEL_METADATA_NAME, b"")
    return seal(data) if len(entry) >= spec.METADATA_BYTES else data


def pack(data: bytes) -> tuple[bytes, list[Layer]]:
    """Pack every CONV_2D and FULLY_CONNECTED of constant int8 or int4 weights, and every LSTM of int8 ones, that gets
    smaller and cheaper by it.

    Args:
        data: a .tflite file, not only ours.
    Returns:
        (the file with packed layers, one Layer per layer of constant weights).
    Raises:
        UserError: not a .tflite, damaged, or with a part that cannot be copied.
    """
    model = read_copyable(data)
    layers = []
    for subgraph in model.subgraphs:
        uses = _uses(subgraph)
        for operator in subgraph.operators:
            layer = _pack_operator(subgraph, operator, uses)
            layers += [layer] if layer else []
    return written(model), layers


def pack_for_decode(data: bytes) -> tuple[bytes, list[Decoded]]:
    """Put TensorFlow Lite Micro's operator DECODE before the layers whose weights get smaller by it (decode_form.py).

    Args:
        data: a .tflite file, not only ours.
    Returns:
        (the file, one Decoded per tensor of weights that DECODE could write).
    Raises:
        UserError: not a .tflite, damaged, or with a part that cannot be copied.
    """
    model = read_copyable(data)
    coded = code(model)
    return written(model), coded


def densify(data: bytes) -> tuple[bytes, list[Layer | Decoded]]:
    """Put stock operators and dense weights in the place of packed ones.

    Args:
        data: what pack or pack_for_decode wrote.
    Returns:
        (the file with stock operators, one Layer per layer that was packed, one Decoded per tensor of DECODE).
    Raises:
        UserError: not a .tflite, or damaged.
    """
    model = read_copyable(data)
    layers: list[Layer | Decoded] = []
    for number, subgraph in enumerate(model.subgraphs):
        before = _uses(subgraph)
        layers += expand(subgraph)
        for operator in subgraph.operators:
            if operator.packed:
                layers.append(_unpack_operator(subgraph, operator))
        dropped = {index for index in before if index >= 0} - set(_uses(subgraph)) - _outputs(subgraph.operators)
        _follow(model, number, _drop_tensors(subgraph, dropped))
    return written(model), layers


def _outputs(operators: Iterable[Operator]) -> set[int]:
    return {index for operator in operators for index in operator.outputs}


def _follow(model: Model, number: int, places: dict[int, int]) -> None:
    """Let the signatures of a subgraph follow its tensors."""
    for entry in model.signatures or []:
        if entry.subgraph == number:
            entry.inputs = [(name, places[index]) for name, index in entry.inputs]
            entry.outputs = [(name, places[index]) for name, index in entry.outputs]
