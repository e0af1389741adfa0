"""A recipe from beginning to end: features, dense training, compression, branches, model file.

Each stage leaves its float parameters in the run's folder, so that a run that was stopped goes on
where it was, and a stage can be repeated alone.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stapes_tools.convert import checkpoint
from stapes_tools.convert.checkpoint import STAGES
from stapes_tools.convert.grid import Grid, four_bits
from stapes_tools.convert.metadata import Metadata
from stapes_tools.convert.topology import Parameters, Topology
from stapes_tools.corpora import progress
from stapes_tools.corpora.build import content_hash
from stapes_tools.corpora.store import cache_root
from stapes_tools.errors import UserError
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNITS
from stapes_tools.train.commands import CommandGraph, training_graph
from stapes_tools.train.context import is_context_free
from stapes_tools.train.data import (
    FeatureSet,
    command_grammar,
    feature_sets,
    label_counts,
    mean_log_mel,
    training_packs,
)
from stapes_tools.train.recipe import Compression, Recipe, Schedule, floating, topology_of
from stapes_tools.train.teller import Teller


@dataclass(frozen=True)
class Prepared:
    """What every stage needs: augmented copies of the training speech, the front end's prior, the lexicon."""

    copies: list[FeatureSet]
    prior: np.ndarray
    lexicon: Lexicon


def run_folder(recipe: Recipe, name: str) -> Path:
    """Where a recipe's checkpoints lie; another recipe, another folder."""
    folder = cache_root() / "train" / f"{name}-{content_hash(repr(recipe))}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prepare(recipe: Recipe, tell: Teller) -> Prepared:
    """Synthesise, decode, augment and extract features; what is in the cache is not made again."""
    with progress.told(tell.progress):
        return _prepare(recipe, tell)


def _prepare(recipe: Recipe, tell: Teller) -> Prepared:
    lexicon = Lexicon(recipe.data.extra_words)
    packs = training_packs(recipe, lexicon)
    if recipe.base:
        # The base hears through its own prior.
        prior = checkpoint.load(Path(recipe.base) / f"{recipe.base_stage}.npz").prior
    else:
        prior = mean_log_mel(packs, recipe.data, 0, 10)
    seeds = range(1, recipe.data.copies + 1)
    copies = [copy for seed in seeds for copy in feature_sets(packs, recipe.data, seed, prior, lexicon)]
    tell.say(f"{sum(pack.hours for pack in packs):.2f} h of speech, {len(copies[0].labels)} utterances")
    return Prepared(copies, prior, lexicon)


def teachers_of(settings: Compression, own: tuple[Topology, Parameters]) -> list[tuple[Topology, Parameters]]:
    """Who teaches a stage: nobody, what it starts from, or the models that its recipe names."""
    if not settings.teacher_weight:
        return []
    folders = [settings.teacher] if isinstance(settings.teacher, str) else settings.teacher
    return [checkpoint.load_model(Path(folder), "dense") if folder else own for folder in folders]


