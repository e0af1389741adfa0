"""The third stage of training: a light branch and an arbitrator beside the encoder, trained together.

Most utterances are heard as the board hears them, the arbitrator choosing; some by the heavy branch alone and a few by
the light one, and the threshold varies from utterance to utterance, so that any `effort` gives a network that works.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import stapes_spec
from keras import ops

from stapes_tools.convert import forward
from stapes_tools.convert.grid import encoder_matrices
from stapes_tools.convert.quantize import choose_scale
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Branching, Parameters, Topology
from stapes_tools.errors import UserError
from stapes_tools.train import sparsify
from stapes_tools.train.batches import Batch
from stapes_tools.train.branching import ARBITRATOR, BranchingTransducer, select, shared_layers, with_branches
from stapes_tools.train.commands import CommandGraph
from stapes_tools.train.compact import simulated_activations
from stapes_tools.train.compress import CompactTask, Statistics
from stapes_tools.train.context import is_context_free
from stapes_tools.train.recipe import Branches
from stapes_tools.train.tasks import spread

LOGIT_SCALE = Scale(2.0**-stapes_spec.ARBITRATOR_LOGIT_FRACTION_BITS, 0)
# Rows of the largest batch: each utterance draws two numbers, how it is heard and its threshold.
_MOST_ROWS = 512
_KNOBS = 8


class BranchTask(CompactTask):
    """Branches, with the methods of the second stage going on.

    Args:
        topology: of the heavy branch, or of a network that has branches and is trained on.
        parameters: of that.
        settings: the recipe's [branches].
        calibration, teachers, commands: see CompactTask.
        arbitrator: parameters of a network with branches, whose arbitrator a new one begins with.
        seed: of the arbitrator's first weights and of the draws.
    """

    parts = ("rnnt", "teacher", "grid", "mmi", "cost", "heavy")

    def __init__(
        self,
        topology: Topology,
        parameters: Parameters,
        settings: Branches,
        calibration: Sequence[np.ndarray],
        teachers: Sequence[tuple[Topology, Parameters]] = (),
        *,
        commands: CommandGraph | None = None,
        arbitrator: Parameters | None = None,
        seed: int = 1,
    ):
        branched = replace(topology, branching=_shape(topology, settings))
        if topology.branching is None:
            parameters = with_branches(branched, parameters, seed, arbitrator)
        elif topology.branching != branched.branching:
            raise UserError("the base has other branches than the recipe", advice="start from a stage without branches")
        if topology.branching is None and settings.keep_arbitrator and arbitrator is None:
            advice = 'write base_stage = "branched", or arbitrator = "FOLDER" of a model that has one'
            raise UserError("the base has no arbitrator to keep", advice=advice)
        if topology.branching is not None and arbitrator is not None:
            raise UserError("the base has an arbitrator of its own", advice="leave arbitrator out of [branches]")
        self.seed, self.branches = seed, settings
        # Counted when it is asked for: a checkpoint may bring other masks before the first step.
        self._ratio: float | None = None
        super().__init__(branched, parameters, settings, calibration, teachers, commands=commands)

    def _network(self, topology: Topology, parameters: Parameters) -> BranchingTransducer:
        net = BranchingTransducer(topology, parameters, weight_bits=self.settings.weight_bits or None)
        if self.branches.share_blocks:
            net.share_blocks()
        if self.branches.keep_arbitrator:
            net.keep_arbitrator()
        return net

    def losses(self, features, labels, steps, units, knobs):
        """The second stage's losses and the amortised cost beyond its target."""
        x, inside = spread(features, steps)
        inside = ops.cast(inside, "float32")
        logits = self.net.arbitrate(x)
        temperature, hardness, ratio = knobs[5], knobs[6], knobs[7]
        rows = ops.shape(x)[0]
        draws = ops.reshape(knobs[_KNOBS : _KNOBS + 2 * _MOST_ROWS], (2, _MOST_ROWS, 1))[:, :rows]
        gate = select(logits, self.branches.threshold_spread * draws[1], temperature, hardness)
        share = self.branches.heavy_share
        gate = ops.where(draws[0] < share, 1.0, gate)
        gate = ops.where(draws[0] > 1.0 - self.branches.light_share, 0.0, gate)
        encoded = self.net.encode_gated(x, gate)
        parts = self._lattice_losses(features, encoded, labels, steps, units, knobs=knobs)
        usual = select(logits, 0.0, temperature, hardness)
        heavy = ops.sum(usual * inside) / ops.sum(inside)
        cost = heavy + (1.0 - heavy) * ratio
        excess = ops.relu(cost - self.branches.target_cost)
        total = self._weighted(parts, knobs) + knobs[4] * excess
        return total, ops.stack([*parts, cost, heavy])

    def knobs(self, progress: float, batch: Batch) -> np.ndarray:
        """Weights of the losses, temperature, hardness, the light branch's cost; every utterance's own."""
        settings = self.branches
        if self._ratio is None:
            self._ratio = self.light_cost()
        harden = min(1.0, progress / settings.harden_until) if settings.harden_until else 1.0
        temperature = settings.temperature ** (1.0 - harden)
        rng = np.random.default_rng([self.seed, 5, self._batch])
        draws = np.concatenate([rng.random(_MOST_ROWS), rng.standard_normal(_MOST_ROWS)])
        # The cost counts fully once the choice has hardened half-way.
        pressure = settings.cost_weight * min(1.0, 2.0 * harden)
        head = [*self._weights(progress), pressure, temperature, harden, self._ratio]
        return np.array([*head, *draws, *self._by_utterance(batch)], np.float32)

    def light_cost(self) -> float:
        """Multiplications of the light branch over those of the heavy one, as the masks are; without arbitrator."""
        topology = self.net.topology
        assert topology.branching is not None
        kept = {name: float(ops.convert_to_numpy(ops.sum(mask))) for name, mask in self.net.masks.items()}
        light = sum(count for name, count in kept.items() if name.startswith("light."))
        depthwise = [block.width * topology.channels for block in topology.blocks]
        shared = sum(depthwise[index] for index in topology.branching.light_blocks)
        return (light + shared) / (sum(kept.values()) - light + sum(depthwise))

    def _update(self, progress: float) -> None:
        super()._update(progress)
        self._ratio = None

    def _zeros_wanted(self, name: str, progress: float) -> float:
        if not name.startswith("light.") or self._is_shared(name):
            return super()._zeros_wanted(name.removeprefix("light."), progress)
        settings = self.branches
        # The heavy branch may have its zeros already (sparse_start below 0); the light one's rise all the same.
        rise = sparsify.zeros_wanted(progress, max(settings.sparse_start, 0.0), settings.light_sparse_end, 1.0)
        final = settings.zeros_for(name, settings.light_zeros)
        return settings.zeros + (final - settings.zeros) * rise

    def _is_shared(self, name: str) -> bool:
        return self.branches.share_blocks and ".block" in name

    def parameters(self, variables: list[np.ndarray]) -> Parameters:
        """The float parameters, masked; shared ones under both names, kept ones as they are."""
        found = super().parameters(variables)
        for name, variable in self.net.kernels.items():
            if name.startswith(ARBITRATOR):
                found.setdefault(name, ops.convert_to_numpy(variable.value))
        if self.branches.share_blocks:
            for light, heavy in shared_layers(self.net.topology):
                found |= {f"{light}.{kind}": found[f"{heavy}.{kind}"] for kind in ("weight", "bias")}
        return found

    def _observe(self, now: Parameters) -> Statistics:
        del now  # the network itself holds them
        names = encoder_matrices(self.net.topology)
        simulate = ops.convert_to_numpy(self.net.simulate)
        self.net.simulate.assign(np.zeros(2, np.float32))
        with self.net.watched() as seen:
            for rows in _of_equal_length(self.calibration):
                x = ops.convert_to_tensor(forward.dequantise_features(rows))
                gate = ops.cast(self.net.arbitrate(x) >= 0.0, "float32")
                encoded = self.net.encode_gated(x, gate)
                self._watch_joint(encoded)
        self.net.simulate.assign(simulate)
        rms = {name: np.sqrt(np.mean(np.concatenate(seen[f"{name}.input"]) ** 2, axis=0)) for name in names}
        scales = {name: choose_scale(np.concatenate(seen[name])) for name in simulated_activations(self.net.topology)}
        return Statistics(rms, scales | {"arbitrator.output": LOGIT_SCALE})

    def _watch_joint(self, encoded) -> None:
        if is_context_free(self.settings.context_dropout):
            self.net.scores(encoded)
            return
        count = self.net.topology.units
        labels = np.random.default_rng(0).integers(1, count, (len(encoded), 2))
        self.net.lattice(encoded, ops.convert_to_tensor(labels.astype(np.int32)))


def _shape(topology: Topology, settings: Branches) -> Branching:
    blocks = settings.light_blocks
    light = tuple(range(len(topology.blocks))) if blocks is None else tuple(blocks)
    return Branching(light, settings.arbitrator_channels, settings.arbitrator_width)


def _of_equal_length(calibration: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Utterances of equal length together, [B, T, 120]: run eagerly, few calls in place of many."""
    by_length: dict[int, list[np.ndarray]] = {}
    for rows in calibration:
        by_length.setdefault(len(rows), []).append(rows)
    return [np.stack(group) for group in by_length.values()]
