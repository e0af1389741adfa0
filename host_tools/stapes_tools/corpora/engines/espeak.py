"""eSpeak NG: a formant synthesiser, many accents and variants, 46 times real time on one core."""

import io
import random

import numpy as np
import soundfile

from .base import Engine, Speech, program, run

INSTALL = "apt-get install espeak-ng"
_ACCENTS = ("en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-us-nyc", "en-029", "en-gb-scotland")
_NAMES = (
    "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky "
    "Lee Marco Mario Michael Mike Nguyen adam anika antonio aunty belinda benjamin boris caleb david ed edward edward2 "
    "grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 linda marcelo max "
    "michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 steph3 travis victor zac"
)
_VARIANTS = _NAMES.split()
HELD_OUT_VARIANTS = ("Andrea", "Mike", "f4", "m7", "quincy", "steph2")


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    speed, pitch = rng.randint(115, 195), rng.randint(25, 75)
    command = [program("espeak-ng", INSTALL), "-v", name, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    wave = run(command)
    return soundfile.read(io.BytesIO(wave), dtype="float32") if len(wave) > 44 else (np.zeros(0, np.float32), 0)


ENGINE = Engine(
    name="espeak-ng",
    voices=tuple(f"{accent}+{name}" for accent in _ACCENTS for name in _VARIANTS if name not in HELD_OUT_VARIANTS),
    speak=_speak,
    install=INSTALL,
    needs=("espeak-ng",),
)
