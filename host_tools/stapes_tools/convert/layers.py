"""Dense layers as matrices with the inputs that they meet: CONV_2D, FULLY_CONNECTED and the gates of a LSTM."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import tflite

from stapes_tools.convert.execute import Values
from stapes_tools.convert.graph import Model, Operator, Subgraph, Tensor, pack_int4
from stapes_tools.convert.reconstruct import Matrix, Rounded

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_RANKS = {"CONV_2D": 4, "FULLY_CONNECTED": 2}
_X, _WEIGHTS, _BIAS = 0, 1, 2
_LSTM_INPUT, _LSTM_RECURRENT, _LSTM_BIAS, _LSTM_GATES = 1, 5, 12, 4
# Rows of inputs that a layer's statistics are taken from, spread over all there are.
_MOST_ROWS = 4096
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Weights:
    """A matrix of a layer: tensors side by side, and the bias's, -1 where none can be changed."""

    tensors: tuple[int, ...]
    bias: int


@dataclass(frozen=True)
class Layer:
    """An operator whose weights are matrices; a LSTM has one per gate, input and recurrent weights side by side."""

    subgraph: int
    operator: int
    name: str
    kind: str
    matrices: tuple[Weights, ...]

    @property
    def key(self) -> tuple[int, int]:
        """(subgraph, operator)."""
        return self.subgraph, self.operator


def find_layers(model: Model) -> list[Layer]:
    """The layers whose weights can be changed: constant int8 or int4, symmetric, used once."""
    layers = []
    for index, part in enumerate(model.subgraphs):
        uses = Counter([*part.inputs, *part.outputs, *(k for operator in part.operators for k in operator.inputs)])
        for number, operator in enumerate(part.operators):
            matrices = _matrices(part, operator, uses)
            if matrices:
                name = part.tensors[operator.outputs[0]].name
                layers.append(Layer(index, number, name, operator.kind, matrices))
    return layers


def _matrices(part: Subgraph, operator: Operator, uses: Counter[int]) -> tuple[Weights, ...]:
    if operator.packed:
        return ()
    if operator.kind == LSTM:
        return _gates(part, operator, uses)
    if operator.kind not in _RANKS or len(operator.inputs) <= _WEIGHTS:
        return ()
    index, x = operator.inputs[_WEIGHTS], part.tensors[operator.inputs[_X]]
    tensor = part.tensors[index]
    grouped = operator.kind == "CONV_2D" and x.shape[-1:] != tensor.shape[-1:]
    shuffled = operator.options.get("WeightsFormat", 0) != 0
    if not _is_weights(tensor, uses[index]) or len(tensor.shape) != _RANKS[operator.kind] or grouped or shuffled:
        return ()
    if len(x.scale) != 1:
        return ()
    bias = operator.inputs[_BIAS] if len(operator.inputs) > _BIAS else -1
    return (Weights((index,), _free_bias(part, bias, uses)),)


def _gates(part: Subgraph, operator: Operator, uses: Counter[int]) -> tuple[Weights, ...]:
    found = []
    for gate in range(_LSTM_GATES):
        pair = operator.inputs[_LSTM_INPUT + gate], operator.inputs[_LSTM_RECURRENT + gate]
        if min(pair) < 0:  # an input gate that is coupled to the forget gate
            continue
        if not all(_is_weights(part.tensors[index], uses[index]) for index in pair):
            return ()
        found.append(Weights(pair, _free_bias(part, operator.inputs[_LSTM_BIAS + gate], uses)))
    plain = len(part.tensors[operator.inputs[_X]].scale) == len(part.tensors[operator.outputs[0]].scale) == 1
    return tuple(found) if plain and not operator.options.get("TimeMajor", 0) else ()


def _is_weights(tensor: Tensor, uses: int) -> bool:
    constant = tensor.dtype in ("int8", "int4") and tensor.data is not None and not tensor.sparse and uses == 1
    return constant and len(tensor.scale) in (1, tensor.shape[0]) and not any(tensor.zero_point)


def _free_bias(part: Subgraph, index: int, uses: Counter[int]) -> int:
    """The bias, if it is this matrix's alone."""
    if index < 0 or uses[index] != 1 or part.tensors[index].dtype != "int32" or part.tensors[index].data is None:
        return -1
    return index


def _steps(tensor: Tensor) -> np.ndarray:
    """The grid's step of every weight, float64 [rows, depth]."""
    depth = prod(tensor.shape[1:])
    return np.broadcast_to(np.array(tensor.scale, np.float64)[:, None], (tensor.shape[0], depth))


def _limits(tensor: Tensor) -> tuple[int, int]:
    limit = 7 if tensor.dtype == "int4" else 127
    return -limit, limit


