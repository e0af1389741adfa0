"""How much quantisation changed a network: the model file, run by the board's own kernels, beside
the float parameters it was made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import stapes_spec

from stapes_tools import kernels
from stapes_tools.convert import forward
from stapes_tools.convert.quantize import log_softmax
from stapes_tools.convert.read import read_model
from stapes_tools.convert.topology import Parameters, Topology
from stapes_tools.errors import UserError


@dataclass(frozen=True)
class Fidelity:
    """Averages over the joint's evaluations on the float network's greedy path.

    divergence_nats: Kullback-Leibler divergence of the int8 model's distribution from the float one's.
    best_unit_agreement: share of evaluations in which both rank the same unit first.
    largest_difference: of one unit's probability.
    """

    evaluations: int
    divergence_nats: float
    best_unit_agreement: float
    largest_difference: float


class Int8Model:
    """A model file in the C kernels; one instance holds one recurrent state."""

    def __init__(self, data: bytes):
        self.data = data
        info = np.zeros(stapes_spec.INFO_INDEX_COUNT, np.int32)
        self.state = bytearray(self._checked(kernels.model_size(data, info)))
        self._checked(kernels.model_init(self.state, data, info))
        logits = read_model(data).subgraph("joint")
        tensor = logits.tensors[logits.outputs[0]]
        self._logit_scale, self._logit_zero_point = tensor.scale[0], tensor.zero_point[0]
        self._parts = {name: self._part(name) for name in ("encoder", "predictor", "joint")}

    def _checked(self, status: int) -> int:
        if status < 0:
            _name, _fault, text, advice = stapes_spec.ERRORS[-status]
            raise UserError(text, advice=advice)
        return status

    def _part(self, name: str) -> int:
        return self._checked(kernels.model_subgraph(self.state, self.data, name.encode()))

    def _place(self, name: str, output: int, k: int) -> slice:
        part = self._parts[name]
        start = self._checked(kernels.model_tensor(self.state, self.data, part, output, k))
        return slice(start, start + kernels.model_tensor_size(self.state, self.data, part, output, k))

    def _run(self, name: str, *inputs: bytes) -> bytes:
        for k, values in enumerate(inputs):
            self.state[self._place(name, 0, k)] = values
        self._checked(kernels.model_invoke(self.state, self.data, self._parts[name]))
        return bytes(self.state[self._place(name, 1, 0)])

    def encode(self, features: np.ndarray) -> list[bytes]:
        """Encode one utterance, int8 [T, 120], from the zero state; one output per step."""
        self._checked(kernels.model_reset(self.state, self.data))
        return [self._run("encoder", row.tobytes()) for row in features]

    def logits(self, encoded: bytes, labels: np.ndarray) -> np.ndarray:
        """float32 [units] for one step's encoder output and the last labels, oldest first."""
        predicted = self._run("predictor", labels.astype(np.int32).tobytes())
        integers = np.frombuffer(self._run("joint", encoded, predicted), np.int8)
        return (integers.astype(np.float32) - self._logit_zero_point) * np.float32(self._logit_scale)


def measure(data: bytes, topology: Topology, parameters: Parameters, utterances: Sequence[np.ndarray]) -> Fidelity:
    """Compare a model file with the float network it was made from.

    Args:
        data: the model file.
        topology, parameters: the float network.
        utterances: features, int8 [T, 120] each; not those of the calibration.
    Raises:
        UserError: the kernels refuse the model, or there is nothing to compare.
    """
    model = Int8Model(data)
    exact, found = [], []
    for features in utterances:
        encoded = forward.encode(topology, parameters, features)
        steps, contexts = forward.greedy_contexts(parameters, encoded)
        exact.append(forward.logits(parameters, encoded[steps], forward.predict(parameters, contexts)))
        rows = model.encode(features)
        found += [model.logits(rows[step], labels) for step, labels in zip(steps, contexts, strict=True)]
    if not found:
        raise UserError("no utterances to compare the model with")
    expected, actual = log_softmax(np.concatenate(exact)), log_softmax(np.array(found))
    probabilities = np.exp(expected)
    return Fidelity(
        len(found),
        float((probabilities * (expected - actual)).sum(axis=-1).mean()),
        float(np.mean(expected.argmax(axis=-1) == actual.argmax(axis=-1))),
        float(np.abs(probabilities - np.exp(actual)).max()),
    )
