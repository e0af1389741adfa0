"""Speech synthesisers behind one call: text and a voice in, 16 kHz int16 samples out.

A voice is a string `engine/name`, for instance `espeak-ng/en-us+f3`, `flite/slt`, `hibari/heart`,
`piper/joe`. An engine that is not installed is named with its install command.
"""

import difflib
import random
from collections.abc import Iterable
from math import gcd

import numpy as np
import stapes_spec

from stapes_tools.corpora.engines import espeak, festival, flite, hibari, kokoro, kokoro_js, pico, piper
from stapes_tools.corpora.engines.base import Engine, EngineMissingError
from stapes_tools.errors import UserError

__all__ = [
    "ENGINES",
    "HELD_OUT",
    "SAMPLE_RATE",
    "EngineMissingError",
    "check_engines",
    "check_voice",
    "list_voices",
    "synthesise",
]

SAMPLE_RATE = stapes_spec.AUDIO_SAMPLE_RATE_HZ
_PEAK = 16000.0  # of 32768

ENGINES: dict[str, Engine] = {
    module.ENGINE.name: module.ENGINE for module in (espeak, festival, flite, hibari, kokoro, kokoro_js, pico, piper)
}
HELD_OUT = (
    "flite/awb",
    *(f"espeak-ng/en-us+{name}" for name in espeak.HELD_OUT_VARIANTS),
    *(f"kokoro-js/{name}" for name in kokoro_js.HELD_OUT_VOICES),
)


def list_voices(engine: str) -> list[str]:
    """Voices of an engine that training may use: all but the held-out ones.

    Raises:
        UserError: there is no such engine.
    """
    return [f"{engine}/{name}" for name in _engine(engine).voices]


def check_engines(names: Iterable[str]) -> None:
    """Refuse work that would stop half-way for want of a synthesiser.

    Raises:
        UserError: there is no such engine.
        EngineMissingError: some are not installed; all of them and their install commands are named.
    """
    gone = [engine for engine in map(_engine, dict.fromkeys(names)) if not engine.is_installed]
    if gone:
        commands = dict.fromkeys(engine.install for engine in gone)
        what = f"not installed: {', '.join(engine.name for engine in gone)}"
        raise EngineMissingError(f"synthesisers are {what}", advice=f"run: {'; '.join(commands)}")


def check_voice(voice: str) -> None:
    """Refuse a voice that no engine has; some of them would silently speak with another one.

    Raises:
        UserError: the engine or its voice is unknown; the nearest known ones are named.
    """
    engine = voice.partition("/")[0]
    known = [*list_voices(engine), *HELD_OUT]
    if voice not in known:
        near = difflib.get_close_matches(voice, known, 3, 0.4) or known[:3]
        raise UserError(f"there is no voice {voice!r}", advice=f"{engine} has {', '.join(dict.fromkeys(near))}")


def synthesise(text: str, voice: str, seed: int) -> np.ndarray:
    """Speak text; rate, pitch and the engine's own randomness follow the seed.

    Args:
        text: a sentence.
        voice: `engine/name`.
        seed: equal seeds give equal speech (but piper's: see its file).
    Returns:
        int16 [n], mono, 16 kHz, peak 16000; empty if the engine said nothing.
    Raises:
        EngineMissingError: the engine is not installed.
        UserError: there is no such engine, or it failed.
    """
    engine, _, name = voice.partition("/")
    samples, rate = _engine(engine).speak(text, name, random.Random(f"{seed} {voice} {text}"))
    samples = np.asarray(samples, np.float32)
    if rate != SAMPLE_RATE and samples.size:
        samples = _resample(samples, rate)
    peak = float(np.abs(samples).max(initial=0.0))
    return (samples * (_PEAK / peak)).astype(np.int16) if peak > 0 else np.zeros(0, np.int16)


def _resample(samples: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    step = gcd(rate, SAMPLE_RATE)
    return resample_poly(samples, SAMPLE_RATE // step, rate // step).astype(np.float32)


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise UserError(f"there is no synthesiser {name!r}", advice=f"choose one of {', '.join(sorted(ENGINES))}")
    return ENGINES[name]
