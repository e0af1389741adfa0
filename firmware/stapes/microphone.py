"""Where sound comes from: the board's microphone, or a recording."""

import os

import stapes_spec as spec

from stapes import board
from stapes.errors import StapesError
from stapes.wav_microphone import WavMicrophone

_VARIABLE = "STAPES_MICROPHONE"


class Microphone:
    """Makes microphones: objects with readinto(samples), see listening.Listening.

    None of them starts before it is first read. Settings are those of [microphone] in board.toml,
    docs/microphones.md; what is left out is as there, or usual.
    """

    @staticmethod
    def from_board():
        """Return the board's microphone, as its board.toml has it.

        On a PC it is virtual: the WAV file that the environment variable STAPES_MICROPHONE names.

        Raises:
            StapesError: there is none, or its settings are wrong, or the WAV file is not a 16 kHz mono recording.
        """
        if board.MICROPHONE:
            return _digital(board.MICROPHONE)
        path = os.getenv(_VARIABLE) if hasattr(os, "getenv") else None
        if not path:
            raise StapesError(spec.ERROR_MICROPHONE)
        return WavMicrophone(path)

    @staticmethod
    def i2s(kind, sck, ws, sd, **settings):
        """Return an I2S microphone.

        Args:
            kind: str, "INMP441", "ICS-43434" or "SPH0645".
            sck, ws, sd: int, GPIO numbers; on an RP2040 ws is sck + 1.
            settings: channel, "left" or "right"; gain_db; others of [microphone].
        Raises:
            StapesError: a setting is wrong.
        """
        return _digital(dict(settings, kind=kind, sck=sck, ws=ws, sd=sd))

    @staticmethod
    def pdm(clock, data, **settings):
        """Return a PDM microphone.

        Args:
            clock, data: int, GPIO numbers.
            settings: channel, "left" or "right"; gain_db; others of [microphone].
        Raises:
            StapesError: a setting is wrong.
        """
        return _digital(dict(settings, kind="PDM", clock=clock, data=data))

    @staticmethod
    def adc(pin, **settings):
        """Return an analog microphone at an ADC's pin.

        Args:
            pin: int, GPIO number; on an RP2040 26 to 28.
            settings: gain_db; others of [microphone].
        Raises:
            StapesError: a setting is wrong.
        """
        return _digital(dict(settings, kind="ADC", pin=pin))


def _digital(table):
    from stapes.digital_microphone import DigitalMicrophone  # takes memory: not where a recording is heard
    from stapes.microphone_settings import Settings

    return DigitalMicrophone(Settings(table))
