"""Flite: small unit-selection and HTS voices, 18 to 58 times real time on one core."""

import random

from .base import Engine, Speech, program, speech_in_file

INSTALL = "apt-get install flite"


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    stretch = f"duration_stretch={rng.uniform(0.8, 1.2):.3f}"
    return speech_in_file([program("flite", INSTALL), "-voice", name, "--setf", stretch, "-t", text])


ENGINE = Engine(name="flite", voices=("rms", "slt", "kal16"), speak=_speak, install=INSTALL, needs=("flite",))
