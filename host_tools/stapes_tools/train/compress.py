"""The second stage of training: zeros in blocks, integer grids, and a teacher that keeps the student right.

Starts from float parameters (batch normalisation folded). Zeros grow along a cubic; the grids follow the
weights and activations until `freeze`, then stay, so that what is exported is exactly what was
trained.
"""

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops

from stapes_tools.convert import forward
from stapes_tools.convert.grid import Grid, encoder_matrices
from stapes_tools.convert.quantize import choose_scale
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Parameters, Topology
from stapes_tools.errors import UserError
from stapes_tools.train import levels, sparsify
from stapes_tools.train.batches import Batch
from stapes_tools.train.commands import CommandGraph
from stapes_tools.train.compact import CompactTransducer, as_matrix, simulated_activations
from stapes_tools.train.context import (
    averaged,
    divergence,
    is_context_free,
    known_contexts,
    lattice_of,
    outcomes_of,
    settled,
    without_context,
)
from stapes_tools.train.distil import distillation_loss
from stapes_tools.train.loss import monotonic_rnnt_loss
from stapes_tools.train.mmi import OUTSIDE, MmiLoss
from stapes_tools.train.recipe import Compression
from stapes_tools.train.soft_targets import said_in
from stapes_tools.train.tasks import for_teacher, per_unit, spread

# Steps of calibration features that statistics are taken from.
_CALIBRATION_ROWS = 4000
_CALIBRATION_STEPS = 80


@dataclass(frozen=True)
class Statistics:
    """What the network does on the calibration set: rms of every matrix's inputs, every activation's scale."""

    input_rms: dict[str, np.ndarray]
    scales: dict[str, Scale]


