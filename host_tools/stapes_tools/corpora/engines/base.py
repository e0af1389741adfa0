"""What every synthesiser gives, and what they share: programs, packages, waves from programs."""

import importlib.util
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from stapes_tools.errors import UserError

Speech = tuple[np.ndarray, int]
"""Samples (float32 or int16 [n], any scale) and their rate in Hz."""

_TIMEOUT_S = 60  # for a sentence; the slowest engine speaks at four times real time


class EngineMissingError(UserError):
    """A synthesiser, or one of its voices, is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Engine:
    """One synthesiser.

    Args:
        name: what comes before the slash of a voice.
        voices: names that training may use; the held-out ones are in stapes_tools.corpora.voices.
        speak: (text, voice name, source of all choices) -> speech; raises EngineMissingError.
        needs: programs on the path.
        packages: importable Python packages.
        install: the command that installs it.
        repeats: whether equal choices give equal speech.
    """

    name: str
    voices: tuple[str, ...]
    speak: Callable[[str, str, random.Random], Speech]
    install: str
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    repeats: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether its programs and packages can be found; nothing is loaded."""
        return all(map(shutil.which, self.needs)) and all(map(importlib.util.find_spec, self.packages))


def missing(what: str, install: str) -> EngineMissingError:
    """The error for something that is not installed."""
    return EngineMissingError(f"the synthesiser {what} is not installed", advice=f"run: {install}")


def program(name: str, install: str) -> str:
    """Path of a program.

    Raises:
        EngineMissingError: it is not on the path.
    """
    path = shutil.which(name)
    if path is None:
        raise missing(name, install)
    return path


def run(command: Sequence[str], text: str | None = None) -> bytes:
    """Run a synthesiser's program and return its standard output.

    Raises:
        UserError: it failed or took too long; the message quotes its last words.
    """
    name = Path(command[0]).name
    given = None if text is None else text.encode()
    try:
        return subprocess.run(command, input=given, check=True, capture_output=True, timeout=_TIMEOUT_S).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(f"{name} failed: {said[-1] if said else f'exit code {error.returncode}'}") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} took more than {_TIMEOUT_S} s", advice="give shorter sentences") from None


def speech_in_file(command: Sequence[str], text: str | None = None) -> Speech:
    """Run a program that writes a wave file, the last of its arguments being `-o` and added here.

    Returns:
        Speech: no samples if it wrote none.
    """
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "speech.wav"
        run([*command, "-o", str(wave)], text)
        if not wave.exists() or wave.stat().st_size <= 44:
            return np.zeros(0, np.float32), 0
        return soundfile.read(wave, dtype="float32")
