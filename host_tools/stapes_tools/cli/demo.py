"""`stapes demo`: one recording through the board package, live."""

import os
import random
from pathlib import Path

import click

from ..errors import UserError
from ..models import REPO, default_model
from .render import print_transcript
from .transcribe import GRAMMAR, recognise

_ORDERS = REPO.parent / "shared" / "data" / "barista_dev"
_SAMPLES = REPO / "models" / "samples"
SAMPLE = _SAMPLES / "coffee_espresso.flac"
_SPEED = 1.5  # of the speaker's


@click.command(short_help="Play a recording into the board package and show what it says.")
@click.option("--any", "chosen_at_random", is_flag=True, help="Take another recording each time.")
def demo(chosen_at_random: bool) -> None:
    """Play a recording into the board package under MicroPython's unix port, live."""
    recording, grammar = choose(chosen_at_random)
    click.echo(f"Playing {shown(recording)} into the board package on MicroPython's unix port.\n")
    heard = recognise(recording, "unix", model=default_model(grammar), grammar=grammar, show=True, speed=_SPEED)
    print_transcript(heard.transcript)
    click.echo(_next_steps(recording, grammar))


def choose(at_random: bool = False) -> tuple[Path, Path]:
    """Return a recording and the grammar it belongs to: a real order where there is one, else a sample.

    Raises:
        UserError: there is none.
    """
    for folder, grammar in ((_ORDERS, _ORDERS / "coffee_maker.yaml"), (_SAMPLES, GRAMMAR)):
        found = sorted(path for path in folder.glob("*") if path.suffix in (".wav", ".flac", ".opus", ".ogg"))
        if found and grammar.is_file():
            return (random.choice(found) if at_random else found[0]), grammar
    raise UserError("there are no recordings", _SAMPLES, "get the whole repository, models/samples included")


def shown(path: Path) -> str:
    """Return a path as one would type it in the repository's root."""
    return os.path.relpath(path, REPO)


def _next_steps(recording: Path, grammar: Path) -> str:
    command = ".venv/bin/stapes"
    with_grammar = "" if grammar == GRAMMAR else f" --grammar {shown(grammar)}"
    return f"""
What to try next:
  {command} demo --any
      another recording
  {command} transcribe YOURS.wav
      a 16 kHz mono recording of yours
  {command} transcribe {shown(recording)}{with_grammar} --on emulator
      the same recording on an emulated RP2040
  {command} grammar models/grammars/coffee.yaml --sample 5
      what one may say to it"""
