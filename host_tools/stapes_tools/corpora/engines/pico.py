"""SVOX Pico: an American and a British woman of Android's early days, 196 times real time on one core."""

import random
from html import escape

import numpy as np

from ...errors import TRAIN_TOOLS
from .base import Engine, Speech, missing

_RATE = 16000
_VOLUME = 60  # of 100, at which loud vowels are clipped


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    try:
        from ttspico import TtsEngine
    except ImportError:
        raise missing("pico", TRAIN_TOOLS) from None
    # A new one for every sentence: one that has spoken before speaks the same sentence differently.
    engine = TtsEngine(name)
    engine.volume = _VOLUME
    engine.rate, engine.pitch = rng.randint(80, 125), rng.randint(80, 130)
    return np.frombuffer(engine.speak(escape(text, quote=False)) or b"", np.int16), _RATE


ENGINE = Engine(name="pico", voices=("en-US", "en-GB"), speak=_speak, install=TRAIN_TOOLS, packages=("ttspico",))
