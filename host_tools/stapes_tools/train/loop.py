"""The training loop: AdamW, a schedule by the clock, averaged weights, checkpoints that resume."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from stapes_tools.convert.topology import Parameters
from stapes_tools.train import batches
from stapes_tools.train.data import FeatureSet
from stapes_tools.train.distort import distort
from stapes_tools.train.recipe import Schedule
from stapes_tools.train.steps import Step
from stapes_tools.train.tasks import Task

Log = Callable[[dict], None]
# Steps whose losses may be outstanding: an accelerator works while this program prepares the next batches.
_LAG = 20


class Trainer:
    """Runs one stage of training on feature copies for a number of minutes.

    Args:
        task: a fresh network and its losses; the newest checkpoint in folder, if any, is loaded into it.
        settings: the schedule.
        copies: augmented feature sets of the same utterances.
        folder: where checkpoints and the history go.
        seed: of the order of batches and of masking.
        clock: seconds; a test may pass its own.
        log: called with every row of the history.
    """

    def __init__(
        self,
        task: Task,
        settings: Schedule,
        copies: Sequence[FeatureSet],
        folder: Path,
        seed: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        log: Log | None = None,
    ):
        self.task, self.settings, self.copies, self.folder, self.seed = task, settings, copies, folder, seed
        self._clock, self._log = clock, log
        self.optimizer = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay, global_clipnorm=1.0
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(task.net.trainable_variables)
        self._step = Step(task.net, self.optimizer, task.losses, settings.ema)
        self._pending: list = []
        self._sums = np.zeros(len(task.parts) + 1)
        self.history: list[dict] = []
        self.seconds, self.batches_done, self.epochs_done = 0.0, 0, 0
        if (folder / "checkpoint.npz").exists():
            self._load()

    def run(self, report: Callable[["Trainer"], dict], watch: Callable[[float], None] = lambda progress: None) -> None:
        """Train until the stage is done.

        Args:
            report: called at every checkpoint; what it returns is added to the history.
            watch: called after every batch with the progress, 0 to 1.
        """
        rng = np.random.default_rng([self.seed, self.batches_done])
        stream = self._stream()
        started, since = self._clock() - self.seconds, self.seconds
        while self.progress < 1.0:
            batch = next(stream)
            if self.settings.distortion:
                apart = not self.settings.distort_teachers
                batch = distort(batch, rng, self.settings.distortion, beside=apart)
            if self.progress >= self.settings.masking_share:
                batch = batches.mask(batch, rng)
            self._one(batch)
            self.batches_done += 1
            self.seconds = self._clock() - started
            watch(self.progress)
            due = self.seconds - since >= 60 * self.settings.checkpoint_minutes or self.progress >= 1.0
            if due or self.batches_done in (20, 100, 300):
                self._record()
            if due:
                self._checkpoint(report)
                # A report's time is not training time.
                started, since = self._clock() - self.seconds, self.seconds

    @property
    def progress(self) -> float:
        """Part of the stage that is done, 0 to 1."""
        if self.settings.batches:
            return self.batches_done / self.settings.batches
        return self.seconds / (60.0 * self.settings.minutes)

    def learning_rate(self) -> float:
        """Linear warm-up, a plateau, a half cosine to zero."""
        settings = self.settings
        warm = min(1.0, (self.batches_done + 1) / settings.warmup_batches)
        late = max(0.0, (self.progress - 1.0 + settings.decay_share) / settings.decay_share)
        return settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(late, 1.0)))

    def averaged(self) -> Parameters:
        """Float parameters of the network with the averaged weights, for export."""
        return self.task.parameters([ops.convert_to_numpy(average.value) for average in self._step.averages])

    def _stream(self) -> Iterator[batches.Batch]:
        while True:
            short_first = self.progress < self.settings.short_first_share
            seed = self.seed * 1000 + self.epochs_done
            settings = self.settings
            for batch in batches.epoch(self.copies, settings.steps_per_batch, seed, short_first, settings.step_edges):
                yield batch
                if short_first and self.progress >= self.settings.short_first_share:
                    break
            self.epochs_done += 1

    def _one(self, batch: batches.Batch) -> None:
        self.task.between(self.progress, self.batches_done)
        self.optimizer.learning_rate.assign(self.learning_rate())
        knobs = self.task.knobs(self.progress, batch)
        self._pending.append(self._step(batch.features, batch.labels, batch.steps, batch.units, knobs))
        if len(self._pending) >= _LAG:
            self._drain()

    def _drain(self) -> None:
        """Add up what the steps have left; only here does this program wait for an accelerator."""
        for parts in map(ops.convert_to_numpy, self._pending):
            if not np.all(np.isfinite(parts)):
                raise RuntimeError(f"the loss is not finite after {self.batches_done} batches: {parts}")
            self._sums += np.append(parts, 1.0)
        self._pending.clear()

    def _record(self) -> None:
        self._drain()
        sums = self._sums.copy()
        self._sums[:] = 0
        row = {"minutes": self.seconds / 60, "batches": self.batches_done, "epochs": self.epochs_done}
        row |= dict(zip(self.task.parts, (sums[:-1] / sums[-1]).tolist(), strict=True))
        row["learning_rate"] = self.learning_rate()
        self.history.append(row)
        if self._log is not None:
            self._log(row)

    def _checkpoint(self, report: Callable[["Trainer"], dict]) -> None:
        self._save()
        self.history[-1] |= report(self)
        (self.folder / "history.json").write_text(json.dumps(self.history, indent=1))

    def _variables(self) -> list:
        return [*self.task.net.variables, *self.optimizer.variables, *self._step.averages]

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"v{index}": ops.convert_to_numpy(variable.value) for index, variable in enumerate(self._variables())}
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
