"""The network as the board has it: batch normalisation folded, masks on the weights, integer grids simulated.

Its trainable variables are the float parameters of stapes_tools.convert.topology under the same names.
"""

import keras
import numpy as np
from keras import ops

from stapes_tools.convert.grid import activation_names, encoder_matrices
from stapes_tools.convert.topology import Block, Parameters, Topology, check_parameters
from stapes_tools.errors import UserError
from stapes_tools.train import levels
from stapes_tools.train.context import units_before


def simulated_activations(topology: Topology) -> list[str]:
    """Tensors that training rounds as the board does; the logits' range is chosen by the converter."""
    return [name for name in activation_names(topology) if name != "logits"]


def as_matrix(weight: np.ndarray) -> np.ndarray:
    """[outputs, everything else], as the kernels walk it."""
    return weight.reshape(len(weight), -1)


class CompactTransducer(keras.Model):
    """Encoder, stateless predictor and joint from float parameters.

    Args:
        topology: sizes; the default activations and context_size 1.
        parameters: float32 arrays as topology.py names them.
        weight_bits: of the encoder's matrices; None keeps them float.
        trainable: False for a teacher.

    Masks start at one; grids and activation scales must be set before the switches are turned on.
    """

    def __init__(
        self, topology: Topology, parameters: Parameters, *, weight_bits: int | None = None, trainable: bool = True
    ):
        super().__init__()
        check_parameters(topology, parameters)
        if topology.context_size != 1 or topology.depthwise_relu or topology.sum_relu or not topology.pointwise_relu:
            raise UserError("only topologies with one unit of context and the ReLU on the pointwise layers are trained")
        self.topology, self.weight_bits = topology, weight_bits
        self.kernels = {name: self._variable(name, value.shape, value, trainable) for name, value in parameters.items()}
        self.masks = {
            name: self._variable(f"{name}.mask", parameters[f"{name}.weight"].shape, 1.0, False)
            for name in encoder_matrices(topology)
        }
        self.steps = {
            name: self._variable(f"{name}.step", (len(parameters[f"{name}.weight"]),), 1.0, False)
            for name in encoder_matrices(topology)
        }
        self.scales = {
            name: self._variable(f"{name}.scale", (2,), (1.0, 0.0), False) for name in simulated_activations(topology)
        }
        # Switches: (activations as int8, weights on their grid).
        self.simulate = self._variable("simulate", (2,), (0.0, 0.0), False)
        self.built = True

    def _variable(self, name: str, shape: tuple, value, trainable: bool):
        start = np.broadcast_to(np.asarray(value, np.float32), shape)
        variable = self.add_weight(
            name=name.replace(".", "_"), shape=shape, trainable=trainable, initializer=lambda *a, **k: ops.array(start)
        )
        return variable

    def _weight(self, name: str):
        if name not in self.masks:
            return self.kernels[f"{name}.weight"]
        weight = self.kernels[f"{name}.weight"] * self.masks[name]
        if self.weight_bits is None:
            return weight
        flat = ops.reshape(weight, (weight.shape[0], -1))
        rounded = ops.reshape(levels.round_weight(flat, self.steps[name], self.weight_bits), weight.shape)
        return weight + self.simulate[1] * (rounded - weight)

    def _rounded(self, name: str, x):
        scale, zero_point = self.scales[name][0], self.scales[name][1]
        return x + self.simulate[0] * (levels.simulate_activation(x, scale, zero_point) - x)

    def _bias(self, name: str):
        return self.kernels[f"{name}.bias"]

    def encode(self, features):
        """Encoder over whole utterances: float32 [B, T, 120] in log2 units -> [B, T, joint]."""
        x = self._rounded("front", ops.relu(self._dense("front", self._stacked(features))))
        for index, block in enumerate(self.topology.blocks):
            name = f"block{index}"
            d = self._rounded(f"{name}.depthwise", self._depthwise(f"{name}.depthwise", x, block))
            p = self._rounded(f"{name}.pointwise", ops.relu(self._dense(f"{name}.pointwise", d)))
            x = self._rounded(f"{name}.sum", x + p)
        return self._rounded("projection", self._dense("projection", x))

    def _stacked(self, features):
        """What the front convolution sees at every step: [B, T, front_width x 120], oldest first."""
        width, length = self.topology.front_width, ops.shape(features)[1]
        padded = ops.pad(features, ((0, 0), (width - 1, 0), (0, 0)))
        return ops.concatenate([padded[:, k : k + length] for k in range(width)], axis=-1)

    def _dense(self, name: str, x):
        weight = self._weight(name)
        return ops.matmul(x, ops.transpose(ops.reshape(weight, (weight.shape[0], -1)))) + self._bias(name)

    def _depthwise(self, name: str, x, block: Block):
        weight, length = self.kernels[f"{name}.weight"], ops.shape(x)[1]
        padded = ops.pad(x, ((0, 0), (block.history, 0), (0, 0)))
        taps = [padded[:, k * block.dilation : k * block.dilation + length] * weight[k] for k in range(block.width)]
        return sum(taps) + self._bias(name)

    def scores(self, encoded):
        """Log-probabilities of all units where the predictor sees none: float32 [B, T, joint] -> [B, T, V]."""
        predicted = self._rounded("predicted", self.kernels["predictor.table"][0, :1])
        hidden = self._rounded("hidden", ops.relu(encoded + predicted))
        logits = ops.matmul(hidden, ops.transpose(self.kernels["joint.weight"])) + self._bias("joint")
        return ops.log_softmax(logits, axis=-1)

    def lattice(self, encoded, labels, known=None):
        """Log-probabilities of blank and of the next label; see Transducer.lattice.

        Args:
            encoded: float32 [B, T, joint].
            labels: int32 [B, U], padded with 0.
            known: float32 [B], 0 for an utterance whose predictor sees no label, as at the start; None: all see them.
        Returns:
            (blank, emit): float32 [B, T, U+1] each.
        """
        before = units_before(labels, known)
        ahead = ops.pad(labels, ((0, 0), (0, 1)))
        table = self._rounded("predicted", self.kernels["predictor.table"][0])
        hidden = ops.relu(encoded[:, :, None] + ops.take(table, before, axis=0)[:, None])
        hidden = self._rounded("hidden", hidden)
        weight, bias = self.kernels["joint.weight"], self._bias("joint")
        logits = ops.matmul(hidden, ops.transpose(weight)) + bias
        total = ops.logsumexp(logits, axis=-1)
        emit = ops.einsum("btuj,buj->btu", hidden, ops.take(weight, ahead, axis=0)) + ops.take(bias, ahead)[:, None]
        return logits[..., 0] - total, emit - total

    def outcomes(self, encoded, pairs, known=None):
        """Log-probabilities after every unit, whatever was said.

        Args:
            encoded: float32 [B, T, joint].
            pairs: int32 [P, 2], (unit before, unit).
            known: see lattice.
        Returns:
            (blank, emit): float32 [B, T, V] after every unit, and [B, T, P] of every pair.
        """
        units = self.topology.units
        table = self._rounded("predicted", self.kernels["predictor.table"][0])
        if known is not None:
            table = table[0] + known[:, None, None, None] * (table - table[0])
        hidden = self._rounded("hidden", ops.relu(encoded[:, :, None] + table))
        logits = ops.matmul(hidden, ops.transpose(self.kernels["joint.weight"])) + self._bias("joint")
        scores = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
        flat = ops.reshape(scores, (*ops.shape(scores)[:2], units * units))
        return scores[..., 0], ops.take(flat, pairs[:, 0] * units + pairs[:, 1], axis=2)

    def grid_penalty(self):
        """Absolute-cosine penalty of all encoder matrices, summed; a weight that is zero costs nothing."""
        return sum(
            levels.grid_penalty(ops.reshape(self._masked(name), (self.masks[name].shape[0], -1)), self.steps[name])
            for name in self.masks
        )

    def _masked(self, name: str):
        return self.kernels[f"{name}.weight"] * self.masks[name]
