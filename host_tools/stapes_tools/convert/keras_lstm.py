"""A Keras Sequential model of LSTM and Dense layers as an int8 model with the fused LSTM operator.

Post-training: weights symmetric in 8 bits, activations int8, the cell int16 with a power of two as its scale.

Reference: TensorFlow Lite's integer LSTM, activations of 8 bits, cell of 16.
"""

from math import ceil, log2
from typing import Any

import numpy as np
import tflite

from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Operator, Subgraph, Tensor
from stapes_tools.convert.quantize import choose_scale
from stapes_tools.convert.scales import WEIGHT_MAX, Scale, quantise_weights, scale_for_range
from stapes_tools.errors import UserError

_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_GATES = 4
# Of SOFTMAX, LOGISTIC and TANH on int8 tensors.
_INT8_VERSION = 2
_CELL_BITS = 15
# Exponents of the cell's scale that the board runs (docs/model_file.md).
_LEAST_CELL_POWER, _MOST_CELL_POWER = -15, -9
# The integer kernels' own input scale of a gate's activation function.
_GATE_SCALE = 2.0**-12
_SEPARATE = {
    "softmax": ("SOFTMAX", "SoftmaxOptions", {"Beta": 1.0}, Scale(1 / 256, -128)),
    "sigmoid": ("LOGISTIC", "", {}, Scale(1 / 256, -128)),
    "tanh": ("TANH", "", {}, Scale(1 / 128, 0)),
}
_FUSED = {"linear": tflite.ActivationFunctionType.NONE, "relu": tflite.ActivationFunctionType.RELU}
_ADVICE = "build it of LSTM and Dense layers in a Sequential model"


def has_lstm(model: Any) -> bool:
    """Whether a Keras model has a LSTM layer."""
    return any(type(layer).__name__ == "LSTM" for layer in model.layers)


def _name(activation: Any) -> str:
    return getattr(activation, "__name__", str(activation))


def check(model: Any) -> None:
    """Refuse what cannot be written.

    Raises:
        UserError: a layer, or a setting of one, that this converter does not know.
    """
    if type(model).__name__ != "Sequential":
        raise UserError("a LSTM in a model that is not Sequential cannot be converted", advice=_ADVICE)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "LSTM":
            _check_lstm(layer)
        elif kind == "Dense":
            if _name(layer.activation) not in (*_FUSED, *_SEPARATE):
                raise UserError(f"{layer.name}: activation {_name(layer.activation)} beside a LSTM", advice=_ADVICE)
        elif kind not in ("InputLayer", "Dropout"):
            raise UserError(f"{layer.name}: a {kind} layer beside a LSTM cannot be converted", advice=_ADVICE)


