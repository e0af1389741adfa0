"""A student of the toy utterances (toy_speech.py), and how far it is from its teachers."""

from dataclasses import replace

import numpy as np
from keras import ops
from stapes_tools.convert.topology import Block, Parameters, Topology, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.train.batches import Batch
from stapes_tools.train.compress import CompactTask
from stapes_tools.train.data import FeatureSet
from stapes_tools.train.recipe import Compression
from toy_speech import toy_set

SMALL = Topology(16, (Block(5),), 8, 40)
FLOAT = Compression(
    minutes=1.0,
    learning_rate=1e-3,
    zeros=0,
    weight_bits=0,
    simulate_activations=False,
    context_dropout=1.0,
    teacher_weight=1.0,
)


def student(teachers: list[tuple[Topology, Parameters]], settings: Compression = FLOAT) -> CompactTask:
    """The network of seed 1, in float and without context."""
    return CompactTask(SMALL, random_parameters(SMALL, 1), settings, random_calibration(3, 4, 40), teachers)


def toy_pairs() -> FeatureSet:
    """The toy utterances, and as their clean version others."""
    toy = toy_set()
    return replace(toy, clean=np.flip(toy.features, axis=0).copy())


def distance(task: CompactTask, batch: Batch) -> float:
    """The distillation loss of a batch."""
    arrays = (batch.features, batch.labels, batch.steps, batch.units, task.knobs(0.5, batch))
    return float(ops.convert_to_numpy(task.losses(*map(ops.convert_to_tensor, arrays))[1])[1])
