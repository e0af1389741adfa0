"""Three batches of either stage on the Keras backend that KERAS_BACKEND names; prints the losses as JSON.

A program, because a process has one backend. Weights start equal everywhere: each backend would draw its own.
"""

import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from stapes_tools.convert.topology import Block, Topology, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.train.compress import CompactTask
from stapes_tools.train.loop import Trainer
from stapes_tools.train.net import built_transducer
from stapes_tools.train.recipe import Compression, Training
from stapes_tools.train.tasks import DenseTask
from toy_speech import toy_commands, toy_set

SMALL = Topology(16, (Block(5), Block(5)), 8, 40)
COMMON = {"minutes": 1.0, "batches": 3, "steps_per_batch": 320, "learning_rate": 1e-3, "warmup_batches": 1}


def dense():
    settings = Training(**COMMON, ctc_share=0.3, ctc_weight=0.3, context_dropout=0.5)
    net, rng = built_transducer(SMALL, 1), np.random.default_rng(1)
    for variable in net.trainable_variables:
        if variable.name in ("kernel", "embeddings"):
            variable.assign(rng.normal(0, 0.2, variable.shape).astype(np.float32))
    return DenseTask(net, settings), settings


def compressed():
    settings = Compression(
        **COMMON,
        teacher_weight=0.5,
        grid_penalty=1e-3,
        mmi_weight=0.5,
        sparse_start=-1.0,
        sparse_end=0.0,
        context_dropout=0.5,
    )
    teachers = [(SMALL, random_parameters(SMALL, 2))]
    calibration = random_calibration(3, 4, 40)
    task = CompactTask(SMALL, random_parameters(SMALL, 1), settings, calibration, teachers, commands=toy_commands())
    return task, settings


def losses(task, settings):
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(task, settings, [toy_set()], Path(folder), seed=1)
        trainer.run(lambda _: {})
    return [trainer.history[-1][part] for part in task.parts]


if __name__ == "__main__":
    found = {"backend": keras.backend.backend(), "dense": losses(*dense()), "compressed": losses(*compressed())}
    json.dump(found, sys.stdout)
