"""Public architectures, small, built with Keras: an autoencoder, a keyword net of separable convolutions, a LSTM."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

FEATURES = 64


def _seed():
    """Layers draw their seeds when they are made."""
    keras.utils.set_random_seed(7)


def autoencoder():
    """Fully connected, as MLPerf Tiny's for anomaly detection (arXiv:2106.07597)."""
    _seed()
    dense = keras.layers.Dense
    hidden = [dense(size, activation="relu") for size in (96, 96, 8, 96, 96)]
    return keras.Sequential([keras.Input((FEATURES,)), *hidden, dense(FEATURES)])


def keyword_net():
    """DS-CNN (arXiv:1711.07128)."""
    _seed()
    layers = [keras.layers.Conv2D(32, (10, 4), (2, 2), "same", activation="relu")]
    for _ in range(2):
        layers += [
            keras.layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 1, activation="relu"),
        ]
    layers += [keras.layers.AveragePooling2D((13, 5)), keras.layers.Flatten()]
    return keras.Sequential([keras.Input((25, 10, 1)), *layers, keras.layers.Dense(12, activation="softmax")])


def lstm_net():
    """A LSTM over steps of features, its last output classified."""
    _seed()
    layers = [keras.layers.LSTM(32, return_sequences=True), keras.layers.LSTM(24)]
    return keras.Sequential([keras.Input((8, 20)), *layers, keras.layers.Dense(12, activation="softmax")])


def spread_classes(model):
    """Set a classifier's last layer so that an untrained net tells its inputs apart, as a trained one does."""
    inner = keras.Model(model.inputs, model.layers[-2].output).predict(samples(model, 200, seed=1), verbose=0)
    layer = model.layers[-1]
    kernel = layer.get_weights()[0]
    kernel *= 2.0 / ((inner - inner.mean(axis=0)) @ kernel).std()
    layer.set_weights([kernel, -inner.mean(axis=0) @ kernel])
    return model


def samples(model, count: int, seed: int = 0) -> np.ndarray:
    """Inputs with as little freedom as real ones have: mixtures of eight patterns and some noise, float32."""
    shape = tuple(model.input_shape[1:])
    rng = np.random.default_rng(99)
    patterns = rng.normal(size=(8, int(np.prod(shape))))
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 8)) @ patterns / 2 + 0.2 * rng.normal(size=(count, patterns.shape[1]))
    return mixed.reshape(count, *shape).astype(np.float32)


def fitted_autoencoder(epochs: int = 15):
    """The autoencoder, trained for a few seconds."""
    model = autoencoder()
    model.compile("adam", "mse")
    rows = samples(model, 2000, seed=1)
    model.fit(rows, rows, batch_size=64, epochs=epochs, verbose=0)
    return model


BUILDERS = {
    "fitted": fitted_autoencoder,
    "keyword_net": lambda: spread_classes(keyword_net()),
    "lstm_net": lambda: spread_classes(lstm_net()),
}


def save(folder: Path, name: str, count: int = 64) -> tuple[Path, Path]:
    """Write NAME.keras and NAME.npy, its calibration samples; returns their paths."""
    model = BUILDERS[name]()
    paths = folder / f"{name}.keras", folder / f"{name}.npy"
    model.save(paths[0])
    np.save(paths[1], samples(model, count))
    return paths
