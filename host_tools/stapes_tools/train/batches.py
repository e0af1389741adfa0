"""Batches of similar length in a few fixed shapes, so that each shape is compiled once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stapes_tools.train.data import FEATURE_SIZE, FeatureSet
from stapes_tools.train.recipe import STEP_EDGES

_UNITS_PER_STEP = 0.4


@dataclass(frozen=True)
class Batch:
    """Padded utterances: features int8 [B, T, 120], labels int32 [B, U], steps and units int32 [B].

    Features are [B, T, 240] where the clean version stands beside them (FeatureSet.beside).
    """

    features: np.ndarray
    labels: np.ndarray
    steps: np.ndarray
    units: np.ndarray


def bucket_of(steps: int, units: int, edges: Sequence[int] = STEP_EDGES) -> int:
    """The smallest bucket that holds an utterance, or -1; edges are the buckets' steps, rising.

    Utterances with more than one unit per two steps are refused: CTC needs a blank between repeats.
    """
    if 2 * units > steps:
        return -1
    for bucket, edge in enumerate(edges):
        if steps <= edge and units <= int(edge * _UNITS_PER_STEP):
            return bucket
    return -1


def collate(examples: Sequence[tuple[np.ndarray, np.ndarray]], edge: int) -> Batch:
    """Pad examples (features, labels) to the shape of a bucket of `edge` steps."""
    size = len(examples)
    features = np.zeros((size, edge, examples[0][0].shape[1]), np.int8)
    labels = np.zeros((size, int(edge * _UNITS_PER_STEP)), np.int32)
    for row, (rows, units) in enumerate(examples):
        features[row, : len(rows)] = rows
        labels[row, : len(units)] = units
    steps = np.array([len(rows) for rows, _ in examples], np.int32)
    return Batch(features, labels, steps, np.array([len(units) for _, units in examples], np.int32))


def epoch(
    copies: Sequence[FeatureSet],
    steps_per_batch: int,
    seed: int,
    short_first: bool,
    edges: Sequence[int] = STEP_EDGES,
) -> Iterator[Batch]:
    """One pass over all utterances, each in one of its copies drawn at random.

    Args:
        copies: feature sets of the same utterances (their numbers may differ by a few dropped ones).
        steps_per_batch: padded steps of every batch; the last of a bucket is filled up with repeats.
        seed: equal seeds give equal batches.
        short_first: batches in order of length, or shuffled.
        edges: steps of every bucket, rising; fewer buckets are fewer shapes to compile for, and more padding.
    """
    rng = np.random.default_rng([seed, 77])
    count = min(len(copy.labels) for copy in copies)
    chosen = rng.integers(len(copies), size=count)
    buckets: list[list[tuple[int, int]]] = [[] for _ in edges]
    for index in rng.permutation(count):
        copy = copies[chosen[index]]
        bucket = bucket_of(int(copy.steps[index]), len(copy.labels[index]), edges)
        if bucket >= 0:
            buckets[bucket].append((int(chosen[index]), int(index)))
    plan = []
    for bucket, members in enumerate(buckets):
        size = max(4, steps_per_batch // edges[bucket])
        for start in range(0, len(members), size):
            part = members[start : start + size]
            part += [members[i] for i in rng.integers(len(members), size=size - len(part))]
            plan.append((bucket, part))
    if not short_first:
        rng.shuffle(plan)
    for bucket, part in plan:
        yield collate([copies[copy].beside(index) for copy, index in part], edges[bucket])


def mask(batch: Batch, rng: np.random.Generator) -> Batch:
    """SpecAugment: up to two spans of time (8 steps) and two of frequency (6 bands) become the mean, 0.

    A clean version beside the features stays as it is.

    Reference: D. Park et al., SpecAugment, arXiv:1904.08779.
    """
    heard, clean = batch.features[..., :FEATURE_SIZE], batch.features[..., FEATURE_SIZE:]
    features = heard.reshape(*heard.shape[:2], 3, FEATURE_SIZE // 3).copy()
    for row, steps in enumerate(batch.steps):
        for _ in range(rng.integers(3)):
            start = rng.integers(steps)
            features[row, start : start + rng.integers(1, 9)] = 0
        for _ in range(rng.integers(3)):
            band = rng.integers(FEATURE_SIZE // 3)
            features[row, :, :, band : band + rng.integers(1, 7)] = 0
    masked = np.concatenate([features.reshape(heard.shape), clean], axis=-1)
    return Batch(masked, batch.labels, batch.steps, batch.units)
