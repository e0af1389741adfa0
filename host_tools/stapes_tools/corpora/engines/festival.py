"""Festival: diphone and HTS voices, 4 to 5 times real time on one core."""

import random

from .base import Engine, Speech, missing, program, speech_in_file

INSTALL = "apt-get install festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k"


def _speak(text: str, name: str, rng: random.Random) -> Speech:
    stretch = f"(begin (voice_{name}) (Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.2):.3f}))"
    samples, rate = speech_in_file([program("text2wave", INSTALL), "-eval", stretch], text)
    if not rate:
        # Without the voice text2wave complains, writes nothing and still exits with 0.
        raise missing(f"festival, or its voice {name},", INSTALL)
    return samples, rate


ENGINE = Engine(
    name="festival",
    voices=("cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone"),
    speak=_speak,
    install=INSTALL,
    needs=("text2wave",),
)