@dataclass(frozen=True)
class Run:
    """One recipe being trained: its speech, the folder of its checkpoints, and where progress is told."""

    recipe: Recipe
    prepared: Prepared
    folder: Path
    tell: Teller

    def train(self) -> None:
        """Every stage of the recipe; a finished one only writes its parameters again."""
        if self.recipe.base:
            topology, parameters = checkpoint.load_model(Path(self.recipe.base), self.recipe.base_stage)
            if self.recipe.training is not None:
                topology, parameters = self.train_on(topology, parameters)
        else:
            topology, parameters = self.dense()
        if self.recipe.compression is not None:
            parameters, _ = self.compress(topology, parameters)
        if self.recipe.branches is not None:
            self.branch(topology, parameters)

    def dense(self) -> tuple[Topology, Parameters]:
        """The first stage: all weights, float. Leaves dense.npz."""
        from stapes_tools.train.net import built_transducer
        from stapes_tools.train.tasks import DenseTask

        model, settings = self.recipe.model, self.recipe.training
        assert model is not None and settings is not None, "read_recipe sees to it"
        topology = topology_of(model)
        net = built_transducer(topology, self.recipe.seed)
        return topology, self._stage("dense", DenseTask(net, settings), settings)[0]

    def train_on(self, topology: Topology, start: Parameters) -> tuple[Topology, Parameters]:
        """The first stage, from another model's float parameters: all weights, float. Leaves dense.npz."""
        from stapes_tools.train.compress import CompactTask, calibration_rows
        from stapes_tools.train.deepen import deepened

        settings = self.recipe.training
        assert settings is not None, "train sees to it"
        if settings.extra_blocks:
            deeper = (settings.extra_blocks, settings.extra_dilation, self.recipe.seed)
            topology, start = deepened(topology, start, *deeper)
        task = CompactTask(topology, start, floating(settings), calibration_rows(self.prepared.copies[0]))
        return topology, self._stage("dense", task, settings)[0]

    def compress(self, topology: Topology, start: Parameters) -> tuple[Parameters, Grid]:
        """The second stage, from float parameters: zeros and grids. Leaves compressed.npz."""
        from stapes_tools.convert.equalise import equalise
        from stapes_tools.train.compress import CompactTask, calibration_rows

        settings = self.recipe.compression
        if settings is None:
            raise UserError("the recipe has no [compression]")
        calibration = calibration_rows(self.prepared.copies[0])
        teachers = teachers_of(settings, (topology, start))
        # In float there is nothing to balance for; and what starts from one network can then be averaged.
        rounds = settings.weight_bits or settings.simulate_activations
        balanced = equalise(topology, start, calibration) if rounds else start
        return self._stage(
            "compressed",
            CompactTask(topology, balanced, settings, calibration, teachers, commands=self._commands(settings)),
            settings,
        )

    def branch(self, topology: Topology, start: Parameters) -> tuple[Parameters, Grid]:
        """The third stage, from the heavy branch's parameters: a light one, an arbitrator. Leaves branched.npz."""
        from stapes_tools.convert.equalise import equalise
        from stapes_tools.train.branch_task import BranchTask
        from stapes_tools.train.compress import calibration_rows

        settings = self.recipe.branches
        if settings is None:
            raise UserError("the recipe has no [branches]")
        calibration = calibration_rows(self.prepared.copies[0])
        # What comes out of [compression] is balanced already.
        if self.recipe.compression is None and (self.recipe.training is not None or self.recipe.base_stage == "dense"):
            start = equalise(topology, start, calibration)
        teachers = teachers_of(settings, (topology, start))
        chosen = checkpoint.load_model(Path(settings.arbitrator), "branched")[1] if settings.arbitrator else None
        task = BranchTask(
            topology,
            start,
            settings,
            calibration,
            teachers,
            commands=self._commands(settings),
            arbitrator=chosen,
            seed=self.recipe.seed,
        )
        return self._stage("branched", task, settings)

    def _commands(self, settings: Compression) -> CommandGraph | None:
        if not settings.mmi_weight:
            return None
        hears_context = not is_context_free(settings.context_dropout)
        return training_graph(command_grammar(self.recipe), self.prepared.lexicon, hears_context=hears_context)

    def _stage(self, name: str, task, settings: Schedule) -> tuple[Parameters, Grid]:
        from stapes_tools.train.logs import EventLog
        from stapes_tools.train.loop import Trainer

        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        held_out = self._held_out()

        def save(trainer: Trainer) -> tuple[Parameters, Grid]:
            parameters, grid = trainer.averaged(), task.grid()
            checkpoint.save(self.folder / f"{name}.npz", task.net.topology, parameters, self.prepared.prior, grid)
            return parameters, grid

        def report(trainer: Trainer) -> dict:
            parameters, _ = save(trainer)
            return self._rates(task.net.topology, parameters, held_out)

        with EventLog(folder / "events", self.tell.say) as log:
            trainer = Trainer(task, settings, self._copies(task, settings), folder, self.recipe.seed, log=log)
            trainer.run(report, lambda share: self.tell.progress(name, share))
        return save(trainer)

    def _copies(self, task, settings: Schedule) -> list[FeatureSet]:
        """What a stage hears, with what its teachers say of it where they say it once."""
        from stapes_tools.train.soft_targets import taught

        if not (isinstance(settings, Compression) and settings.teach_once):
            return self.prepared.copies
        with progress.told(self.tell.progress):
            return taught(self.prepared.copies, task.teachers)

    def _held_out(self) -> dict[str, list]:
        from stapes_tools.train import dev

        sets = dev.held_out_sets(self.recipe, self.prepared.prior, self.prepared.lexicon)
        return {label: dev.some(rows, 40) for label, rows in sets.items()}

    def _rates(self, topology: Topology, parameters: Parameters, held_out: dict[str, list]) -> dict[str, float]:
        from stapes_tools.train.greedy import phone_error_rate

        rates = {label: phone_error_rate(topology, parameters, rows) for label, rows in held_out.items()}
        self.tell.say("phone error rate: " + "  ".join(f"{label} {100 * rate:.1f} %" for label, rate in rates.items()))
        return {f"per_{label}": rate for label, rate in rates.items()}

    def export(self, output: Path) -> Path:
        """Quantise the last stage's parameters, tune the search on synthetic commands, write all to a folder."""
        from stapes_tools.convert.label_prior import with_label_prior
        from stapes_tools.convert.pack import pack
        from stapes_tools.train.curves import draw_history
        from stapes_tools.train.export import export_model
        from stapes_tools.train.tune import tune

        stage = next((name for name in reversed(STAGES) if (self.folder / f"{name}.npz").exists()), None)
        if stage is None:
            raise UserError("nothing is trained yet", self.folder, "run it without --export")
        saved = checkpoint.load(self.folder / f"{stage}.npz")
        model = output / "model.tflite"
        export_model(
            model,
            saved.topology,
            saved.parameters,
            self.prepared.copies[0],
            metadata=Metadata(UNITS, tuple(int(value) for value in saved.prior)),
            description=output.resolve().name,
            weight_bits=self._weight_bits(stage, saved.topology),
            grid=saved.grid,
        )
        data = model.read_bytes()
        if saved.topology.branching:
            # Two encoders with their zeros would not fit a board's flash.
            data = pack(data)[0]
        if self.recipe.label_prior:
            data = with_label_prior(data, label_counts(self.prepared.copies[0]), self.recipe.label_prior)
        model.write_bytes(tune(data, self.recipe, self.recipe.data.processes, self.tell.say))
        for name in STAGES:
            if (self.folder / f"{name}.npz").exists():
                shutil.copyfile(self.folder / f"{name}.npz", output / f"{name}.npz")
        draw_history(self.folder, output / "curves.png")
        return model

    def expected_acceptance(self, model: bytes) -> float:
        """Share of commands understood, on synthetic ones that neither training nor tuning has met."""
        from stapes_tools.train import dev
        from stapes_tools.train.tune import acceptance

        recordings = dev.command_recordings(self.recipe, dev.EXPECTING)
        return acceptance(model, self.recipe, recordings, self.recipe.data.processes)

    def _weight_bits(self, stage: str, topology: Topology) -> dict[str, int]:
        settings = {"compressed": self.recipe.compression, "branched": self.recipe.branches}.get(stage)
        four = settings is not None and settings.weight_bits == 4
        return four_bits(topology) if four else {}
