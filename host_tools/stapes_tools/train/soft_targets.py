"""What teachers say of the training speech, computed once before a stage in place of anew for every batch.

Copies that differ by their noise alone share one clean version (noisy_versions), so one pass of the teachers serves
them all. What was said is kept as the search of a board keeps it: log-probabilities, int16, Q.10 nats.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import stapes_spec
from keras import ops

from stapes_tools.convert.forward import dequantise_features
from stapes_tools.corpora.build import content_hash
from stapes_tools.corpora.progress import tracked
from stapes_tools.corpora.store import cache_root
from stapes_tools.train.compact import CompactTransducer
from stapes_tools.train.context import averaged
from stapes_tools.train.data import FEATURE_SIZE, FeatureSet
from stapes_tools.train.recipe import STEP_EDGES
from stapes_tools.train.steps import compiled

_ROWS = 16  # utterances at once
_ONE = 1 << stapes_spec.Q_LOG_PROB_FRACTION_BITS
_LEAST = np.iinfo(np.int16).min


def taught(copies: Sequence[FeatureSet], teachers: Sequence[CompactTransducer]) -> list[FeatureSet]:
    """The copies with what the mean of the teachers says of their clean versions, or of themselves; cached.

    Args:
        copies: those with the same clean version share what is said of it.
        teachers: networks without context.
    """
    said: dict[int, np.ndarray] = {}
    found = []
    for copy in copies:
        heard = copy.features if copy.clean is None else copy.clean
        if id(heard) not in said:
            said[id(heard)] = _said(replace(copy, features=heard, clean=None), teachers)
        found.append(replace(copy, said=said[id(heard)]))
    return found


def _said(heard: FeatureSet, teachers: Sequence[CompactTransducer]) -> np.ndarray:
    """int16 [rows, V] of all utterances, in a file of the cache where the features have one."""
    shape = (len(heard.features), teachers[0].topology.units)
    path = _file_of(heard, teachers)
    if path is None:
        rows = np.zeros(shape, np.int16)
        _listen(heard, teachers, rows)
        return rows
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        written = np.memmap(part, np.int16, "w+", shape=shape)
        _listen(heard, teachers, written)
        written.flush()
        part.rename(path)
    return np.memmap(path, np.int16, "r", shape=shape)


def _file_of(heard: FeatureSet, teachers: Sequence[CompactTransducer]) -> Path | None:
    file = getattr(heard.features, "filename", None)
    if file is None:
        return None
    weights = b"".join(ops.convert_to_numpy(value).tobytes() for net in teachers for value in net.kernels.values())
    networks = ([net.topology for net in teachers], hashlib.sha256(weights).hexdigest())
    return cache_root() / "said" / f"{content_hash(Path(file).parent.name, Path(file).name, networks)}.i16"


def _listen(heard: FeatureSet, teachers: Sequence[CompactTransducer], said: np.ndarray) -> None:
    """Fill said, utterances of similar length together."""
    say = compiled(lambda features: averaged([teacher.scores(teacher.encode(features)) for teacher in teachers]))
    order = np.argsort(heard.steps, kind="stable")
    for first in tracked(range(0, len(order), _ROWS), "teachers"):
        batch = order[first : first + _ROWS]
        length = _padded(int(heard.steps[batch].max()))
        features = np.zeros((_ROWS, length, FEATURE_SIZE), np.int8)
        for row, index in enumerate(batch):
            features[row, : heard.steps[index]] = heard.example(index)[0]
        x = ops.convert_to_tensor(dequantise_features(features))
        rounded = np.maximum(np.rint(ops.convert_to_numpy(say(x)) * _ONE), _LEAST).astype(np.int16)
        for row, index in enumerate(batch):
            start, steps = heard.starts[index], heard.steps[index]
            said[start : start + steps] = rounded[row, :steps]


def _padded(steps: int) -> int:
    """The length, of few, that so many steps are run as: each is compiled for."""
    return next((edge for edge in STEP_EDGES if steps <= edge), -(-steps // STEP_EDGES[-1]) * STEP_EDGES[-1])


def said_in(features):
    """Log-probabilities that stand to the right of a batch's features; see FeatureSet.beside.

    Args:
        features: int8 [B, T, 120 + 2 V].
    Returns:
        float32 [B, T, V], in nats.
    """
    aside = ops.cast(features[..., FEATURE_SIZE:], "int32")
    low, high = aside[..., 0::2], aside[..., 1::2]
    return ops.cast(high * 256 + ops.where(low < 0, low + 256, low), "float32") / _ONE
