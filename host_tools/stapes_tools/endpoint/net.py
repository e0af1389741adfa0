"""Train the end-pointer's net on traces with known ends."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import stapes_spec as spec

from ..convert.endpointer import HIDDEN, HISTORY, JOINED, SEARCH_SCALE, WIDTHS, Layers, Ranges
from ..convert.scales import Scale
from .trace import Trace, step_ms

_BATCH = 16
_LATE_MS = 1000  # after the end: what follows is the same again
_SOON_MS = 60  # after the end: the last unit is not out yet
_RARELY = 0.1
_PEAK_SHARE = 99.99  # per cent of activations that the scales hold


@dataclass(frozen=True)
class Examples:
    """Padded utterances: inputs float32 [n, steps, size], target and weight float32 [n, steps]."""

    encoded: np.ndarray
    features: np.ndarray
    search: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """By the names of the net's inputs."""
        return {"encoded": self.encoded, "features": self.features, "search": self.search}


def examples(traces: Sequence[Trace], ends_ms: Sequence[int], encoded: Scale) -> Examples:
    """Traces as training examples.

    A step's target is whether speech has ended. Steps before the first unit, in which no rule may speak, those within
    60 ms after the end, and those later than a second after it count a tenth.
    """
    steps = max(len(one.units) for one in traces)
    rows = [_example(one, end, encoded, steps) for one, end in zip(traces, ends_ms, strict=True)]
    return Examples(*(np.stack(column) for column in zip(*rows, strict=True)))


def _example(one: Trace, end_ms: int, encoded: Scale, steps: int) -> tuple[np.ndarray, ...]:
    late = step_ms(np.arange(len(one.units))) - end_ms
    weight = np.where((late >= 0) & (late < _SOON_MS) | (late > _LATE_MS) | (one.units == 0), _RARELY, 1.0)
    feature = Scale(2.0**-spec.FRONTEND_FEATURE_FRACTION_BITS, 0)
    columns = (
        encoded.dequantise(one.encoded),
        feature.dequantise(one.features),
        SEARCH_SCALE.dequantise(one.search),
        (late >= 0).astype(np.float32),
        weight.astype(np.float32),
    )
    # What pads it has no weight.
    return tuple(_padded(column, steps) for column in columns)


def _padded(column: np.ndarray, steps: int) -> np.ndarray:
    return np.pad(column.astype(np.float32), [(0, steps - len(column)), *[(0, 0)] * (column.ndim - 1)])


def train(given: Examples, seed: int, epochs: int, advance: Callable[[int], None]) -> tuple[Layers, Ranges]:
    """Fit the net.

    Args:
        seed: equal seeds give equal layers on one machine.
        epochs: passes over the examples.
        advance: called with 1 after each.
    Returns:
        (float layers, ranges of their activations).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    keras.utils.set_random_seed(seed)
    norms = {name: _norm(values, given.weight > 0) for name, values in given.inputs.items()}
    model, parts = _build(norms)
    steps = epochs * -(-len(given.target) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: advance(1))
    target, weight = given.target[..., None], given.weight
    model.fit(given.inputs, target, _BATCH, epochs, verbose=0, sample_weight=weight, callbacks=[told])
    return _layers(model, norms), _ranges(parts, given)


def _norm(values: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each input, float32 [size]; an input that never changes is left as it is."""
    rows = values[counted]
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 0, deviation, 1.0).astype(np.float32)


def _build(norms: Mapping[str, tuple[np.ndarray, np.ndarray]]):
    """The Keras model, its inputs normalised, and one that gives what its ReLUs give."""
    import keras
    from keras import layers

    from ..train.net import CausalDepthwise

    inputs = {name: keras.Input((None, len(mean)), name=name) for name, (mean, _) in norms.items()}
    fronts = []
    for name, x in inputs.items():
        mean, deviation = norms[name]
        even = layers.Normalization(mean=mean, variance=deviation**2)(x)
        fronts.append(layers.Dense(WIDTHS[name], activation="relu", name=f"{name}_layer")(even))
    joined = layers.Concatenate()(fronts)
    deep = layers.ReLU()(CausalDepthwise(HISTORY + 1, 1, name="depthwise_layer")(joined))
    hidden = layers.Dense(HIDDEN, activation="relu", name="hidden_layer")(deep)
    logit = layers.Dense(1, name="logit_layer")(hidden)
    return keras.Model(inputs, logit), keras.Model(inputs, [joined, deep, hidden])


def _layers(model, norms: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Layers:
    """The float layers, the normalisation folded into the first."""
    found = {}
    for name in (*WIDTHS, "depthwise", "hidden", "logit"):
        weight, bias = (np.asarray(values) for values in model.get_layer(f"{name}_layer").get_weights())
        found[name] = (weight if name == "depthwise" else weight.T, bias)
    for name, (mean, deviation) in norms.items():
        weight, bias = found[name]
        found[name] = (weight / deviation, bias - (weight / deviation) @ mean)
    assert found["depthwise"][0].shape == (HISTORY + 1, JOINED)
    return found


def _ranges(parts, given: Examples) -> Ranges:
    seen = parts.predict(given.inputs, batch_size=_BATCH, verbose=0)
    return Ranges(*(float(np.percentile(np.asarray(values), _PEAK_SHARE)) for values in seen))