def _check_lstm(layer: Any) -> None:
    plain = (_name(layer.activation), _name(layer.recurrent_activation)) == ("tanh", "sigmoid")
    if not plain or layer.go_backwards or layer.return_state or not layer.use_bias:
        what = f"{layer.name}: only LSTM layers with a bias, tanh and sigmoid, that run forwards, can be converted"
        raise UserError(what, advice=_ADVICE)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _run_lstm(layer: Any, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Outputs [n, steps, cells] of inputs [n, steps, size], and the cell's greatest magnitude."""
    kernel, recurrent, bias = layer.get_weights()
    hidden = cell = np.zeros((len(x), layer.units))
    outputs, greatest = [], 0.0
    for step in range(x.shape[1]):
        gates = np.split(x[:, step] @ kernel + hidden @ recurrent + bias, _GATES, axis=1)
        cell = _sigmoid(gates[1]) * cell + _sigmoid(gates[0]) * np.tanh(gates[2])
        hidden = _sigmoid(gates[3]) * np.tanh(cell)
        greatest = max(greatest, float(np.abs(cell).max()))
        outputs.append(hidden)
    return np.stack(outputs, axis=1), greatest


def convert(model: Any, samples: np.ndarray) -> bytes:
    """Quantise and write a model.

    Args:
        model: that check() lets pass.
        samples: float32 [n, 1, steps, size].
    Returns:
        bytes: the .tflite file.
    """
    builder = _Builder(samples.reshape(len(samples), *samples.shape[2:]).astype(np.float64))
    for layer in model.layers:
        if type(layer).__name__ == "LSTM":
            builder.lstm(layer)
        elif type(layer).__name__ == "Dense":
            builder.dense(layer)
    builder.part.outputs.append(builder.x)
    return serialise(Model([builder.part], "converted from Keras"))


class _Builder:
    """Appends layers, and runs them in floating point on the calibration data."""

    def __init__(self, samples: np.ndarray):
        self.part = Subgraph("main")
        self.values = samples
        self.scale = choose_scale(samples.reshape(-1, samples.shape[-1]))
        self.x = self._activation("input", samples.shape[1:], self.scale)
        self.part.inputs.append(self.x)

    def _activation(self, name: str, shape: tuple[int, ...], scale: Scale) -> int:
        return self.part.add(Tensor(name, (1, *shape), "int8", (scale.scale,), (scale.zero_point,)))

    def lstm(self, layer: Any) -> None:
        """One UNIDIRECTIONAL_SEQUENCE_LSTM; the last step alone where the layer returns no sequence."""
        kernel, recurrent, bias = layer.get_weights()
        outputs, greatest = _run_lstm(layer, self.values)
        scale = scale_for_range(outputs.min(), outputs.max())
        weights_x = self._matrices(f"{layer.name}/x", kernel)
        weights_h = self._matrices(f"{layer.name}/h", recurrent)
        biases = [
            self._bias(f"{layer.name}/bias{k}", one, index)
            for k, (one, index) in enumerate(zip(np.split(bias, _GATES), weights_x, strict=True))
        ]
        power = min(max(ceil(log2(max(greatest, 1e-6))) - _CELL_BITS, _LEAST_CELL_POWER), _MOST_CELL_POWER)
        hidden = self._state(f"{layer.name}/hidden", layer.units, "int8", scale)
        cell = self._state(f"{layer.name}/cell", layer.units, "int16", Scale(2.0**power, 0))
        y = self._activation(layer.name, (outputs.shape[1], layer.units), scale)
        none = [-1, -1, -1]
        inputs = [self.x, *weights_x, *weights_h, *none, *biases, -1, -1, hidden, cell, -1, -1, -1, -1]
        options = {"FusedActivationFunction": tflite.ActivationFunctionType.TANH, "CellClip": 0.0, "ProjClip": 0.0}
        options |= {"TimeMajor": 0, "AsymmetricQuantizeInputs": 0, "DiagonalRecurrentTensors": 0}
        operator = Operator(_LSTM, inputs, [y], options, table="UnidirectionalSequenceLSTMOptions")
        operator.intermediates = self._intermediates(layer.name, scale)
        self.part.operators.append(operator)
        self.x, self.values, self.scale = y, outputs, scale
        if not layer.return_sequences:
            self._last_step(layer.name)

    def _state(self, name: str, cells: int, dtype: str, scale: Scale) -> int:
        quantisation = (scale.scale,), (scale.zero_point,)
        return self.part.add(Tensor(name, (1, cells), dtype, *quantisation, variable=True))

    def _matrices(self, name: str, kernel: np.ndarray) -> list[int]:
        """Weights [cells, inputs] of each gate, one scale for each."""
        return [self._matrix(f"{name}{k}", one.T) for k, one in enumerate(np.split(kernel, _GATES, axis=1))]

    def _matrix(self, name: str, weight: np.ndarray) -> int:
        scale = float(np.float32(max(float(np.abs(weight).max()), 1e-9) / WEIGHT_MAX[8]))
        return self.part.constant(name, np.rint(weight / scale).astype(np.int8), scale=(scale,), zero_point=(0,))

    def _bias(self, name: str, bias: np.ndarray, weights: int) -> int:
        scale = self.scale.scale * self.part.tensors[weights].scale[0]
        return self.part.constant(name, np.rint(bias / scale).astype(np.int32), scale=(scale,), zero_point=(0,))

    def _intermediates(self, name: str, scale: Scale) -> list[int]:
        """What TensorFlow Lite's converter notes of a LSTM's inside: the gates, the hidden state."""
        gates = [Tensor(f"{name}/gate{k}", (0,), "int16", (_GATE_SCALE,), (0,)) for k in range(_GATES)]
        inside = Tensor(f"{name}/inside", (0,), "int8", (scale.scale,), (scale.zero_point,))
        return [self.part.add(tensor) for tensor in (*gates, inside)]

    def _last_step(self, name: str) -> None:
        """The last of the steps: [1, steps, cells] -> [1, cells]."""
        steps, cells = self.values.shape[1:]
        self.values = self.values[:, -1]
        bounds = {"begin": [0, steps - 1, 0], "end": [1, steps, cells], "strides": [1, 1, 1]}
        constants = [self.part.constant(f"{name}/{key}", np.array(value, np.int32)) for key, value in bounds.items()]
        masks = {"BeginMask": 0, "EndMask": 0, "EllipsisMask": 0, "NewAxisMask": 0, "ShrinkAxisMask": 0}
        step = self._activation(f"{name}/step", (1, cells), self.scale)
        self.part.operate("STRIDED_SLICE", [self.x, *constants], [step], **masks)
        self.x = self._activation(f"{name}/last", (cells,), self.scale)
        shape = self.part.constant(f"{name}/shape", np.array([1, cells], np.int32))
        options = {"NewShape": (1, cells)}
        self.part.operators.append(Operator("RESHAPE", [step, shape], [self.x], options, table="ReshapeOptions"))

    def dense(self, layer: Any) -> None:
        """One FULLY_CONNECTED, and the activation that it cannot have fused."""
        kernel = layer.get_weights()[0]
        bias = layer.get_weights()[1] if layer.use_bias else np.zeros(layer.units, np.float32)
        activation = _name(layer.activation)
        values = self.values @ kernel + bias
        if activation == "relu":
            values = np.maximum(values, 0.0)
        weights = quantise_weights(kernel.T, bias, self.scale.scale)
        scale = choose_scale(values.reshape(-1, layer.units))
        steps = {"scale": tuple(map(float, weights.scales)), "zero_point": (0,) * layer.units}
        constants = [self.part.constant(f"{layer.name}/weights", weights.integers, **steps)]
        steps["scale"] = tuple(float(one) * self.scale.scale for one in weights.scales)
        constants.append(self.part.constant(f"{layer.name}/bias", weights.bias, **steps))
        separate = _SEPARATE.get(activation)
        shape = (*self.values.shape[1:-1], layer.units)
        y = self._activation(f"{layer.name}/sum" if separate else layer.name, shape, scale)
        options = {"FusedActivationFunction": _FUSED.get(activation, 0), "WeightsFormat": 0}
        options["KeepNumDims"] = int(len(shape) > 1)
        self.part.operate("FULLY_CONNECTED", [self.x, *constants], [y], **options)
        self.x, self.values, self.scale = y, values, scale
        if separate:
            self._separate(layer.name, separate)

    def _separate(self, name: str, what: tuple[str, str, dict, Scale]) -> None:
        kind, table, options, scale = what
        y = self._activation(name, self.part.tensors[self.x].shape[1:], scale)
        self.part.operators.append(Operator(kind, [self.x], [y], options, _INT8_VERSION, table=table))
        rows = self.values
        if kind == "SOFTMAX":
            rows = np.exp(rows - rows.max(axis=-1, keepdims=True))
            self.values = rows / rows.sum(axis=-1, keepdims=True)
        else:
            self.values = np.tanh(rows) if kind == "TANH" else _sigmoid(rows)
        self.x, self.scale = y, scale
