"""The training loop: AdamW, a schedule by the clock, averaged weights, checkpoints that resume."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from stapes_tools.convert.forward import FEATURE_SCALE
from stapes_tools.train import batches
from stapes_tools.train.data import FeatureSet
from stapes_tools.train.loss import ctc_loss, monotonic_rnnt_loss
from stapes_tools.train.net import Transducer
from stapes_tools.train.recipe import Training


class Trainer:
    """Trains a network on feature copies for a number of minutes.

    Args:
        net: a fresh network; the newest checkpoint in folder, if any, is loaded into it.
        settings: the recipe's [training].
        copies: augmented feature sets of the same utterances.
        folder: where checkpoints and the history go.
        seed: of the order of batches and of masking.
        clock: seconds; a test may pass its own.
    """

    def __init__(
        self,
        net: Transducer,
        settings: Training,
        copies: Sequence[FeatureSet],
        folder: Path,
        seed: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.net, self.settings, self.copies, self.folder, self.seed = net, settings, copies, folder, seed
        self._clock = clock
        example = copies[0].example(0)
        first = batches.collate([example], batches.bucket_of(len(example[0]), len(example[1])))
        net(first.features.astype(np.float32), first.labels, np.ones(first.features.shape[:2], bool))
        self.optimizer = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay, global_clipnorm=1.0
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(net.trainable_variables)
        self.averages = [tf.Variable(variable.value) for variable in net.trainable_variables]
        self.history: list[dict] = []
        self.seconds, self.batches_done, self.epochs_done = 0.0, 0, 0
        self._step = tf.function(self._train_step, jit_compile=True)
        if (folder / "checkpoint.npz").exists():
            self._load()

    def run(self, report: Callable[["Trainer"], dict]) -> None:
        """Train until the minutes are used up.

        Args:
            report: called at every checkpoint; what it returns is added to the history.
        """
        rng = np.random.default_rng([self.seed, self.batches_done])
        stream = self._stream()
        started, since, sums = self._clock() - self.seconds, self.seconds, np.zeros(3)
        while self.progress < 1.0:
            batch = next(stream)
            if self.progress >= self.settings.masking_share:
                batch = batches.mask(batch, rng)
            sums += self._one(batch)
            self.batches_done += 1
            self.seconds = self._clock() - started
            due = self.seconds - since >= 60 * self.settings.checkpoint_minutes or self.progress >= 1.0
            if due or self.batches_done in (20, 100, 300):
                self._record(sums)
                sums[:] = 0
            if due:
                self._checkpoint(report)
                # A report's time is not training time.
                started, since = self._clock() - self.seconds, self.seconds

    @property
    def progress(self) -> float:
        """Part of the minutes used, 0 to 1."""
        return self.seconds / (60.0 * self.settings.minutes)

    def learning_rate(self) -> float:
        """Linear warm-up, a plateau, a half cosine to zero."""
        settings = self.settings
        warm = min(1.0, (self.batches_done + 1) / settings.warmup_batches)
        late = max(0.0, (self.progress - 1.0 + settings.decay_share) / settings.decay_share)
        return settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(late, 1.0)))

    def averaged(self) -> Transducer:
        """A copy of the network with the averaged weights, for export."""
        copy = Transducer(self.net.topology, self.seed)
        copy(np.zeros((1, 4, 120), np.float32), np.zeros((1, 1), np.int32), np.ones((1, 4), bool))
        copy.set_weights(self.net.get_weights())
        for variable, average in zip(copy.trainable_variables, self.averages, strict=True):
            variable.assign(average.numpy())
        return copy

    def _stream(self) -> Iterator[batches.Batch]:
        while True:
            short_first = self.progress < self.settings.short_first_share
            seed = self.seed * 1000 + self.epochs_done
            for batch in batches.epoch(self.copies, self.settings.steps_per_batch, seed, short_first):
                yield batch
                if short_first and self.progress >= self.settings.short_first_share:
                    break
            self.epochs_done += 1

    def _one(self, batch: batches.Batch) -> np.ndarray:
        warm = self.progress < self.settings.ctc_share
        weights = (1.0, 0.0) if warm else (self.settings.ctc_weight, 1.0)
        self.optimizer.learning_rate.assign(self.learning_rate())
        result = self._step(batch.features, batch.labels, batch.steps, batch.units, tf.constant(weights, tf.float32))
        losses = result.numpy()
        if not np.all(np.isfinite(losses)):
            raise RuntimeError(f"the loss is not finite after {self.batches_done} batches: {losses}")
        return np.append(losses, 1.0)

    def _train_step(self, features, labels, steps, units, weights):
        inputs = tf.cast(features, tf.float32) * FEATURE_SCALE
        inside = tf.range(tf.shape(features)[1])[None] < steps[:, None]
        total_units = tf.cast(tf.reduce_sum(units), tf.float32)
        with tf.GradientTape() as tape:
            blank, emit, ctc = self.net(inputs, labels, inside, training=True)
            rnnt = tf.reduce_sum(monotonic_rnnt_loss(blank, emit, steps, units)) / total_units
            ctc = tf.reduce_sum(ctc_loss(ctc, labels, steps, units)) / total_units
            loss = weights[0] * ctc + weights[1] * rnnt
        gradients = tape.gradient(loss, self.net.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.net.trainable_variables, strict=True))
        keep = tf.minimum(self.settings.ema, tf.cast(self.optimizer.iterations, tf.float32) / 100.0)
        for average, variable in zip(self.averages, self.net.trainable_variables, strict=True):
            average.assign(keep * average + (1.0 - keep) * variable)
        return tf.stack([rnnt, ctc])

    def _record(self, sums: np.ndarray) -> None:
        row = {"minutes": self.seconds / 60, "batches": self.batches_done, "epochs": self.epochs_done}
        row |= {"rnnt": sums[0] / sums[2], "ctc": sums[1] / sums[2], "learning_rate": self.learning_rate()}
        self.history.append(row)
        print("  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)

    def _checkpoint(self, report: Callable[["Trainer"], dict]) -> None:
        self._save()
        self.history[-1] |= report(self)
        (self.folder / "history.json").write_text(json.dumps(self.history, indent=1))

    def _variables(self) -> list:
        return [*self.net.variables, *self.optimizer.variables, *self.averages]

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"v{index}": np.asarray(variable) for index, variable in enumerate(self._variables())}
        state = {"seconds": self.seconds, "batches": self.batches_done, "epochs": self.epochs_done}
        arrays["state"] = np.array(json.dumps(state | {"history": self.history}))
        np.savez(self.folder / "part.npz", **arrays)  # type: ignore[arg-type]
        (self.folder / "part.npz").rename(self.folder / "checkpoint.npz")

    def _load(self) -> None:
        saved = np.load(self.folder / "checkpoint.npz")
        state = json.loads(str(saved["state"]))
        self.seconds, self.batches_done, self.epochs_done = state["seconds"], state["batches"], state["epochs"]
        self.history = state["history"]
        for index, variable in enumerate(self._variables()):
            variable.assign(saved[f"v{index}"])
