"""The branching encoder as training sees it: both branches over whole utterances, mixed step by step by a gate.

Where the gate is 1 or 0, every activation is what the board computes when it runs that branch alone at that step: the
branches share the residual stream, hence the states of the depthwise layers, and the stream's integer grids.

Reference: J. Macoskey et al., Amortized Neural Networks for Low-Latency Speech Recognition,
arXiv:2108.01553 (arbitrator trained jointly, annealed selection, amortised cost).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from keras import ops

from stapes_tools.convert.topology import Block, Parameters, Topology, parameter_shapes
from stapes_tools.errors import UserError
from stapes_tools.train.compact import CompactTransducer
from stapes_tools.train.levels import round_through

# The arbitrator starts in favour of the heavy branch, so that training starts from a network that works.
_FIRST_LOGIT = 1.0
ARBITRATOR = "arbitrator."
"""What the names of the arbitrator's parameters begin with."""


def with_branches(topology: Topology, heavy: Parameters, seed: int, arbitrator: Parameters | None = None) -> Parameters:
    """Parameters to start from: the light branch a copy of the heavy one, the arbitrator at random or another's.

    Args:
        topology: with branching.
        heavy: parameters of the same network without branches.
        seed: of the arbitrator's weights.
        arbitrator: parameters of a network with branches whose arbitrator is taken.
    Raises:
        UserError: that arbitrator has another shape.
    """
    rng = np.random.default_rng(seed)
    found = dict(heavy)
    for name, shape in parameter_shapes(topology).items():
        if name.startswith("light."):
            found[name] = np.array(heavy[name.removeprefix("light.")])
        elif name.startswith(ARBITRATOR) and arbitrator is not None:
            if name not in arbitrator or arbitrator[name].shape != shape:
                raise UserError(f"the arbitrator to begin with has no {name} of shape {shape}")
            found[name] = np.array(arbitrator[name])
        elif name.startswith(ARBITRATOR):
            fan_in = float(np.prod(shape)) / shape[-1 if "depthwise" in name else 0]
            spread = 0.0 if name.endswith("bias") else (2.0 / fan_in) ** 0.5
            found[name] = rng.normal(0.0, spread, shape).astype(np.float32)
    if arbitrator is None:
        found["arbitrator.output.bias"] += np.float32(_FIRST_LOGIT)
    return found


def shared_layers(topology: Topology) -> list[tuple[str, str]]:
    """(light branch's, heavy branch's) name of every matrix that both may share."""
    assert topology.branching is not None
    return [(f"light.block{index}.pointwise", f"block{index}.pointwise") for index in topology.branching.light_blocks]


class BranchingTransducer(CompactTransducer):
    """Two encoders, an arbitrator, a stateless predictor and a joint; see CompactTransducer.

    While `watched` is running (eagerly), every activation and every matrix's input is kept by name.
    """

    _seen: dict[str, list[np.ndarray]] | None = None
    _keeps_arbitrator = False

    def share_blocks(self) -> None:
        """Let the light branch's blocks have the heavy branch's weights, from now on and for good."""
        for light, heavy in shared_layers(self.topology):
            for kind in ("weight", "bias"):
                self.kernels[f"{light}.{kind}"] = self.kernels[f"{heavy}.{kind}"]
            self.masks[light], self.steps[light] = self.masks[heavy], self.steps[heavy]

    def keep_arbitrator(self) -> None:
        """Train it no further."""
        self._keeps_arbitrator = True

    @property
    def trainable_variables(self) -> list:
        """Those that something reads, not the weights that share_blocks has replaced; without a kept arbitrator's."""
        used = {
            id(variable)
            for name, variable in self.kernels.items()
            if not (self._keeps_arbitrator and name.startswith(ARBITRATOR))
        }
        return [variable for variable in super().trainable_variables if id(variable) in used]

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[np.ndarray]]]:
        """Keep what passes: activations before rounding as `name`, inputs of matrices as `name.input`."""
        self._seen = {}
        try:
            yield self._seen
        finally:
            self._seen = None

    def _keep(self, name: str, x) -> None:
        if self._seen is not None:
            rows = ops.convert_to_numpy(x)
            self._seen.setdefault(name, []).append(rows.reshape(-1, rows.shape[-1]))

    def _rounded(self, name: str, x):
        self._keep(name, x)
        return super()._rounded(name, x)

    def _dense(self, name: str, x):
        self._keep(f"{name}.input", x)
        return super()._dense(name, x)

    def arbitrate(self, features):
        """The arbitrator's logits, in nats, above zero for the heavy branch: [B, T, 120] -> [B, T]."""
        branching = self.topology.branching
        assert branching is not None
        x = self._rounded("arbitrator.front", ops.relu(self._dense("arbitrator.front", features)))
        x = ops.relu(self._depthwise("arbitrator.depthwise", x, Block(branching.arbitrator_width)))
        x = self._rounded("arbitrator.depthwise", x)
        return self._rounded("arbitrator.output", self._dense("arbitrator.output", x))[..., 0]

    def encode_gated(self, features, gate):
        """Both encoders, mixed.

        Args:
            features: float32 [B, T, 120], log2 units.
            gate: float32 [B, T], 1 for the heavy branch, 0 for the light one, or between.
        Returns:
            float32 [B, T, joint].
        """
        branching = self.topology.branching
        assert branching is not None
        gate = gate[..., None]
        stacked = self._stacked(features)
        x = gate * self._dense("front", stacked) + (1.0 - gate) * self._dense("light.front", stacked)
        x = self._rounded("front", ops.relu(x))
        for index, block in enumerate(self.topology.blocks):
            name = f"block{index}"
            d = self._rounded(f"{name}.depthwise", self._depthwise(f"{name}.depthwise", x, block))
            p = gate * self._rounded(f"{name}.pointwise", ops.relu(self._dense(f"{name}.pointwise", d)))
            if index in branching.light_blocks:
                light = f"light.{name}.pointwise"
                p = p + (1.0 - gate) * self._rounded(light, ops.relu(self._dense(light, d)))
            x = self._rounded(f"{name}.sum", x + p)
        encoded = gate * self._dense("projection", x) + (1.0 - gate) * self._dense("light.projection", x)
        return self._rounded("projection", encoded)


def select(logits, threshold, temperature, hardness):
    """The gate.

    Args:
        logits: float32 [B, T], nats.
        threshold: float32 [B, 1]: the heavy branch runs from here on.
        temperature: of the soft choice, nats; above zero.
        hardness: 0 for a soft choice, 1 for a hard one with the soft one's gradient; between, their mean.
    Returns:
        float32 [B, T].
    """
    soft = ops.sigmoid((logits - threshold) / temperature)
    hard = ops.cast(logits >= threshold, "float32")
    return soft + hardness * (round_through(soft, hard) - soft)