def observe(topology: Topology, parameters: Parameters, calibration: Sequence[np.ndarray]) -> Statistics:
    """Run the float network over utterances of features, int8 [T, 120] each."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in simulated_activations(topology)}
    inputs: dict[str, list[np.ndarray]] = {name: [] for name in encoder_matrices(topology)}
    rng = np.random.default_rng(0)
    table = parameters["predictor.table"][0]
    for features in calibration:
        stream = x = forward.dequantise_features(features)
        for layer in forward.encoder_layers(topology):
            x = stream if layer.stream_input else x
            if layer.name in inputs:
                inputs[layer.name].append(_windows(x, topology.front_width) if layer.name == "front" else x)
            x = layer.apply(parameters, x)
            found[layer.name].append(x)
            stream = layer.join(stream, x)
            if layer.residual:
                found[layer.sum_name].append(stream)
        labels = rng.integers(0, len(table), len(x))
        found["hidden"].append(forward.hidden(x, table[labels]))
    found["predicted"] = [table]
    rms = {name: np.sqrt(np.mean(np.concatenate(rows) ** 2, axis=0)) for name, rows in inputs.items()}
    return Statistics(rms, {name: choose_scale(np.concatenate(rows)) for name, rows in found.items()})


def _windows(x: np.ndarray, width: int) -> np.ndarray:
    """[T, width x inputs], oldest first, zeros before the start."""
    padded = np.concatenate([np.zeros((width - 1, x.shape[1]), x.dtype), x])
    return np.concatenate([padded[k : k + len(x)] for k in range(width)], axis=1)


def calibration_rows(examples, count: int = 60) -> list[np.ndarray]:
    """The beginnings of some utterances of a feature set, about _CALIBRATION_ROWS steps.

    Most are of one length: a backend that compiles for every shape compiles once.
    """
    chosen, total = [], 0
    for index in np.linspace(0, len(examples.labels) - 1, count).astype(int):
        rows = np.array(examples.example(int(index))[0][:_CALIBRATION_STEPS])
        chosen.append(rows)
        total += len(rows)
        if total >= _CALIBRATION_ROWS:
            break
    return chosen


class CompactTask:
    """Sparsification, quantisation-aware training and distillation, each as the recipe switches it.

    Args:
        topology: of the network.
        parameters: where it starts.
        settings: the recipe's [compression].
        calibration: utterances of features, int8 [T, 120] each.
        teachers: topology and float parameters of each; none trains without. More than one need a network without
            context: what they say is averaged.
        commands: the grammar that commands are told apart in, of a graph without context for a network that sees none;
            None trains without.
    """

    parts: tuple[str, ...] = ("rnnt", "teacher", "grid", "mmi")

    def __init__(
        self,
        topology: Topology,
        parameters: Parameters,
        settings: Compression,
        calibration: Sequence[np.ndarray],
        teachers: Sequence[tuple[Topology, Parameters]] = (),
        *,
        commands: CommandGraph | None = None,
    ):
        self.settings, self.calibration = settings, calibration
        self._batch = 0
        if is_context_free(settings.context_dropout):
            parameters = without_context(parameters)
            teachers = [(shape, without_context(taught)) for shape, taught in teachers]
        elif len(teachers) > 1:
            advice = "name one, or write context_dropout = 1.0"
            raise UserError("several teachers teach a network without context only", advice=advice)
        self.mmi = None
        if commands is not None:
            if is_context_free(settings.context_dropout) and commands.before.any():
                raise ValueError("the graph of commands has context, which the network does not see")
            self.mmi = MmiLoss(commands, settings.mmi_blank_penalty, settings.mmi_start_discount, settings.mmi_margin)
            self._weight_of = functools.cache(commands.log_weight_of)
        self.net = self._network(topology, parameters)
        self._check_names()
        self.teachers = [CompactTransducer(*teacher, trainable=False) for teacher in teachers]
        self._update(0.0)

    def _network(self, topology: Topology, parameters: Parameters) -> CompactTransducer:
        return CompactTransducer(topology, parameters, weight_bits=self.settings.weight_bits or None)

    def _check_names(self) -> None:
        """Refuse a share of zeros for a matrix that the network does not have."""
        for name in self.settings.zeros_of or {}:
            if name not in self.net.masks:
                near = difflib.get_close_matches(name, self.net.masks, 1)
                advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.net.masks)}"
                raise UserError(f"zeros_of names {name!r}, which the network does not have", advice=advice)

    def losses(self, features, labels, steps, units, knobs):
        """RNN-T, distillation, grid penalty and MMI, weighted by the knobs."""
        x, _ = spread(features, steps)
        parts = self._lattice_losses(features, self.net.encode(x), labels, steps, units, knobs=knobs)
        return self._weighted(parts, knobs), ops.stack(parts)

    @staticmethod
    def _weighted(parts: list, knobs):
        return sum(knobs[index] * part for index, part in enumerate(parts))

    def _lattice_losses(self, features, encoded, labels, steps, units, *, knobs) -> list:
        """[RNN-T, distillation, grid penalty, MMI] of the network's [B, T, joint]; 0 where switched off.

        features: as the batch has them, with what teachers hear or said.
        """
        rows = features.shape[0]
        known = self._known(rows, knobs)
        student, distance = self._student(features, encoded, labels, steps, units, known=known)
        rnnt = per_unit(monotonic_rnnt_loss(student[0], student[1], steps, units), units)
        distilled = pull = told_apart = ops.zeros_like(rnnt)
        if distance is not None:
            distilled = per_unit(distance, units)
        if self.settings.grid_penalty:
            pull = self.net.grid_penalty()
        if self.mmi is not None:
            anything = self._outcomes(encoded, self.mmi.graph.pairs, known)
            log_weight = knobs[-rows:]
            told_apart = per_unit(self.mmi(student, anything, steps, units, log_weight), units)
        return [rnnt, distilled, pull, told_apart]

    def _outcomes(self, encoded, pairs, known) -> tuple:
        """(blank, emit) of everything that the grammar could go on with, see MmiLoss."""
        if is_context_free(self.settings.context_dropout):
            return outcomes_of(self.net.scores(encoded), pairs)
        return self.net.outcomes(encoded, pairs, known)

    def _known(self, rows: int, knobs):
        """See stapes_tools.train.context.known_contexts; None where all contexts are known."""
        if is_context_free(self.settings.context_dropout):
            return ops.zeros(rows)
        if not self.settings.context_dropout:
            return None
        return knobs[-2 * rows : -rows] if self.mmi is not None else knobs[-rows:]

    def _student(self, features, encoded, labels, steps, units, *, known) -> tuple:
        """((blank, emit) of the network, its distance from the teachers' float32 [B] in nats, or None)."""
        if is_context_free(self.settings.context_dropout):
            scores = self.net.scores(encoded)
            student = lattice_of(scores, labels)
            if not self.teachers:
                return student, None
            return student, divergence(scores, self._taught(features), steps)
        student = self.net.lattice(encoded, labels, known)
        if not self.teachers:
            return student, None
        taught = self.teachers[0].lattice(self.teachers[0].encode(for_teacher(features)), labels)
        return student, distillation_loss(student, taught, steps, units)

    def _taught(self, features):
        """float32 [B, T, V], log-probabilities by teachers without context: what they said, or what they say now."""
        if self.settings.teach_once:
            return said_in(features)
        heard = for_teacher(features)
        return averaged([teacher.scores(teacher.encode(heard)) for teacher in self.teachers])

    def knobs(self, progress: float, batch: Batch) -> np.ndarray:
        """The weights, see _weights, and what _by_utterance adds."""
        return np.array([*self._weights(progress), *self._by_utterance(batch)], np.float32)

    def _by_utterance(self, batch: Batch) -> list[float]:
        """Whether each utterance's context is known, then its weight in the grammar; each where it is switched on."""
        known = known_contexts(self.settings.context_dropout, self._batch, len(batch.steps))
        return [*known, *self._log_weights(batch)]

    def _weights(self, progress: float) -> list[float]:
        """Of (RNN-T, teacher, grid penalty, MMI); the penalty rises linearly."""
        settings = self.settings
        return [1.0, settings.teacher_weight, settings.grid_penalty * progress, settings.mmi_weight]

    def _log_weights(self, batch: Batch) -> list[float]:
        """Of every utterance of a batch, nats; OUTSIDE where the grammar does not hold it."""
        if self.mmi is None:
            return []
        found = (
            self._weight_of(tuple(row[:count].tolist())) for row, count in zip(batch.labels, batch.units, strict=True)
        )
        return [OUTSIDE if weight is None else weight for weight in found]

    def between(self, progress: float, batches_done: int) -> None:
        """Move masks and grids along."""
        self._batch = batches_done
        if batches_done % self.settings.update_batches == 0:
            self._update(progress)

    def parameters(self, variables: list[np.ndarray]) -> Parameters:
        """The float parameters, masked."""
        names: dict[str, str] = {}
        for name, variable in self.net.kernels.items():
            names.setdefault(variable.path, name)
        found = {
            names[variable.path]: np.asarray(value, np.float32)
            for variable, value in zip(self.net.trainable_variables, variables, strict=True)
        }
        for name, mask in self.net.masks.items():
            if f"{name}.weight" in found:
                found[f"{name}.weight"] = found[f"{name}.weight"] * ops.convert_to_numpy(mask.value)
        return settled(found) if is_context_free(self.settings.context_dropout) else found

    def _update(self, progress: float) -> None:
        settings = self.settings
        frozen = progress >= settings.freeze and float(self.net.scales["front"][0]) != 1.0
        if frozen:
            return
        now = {name: ops.convert_to_numpy(variable.value) for name, variable in self.net.kernels.items()}
        statistics = self._observe(self._masked(now))
        if settings.zeros or settings.zeros_of:
            self._set_masks(now, statistics, progress)
        if settings.weight_bits or settings.simulate_activations:
            self._set_grids(self._masked(now), statistics)

    def _observe(self, now: Parameters) -> Statistics:
        if is_context_free(self.settings.context_dropout):
            now = settled(now)
        return observe(self.net.topology, now, self.calibration)

    def _zeros_wanted(self, name: str, progress: float) -> float:
        """Share of zeros of a matrix at this point."""
        settings = self.settings
        final = settings.zeros_for(name, settings.zeros)
        return sparsify.zeros_wanted(progress, settings.sparse_start, settings.sparse_end, final)

    def _masked(self, now: Parameters) -> Parameters:
        masks = {f"{name}.weight": ops.convert_to_numpy(mask.value) for name, mask in self.net.masks.items()}
        return {name: value * masks[name] if name in masks else value for name, value in now.items()}

    def _set_masks(self, now: Parameters, statistics: Statistics, progress: float) -> None:
        for name, mask in self.net.masks.items():
            weight, zeros = now[f"{name}.weight"], self._zeros_wanted(name, progress)
            found = sparsify.block_mask(as_matrix(weight), statistics.input_rms[name], zeros, self.settings.block_rows)
            mask.assign(found.reshape(weight.shape))

    def _set_grids(self, now: Parameters, statistics: Statistics) -> None:
        for name, steps in self.net.steps.items():
            if self.settings.weight_bits:
                steps.assign(levels.weight_steps(as_matrix(now[f"{name}.weight"]), self.settings.weight_bits))
        for name, variable in self.net.scales.items():
            scale = statistics.scales[name]
            variable.assign(np.array([scale.scale, scale.zero_point], np.float32))
        switches = (self.settings.simulate_activations, self.settings.straight_through)
        self.net.simulate.assign(np.array(switches, np.float32))

    def grid(self) -> Grid:
        """The grids as they are now, for the converter; empty where the recipe switches them off."""
        steps, scales = {}, {}
        if self.settings.weight_bits:
            steps = {name: ops.convert_to_numpy(variable.value) for name, variable in self.net.steps.items()}
        if self.settings.simulate_activations:
            for name, variable in self.net.scales.items():
                scale, zero_point = (float(value) for value in ops.convert_to_numpy(variable.value))
                scales[name] = Scale(scale, int(zero_point))
        return Grid(steps, scales)
