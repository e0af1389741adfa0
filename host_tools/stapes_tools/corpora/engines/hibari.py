"""Hibari: a small neural voice, 158 times real time on one core; it also gives kokoro its phonemes."""

import functools
import random

from ...errors import TRAIN_TOOLS
from .base import Engine, Speech, missing


@functools.cache
def load(name: str):
    """The voice, loaded once per process.

    Raises:
        EngineMissingError: hibari-tts is not installed.
    """
    try:
        from hibari import Hibari
    except ImportError:
        raise missing("hibari", TRAIN_TOOLS) from None
    return Hibari(voice=name)


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    engine = load(name)
    return engine(text, speed=rng.uniform(0.75, 1.25), seed=rng.randrange(1 << 31)), engine.sample_rate


ENGINE = Engine(name="hibari", voices=("heart",), speak=_speak, install=TRAIN_TOOLS, packages=("hibari",))