def matrix(part: Subgraph, weights: Weights) -> Matrix:
    """A matrix's weights as they are now."""
    tensors = [part.tensors[index] for index in weights.tensors]
    integers = [tensor.array().reshape(tensor.shape[0], -1).astype(np.int64) for tensor in tensors]
    return Matrix(np.hstack(integers), np.hstack([_steps(tensor) for tensor in tensors]), _limits(tensors[0]))


def put(part: Subgraph, weights: Weights, rounded: Rounded, x_scale: float) -> None:
    """Write a matrix's weights, and what its outputs lost on average into its bias."""
    start = 0
    for index in weights.tensors:
        tensor = part.tensors[index]
        depth = prod(tensor.shape[1:])
        values = rounded.integers[:, start : start + depth].astype(np.int8)
        data = pack_int4(values) if tensor.dtype == "int4" else values.tobytes()
        part.tensors[index] = replace(tensor, data=data)
        start += depth
    if weights.bias >= 0:
        steps = x_scale * _steps(part.tensors[weights.tensors[0]])[:, 0]
        bias = part.tensors[weights.bias]
        values = bias.array().ravel() + np.rint(rounded.missing / steps)
        data = np.clip(values, _INT32.min, _INT32.max).astype(np.int32).tobytes()
        part.tensors[weights.bias] = replace(bias, data=data)


def x_scale(part: Subgraph, layer: Layer) -> float:
    """The scale of a layer's input."""
    return part.tensors[part.operators[layer.operator].inputs[_X]].scale[0]


def inputs(part: Subgraph, layer: Layer, traces: Sequence[Sequence[Values]]) -> np.ndarray:
    """Rows that a layer's matrices are multiplied by: float64 [n, depth], n <= 4096, in real units."""
    operator = part.operators[layer.operator]
    count = sum(map(len, traces))
    if operator.kind == LSTM:
        rows = np.concatenate([_lstm_rows(part, operator, steps) for steps in traces if steps])
    else:
        stride = _stride(part, operator, max(1, _MOST_ROWS // max(count, 1)))
        rows = np.concatenate([_rows(part, operator, values)[::stride] for steps in traces for values in steps])
    if len(rows) > _MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_ROWS).astype(int)]
    return rows


def _stride(part: Subgraph, operator: Operator, wanted: int) -> int:
    """Every how manieth position of a step is enough."""
    shape = part.tensors[operator.outputs[0]].shape
    return max(1, prod(shape[:-1]) // wanted)


def _real(tensor: Tensor, values: bytes) -> np.ndarray:
    integers = np.frombuffer(values, tensor.dtype).reshape(tensor.shape).astype(np.float64)
    return (integers - tensor.zero_point[0]) * tensor.scale[0]


def _rows(part: Subgraph, operator: Operator, values: Values) -> np.ndarray:
    """One step's."""
    x = part.tensors[operator.inputs[_X]]
    real = _real(x, values[operator.inputs[_X]])
    shape = part.tensors[operator.inputs[_WEIGHTS]].shape
    if operator.kind == "FULLY_CONNECTED":
        return real.reshape(-1, shape[1])
    return _patches(real, shape[1:3], operator, part.tensors[operator.outputs[0]].shape)


def _patches(x: np.ndarray, kernel: tuple[int, ...], operator: Operator, result: tuple[int, ...]) -> np.ndarray:
    """What a convolution's kernel meets at every position: [positions, height * width * channels]."""
    strides = [operator.options.get(name, 1) or 1 for name in ("StrideH", "StrideW")]
    dilations = [operator.options.get(name, 1) or 1 for name in ("DilationHFactor", "DilationWFactor")]
    padding = [(0, 0)] * 4
    if operator.options.get("Padding", 0) == tflite.Padding.SAME:
        for k in range(2):
            needed = (result[1 + k] - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + 1
            missing = max(0, needed - x.shape[1 + k])
            padding[1 + k] = missing // 2, missing - missing // 2
    x = np.pad(x, padding)
    reach = tuple((size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernel[0] * kernel[1] * x.shape[3])


def _lstm_rows(part: Subgraph, operator: Operator, steps: Sequence[Values]) -> np.ndarray:
    """Inputs beside the outputs of the step before, over one sequence from the zero state; one batch."""
    x, y = operator.inputs[_X], operator.outputs[0]
    given, made = (
        np.concatenate([_real(part.tensors[k], values[k]).reshape(-1, part.tensors[k].shape[-1]) for values in steps])
        for k in (x, y)
    )
    return np.hstack([given, np.vstack([np.zeros((1, made.shape[1])), made[:-1]])])
