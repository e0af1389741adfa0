"""Sound as a microphone says it: words for an emulated one, and what the board's path makes of them.

The recording's first sample comes when the board begins to listen, after the microphone has woken up. Its level is
that of the samples at the end of the path: a microphone whose gain_db is 24 is spoken to 24 dB more softly.
"""

import tempfile
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import stapes_spec as spec
from stapes.audio_path import AudioPath
from stapes.microphone_settings import RIGHT, Settings

from .. import kernels
from .boards import Board

_STEP = spec.FRONTEND_STEP_SAMPLES
_NOISE = 6.0  # of a microphone itself, standard deviation in units of 24 bits
_SEED = 7
_PDM_MOST = 0.7  # of full scale, beyond which the modulator is not stable
_ASLEEP_MS = {"INMP441": 256, "ICS-43434": 5}
TAIL_S = 3.0  # of silence behind a recording, so that the end-pointer decides


@dataclass(frozen=True)
class Sound:
    """What an emulated microphone says.

    Attributes:
        settings: the board's.
        words: uint32 [n], as they are at the pins: 24 bits (I2S), 12 bits (ADC), 32 bits of PDM.
        lead: words before the recording begins.
        idle: what the data wire is when nobody drives it, 0 or 1.
    """

    settings: Settings
    words: np.ndarray
    lead: int
    idle: int = 0

    @property
    def words_per_sample(self) -> int:
        """Words that make a sample."""
        return spec.PDM_SAMPLE_WORDS if self.settings.bus == "pdm" else 1

    def order(self, folder: Path) -> dict[str, Any]:
        """What the emulator's process is told, see emulated_microphone.attach; writes the words into folder."""
        settings = self.settings
        return {
            "bus": settings.bus,
            "pins": list(settings.pins),
            "right": settings.channel == RIGHT,
            "late": settings.bus == "i2s" and settings.config[0] == 1,
            "idle": self.idle,
            "file": str(self.write(folder)),
        }

    def write(self, folder: Path) -> Path:
        """Write the words into a folder as the emulator's process reads them; return the file."""
        file = folder / "microphone.words"
        file.write_bytes(self.words.astype("<u4").tobytes())
        return file


def board_settings(board: Board) -> Settings:
    """The microphone of a board.

    Raises:
        stapes.errors.StapesError: its settings are wrong.
    """
    return Settings(board.tables.get("microphone", {}), "rp2" if board.port == "rp2" else board.port)


def sound_of(samples: np.ndarray, settings: Settings, offset: int = 0, tail_s: float = TAIL_S) -> Sound:
    """Return what a microphone says of a recording.

    Args:
        samples: int16 [n], 16 kHz.
        settings: the microphone's.
        offset: its DC offset, 2^23 is full scale.
        tail_s: silence behind the recording.
    """
    lead = settings.startup_steps * _STEP
    tail = int(tail_s * spec.AUDIO_SAMPLE_RATE_HZ)
    level = np.concatenate([np.zeros(lead), samples.astype(float) * 2.0 ** (8 - settings.gain), np.zeros(tail)])
    random = np.random.default_rng(_SEED)
    level = np.rint(level + offset + random.normal(0, _NOISE, len(level)))
    level = np.clip(level, -(1 << 23), (1 << 23) - 1).astype(np.int64)
    level[: _ASLEEP_MS.get(settings.kind, 0) * spec.AUDIO_SAMPLE_RATE_HZ // 1000] = 0
    if settings.bus == "pdm":
        words = _modulated(np.clip(level / float(1 << 23), -_PDM_MOST, _PDM_MOST))
        return Sound(settings, words, lead * spec.PDM_SAMPLE_WORDS)
    if settings.bus == "adc":
        return Sound(settings, ((level >> 12) + 2048).astype(np.uint32), lead)
    _, bits, *_ = settings.config
    return Sound(settings, (level & 0xFFFFFF & ~((1 << (24 - bits)) - 1)).astype(np.uint32), lead)


def _modulated(level: np.ndarray) -> np.ndarray:
    """Return the bits of a second-order sigma-delta modulator, 64 to a sample, 32 to a word."""
    wanted = np.interp(np.arange(64 * len(level)) / 64, np.arange(len(level)), level)
    bits = np.zeros(len(wanted), np.uint8)
    first = second = 0.0
    back = 1.0
    for k, value in enumerate(wanted.tolist()):
        first += value - back
        second += first - 2 * back
        if second >= 0:
            back = 1.0
            bits[k] = 1
        else:
            back = -1.0
    return np.packbits(bits).view(">u4").astype(np.uint32)


def heard(sound: Sound) -> np.ndarray:
    """Return the samples that a board hears of a sound, int16: those of the path, bit for bit.

    Whole steps only; what comes while the microphone wakes up is not heard.
    """
    settings, step = sound.settings, _STEP * sound.words_per_sample
    path = AudioPath(settings, kernels)
    words = _slots(sound)
    found = array("h")
    for begin in range(step, len(words) - step + 1, step):  # the first step is not heard
        samples = array("h", [0] * _STEP)
        path.convert(array("I", words[begin : begin + step].tolist()), samples)
        if begin >= sound.lead:
            found.extend(samples)
    return np.array(found, np.int16)


def _slots(sound: Sound) -> np.ndarray:
    """Words as DMA puts them into the ring."""
    if sound.settings.bus != "i2s":
        return sound.words
    idle = 0xFF if sound.idle else 0
    shift = sound.settings.config[0]
    slots = (sound.words.astype(np.uint64) << 8 | idle) >> shift
    return (slots & 0xFFFFFFFF).astype(np.uint32)


def folder_for_words() -> tempfile.TemporaryDirectory:
    """A folder to keep words in while a board runs."""
    return tempfile.TemporaryDirectory(prefix="stapes-microphone-")
