"""Runs on MicroPython: a station whose search follows a script, on a loopback socket.

Arguments: port, settings file, model, grammar, utterances, milliseconds per step of 30 ms.
"""

import sys
import time

import stapes
from scripted_kernels import ScriptedKernels, lattice_bytes
from stapes.settings import Settings
from stapes.sockets import SocketTransport
from stapes.station import Station

PORT, SETTINGS, MODEL, GRAMMAR, UTTERANCES, STEP_MS = sys.argv[1:7]
SCRIPT = [(0, 1, 0, ())] * 3 + [(1, 0, 0, (0,)), (2, 0, 1, (0, 1))] + [(2, k, 1, (0, 1)) for k in range(1, 40)]


class Sound:
    """Silence in real time, as many utterances as the script is to be followed."""

    lost = 0

    def __init__(self, steps):
        self.left = steps

    def readinto(self, samples):
        time.sleep_ms(int(STEP_MS))
        self.left -= 1
        return len(samples) if self.left >= 0 else 0


settings = Settings(SETTINGS)
ear = stapes.Recognizer(MODEL, GRAMMAR, kernels=ScriptedKernels(SCRIPT, lattice_bytes()))
transport = SocketTransport(int(PORT), settings.certificate, settings.private_key, "127.0.0.1")
station = Station(ear, Sound(27 * int(UTTERANCES)), transport, settings.key, log=print)
print("ready")
station.run(lambda event: event.kind == stapes.INTENT and print("intent", event.utterance))
print("over")
