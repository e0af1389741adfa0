"""What a stage of training optimises: a network, its losses, and what happens between steps."""

from typing import Protocol

import keras
import numpy as np
from keras import ops

from stapes_tools.convert.forward import FEATURE_SCALE
from stapes_tools.convert.grid import Grid
from stapes_tools.convert.topology import Parameters
from stapes_tools.train.batches import Batch
from stapes_tools.train.context import is_context_free, known_contexts, lattice_of, settled
from stapes_tools.train.data import FEATURE_SIZE
from stapes_tools.train.loss import ctc_loss, monotonic_rnnt_loss
from stapes_tools.train.net import Transducer, built_transducer
from stapes_tools.train.recipe import Training

LAYOUT = "features int8 [B, T, 120 or 240], labels int32 [B, U], steps and units int32 [B], knobs float32 [n]"


class Task(Protocol):
    """One stage; the trainer knows no more of it than this."""

    net: keras.Model
    parts: tuple[str, ...]

    def losses(self, features, labels, steps, units, knobs) -> tuple:
        """(total, parts): a scalar to minimise, and what the log shows; both per unit. See LAYOUT."""
        ...

    def knobs(self, progress: float, batch: Batch) -> np.ndarray:
        """float32 [n] weights and switches of this step, and what else the losses must know of its batch."""
        ...

    def between(self, progress: float, batches_done: int) -> None:
        """Called before every step."""
        ...

    def parameters(self, variables: list[np.ndarray]) -> Parameters:
        """Float parameters of the network with other trainable variables (the averaged ones)."""
        ...

    def grid(self) -> Grid:
        """The integer grids that the network is trained on."""
        ...


def spread(features, steps):
    """(float32 features in log2 units [B, T, 120], bool mask [B, T] of the steps inside each utterance)."""
    inside = ops.arange(ops.shape(features)[1])[None] < steps[:, None]
    return ops.cast(features[..., :FEATURE_SIZE], "float32") * FEATURE_SCALE, inside


def for_teacher(features):
    """float32 [B, T, 120]: the version without noise, where it stands beside the features, or these themselves."""
    return ops.cast(features[..., -FEATURE_SIZE:], "float32") * FEATURE_SCALE


def per_unit(losses, units):
    """Sum of losses [B] over all units of the batch."""
    return ops.sum(losses) / ops.cast(ops.sum(units), "float32")


class DenseTask:
    """The general model's first stage: all weights, batch normalisation, CTC alone and then RNN-T with some CTC."""

    parts = ("rnnt", "ctc")

    def __init__(self, net: Transducer, settings: Training):
        self.net, self.settings = net, settings
        self._batch = 0

    def losses(self, features, labels, steps, units, knobs):
        """RNN-T and CTC, weighted by the knobs."""
        x, inside = spread(features, steps)
        encoded = self.net.encode(x, inside, training=True)
        blank, emit = self._lattice(encoded, labels, knobs)
        rnnt = per_unit(monotonic_rnnt_loss(blank, emit, steps, units), units)
        ctc = per_unit(ctc_loss(self.net.ctc_log_probs(encoded), labels, steps, units), units)
        return knobs[0] * ctc + knobs[1] * rnnt, ops.stack([rnnt, ctc])

    def _lattice(self, encoded, labels, knobs):
        dropout = self.settings.context_dropout
        if is_context_free(dropout):
            return lattice_of(self.net.scores(encoded), labels)
        return self.net.lattice(encoded, labels, knobs[2:] if dropout else None)

    def knobs(self, progress: float, batch: Batch) -> np.ndarray:
        """Weights of (CTC, RNN-T), and see known_contexts."""
        weights = (1.0, 0.0) if progress < self.settings.ctc_share else (self.settings.ctc_weight, 1.0)
        known = known_contexts(self.settings.context_dropout, self._batch, len(batch.steps))
        return np.array([*weights, *known], np.float32)

    def between(self, progress: float, batches_done: int) -> None:
        """Count."""
        self._batch = batches_done

    def grid(self) -> Grid:
        """None: the converter chooses."""
        return Grid()

    def parameters(self, variables: list[np.ndarray]) -> Parameters:
        """Batch normalisation folded into the layers before it."""
        from stapes_tools.train.export import float_parameters

        copy = built_transducer(self.net.topology, 0)
        copy.set_weights(self.net.get_weights())
        for variable, value in zip(copy.trainable_variables, variables, strict=True):
            variable.assign(value)
        found = float_parameters(copy)
        return settled(found) if is_context_free(self.settings.context_dropout) else found
