"""Stapes, the board package: a streaming speech recogniser for microcontrollers.

ear = stapes.Recognizer("/rom/commands.tflite", grammar="/rom/coffee.stg")
for event in ear.listen(stapes.Microphone.from_board()):
    if event.kind == stapes.INTENT:
        print(event.intent, event.slots)
"""

import stapes_spec as _spec

from stapes.downstream import Downstream
from stapes.endpoint import Endpointer, Endpointers
from stapes.errors import StapesError
from stapes.event import (
    CONFIRM,
    ENDPOINT,
    ERROR,
    GIVEN_UP,
    INTENT,
    LATTICE,
    LISTENING,
    OVERRUN,
    PARTIAL,
    RESET,
    SPECULATIVE,
    SPEECH_START,
    STATISTICS,
    STOPPED,
    Event,
)
from stapes.lattice import Lattice
from stapes.microphone import Microphone
from stapes.recognizer import Recognizer
from stapes.wav_microphone import WavMicrophone

__version__ = _spec.PROJECT_VERSION

__all__ = [
    "CONFIRM",
    "ENDPOINT",
    "ERROR",
    "GIVEN_UP",
    "INTENT",
    "LATTICE",
    "LISTENING",
    "OVERRUN",
    "PARTIAL",
    "RESET",
    "SPECULATIVE",
    "SPEECH_START",
    "STATISTICS",
    "STOPPED",
    "Downstream",
    "Endpointer",
    "Endpointers",
    "Event",
    "Lattice",
    "Microphone",
    "Recognizer",
    "StapesError",
    "WavMicrophone",
    "__version__",
]
