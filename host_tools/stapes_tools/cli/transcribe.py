"""`stapes transcribe`: a recording in, words, lattice and intent out."""

import json
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from ..audio import read_recording
from ..device.opening import check_target, is_port, open_session
from ..errors import UserError
from ..grammars import compiled
from ..lattice.formats import as_json, form_of, write_lattice
from ..models import REPO, default_model
from ..transcript import Transcript, event_as_json
from ..transcript import transcribe as run
from .render import LiveView, messages, print_transcript, waiting

GRAMMAR = REPO / "models" / "grammars" / "coffee.yaml"
MODEL_HELP = "Acoustic model (.tflite); default: models/coffee for coffee grammars, else models/general."


@click.command(short_help="Recognise a recording and show words, lattice, intent and slots.")
@click.argument("recording", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--on",
    default="unix",
    show_default=True,
    metavar="BOARD",
    help="unix, host, emulator, a serial port, or tcp:// or tls:// address.",
)
@click.option("--model", type=click.Path(path_type=Path), help=MODEL_HELP)
@click.option(
    "--grammar",
    type=click.Path(path_type=Path),
    default=GRAMMAR,
    help="What may be said (.yaml or .stg); default: models/grammars/coffee.yaml.",
)
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--lattice",
    type=click.Path(path_type=Path),
    help="Write the lattice: FILE.json, .lat (Kaldi), .slf (HTK), .dot, .txt, .svg or .stl (binary).",
)
@click.option("--nbest", type=click.IntRange(0), default=0, metavar="N", help="Show the N best hypotheses.")
@click.pass_context
def transcribe(
    context: click.Context,
    *,
    recording: Path,
    on: str,
    model: Path | None,
    grammar: Path,
    as_object: bool,
    lattice: Path | None,
    nbest: int,
) -> None:
    """Recognise FILE, a 16 kHz mono WAV, FLAC or Ogg Opus recording of one utterance.

    The recording goes through the board package: under MicroPython's unix port (--on unix), in this
    process (host), in an emulated RP2040 (emulator) or on a board at a serial port. All of them give
    the same lattice. A board at a port uses the model and the grammar that were flashed with it.
    """
    _refuse_files_for_port(context, on)
    if lattice:
        form_of(lattice)  # an unknown suffix is said before the work, not after it
    transcript = recognise(recording, on, model=model or default_model(grammar), grammar=grammar, show=not as_object)
    if lattice:
        write_lattice(transcript.lattice, lattice)
    if as_object:
        json.dump(as_object_of(transcript, nbest), sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_transcript(transcript, nbest)


def _refuse_files_for_port(context: click.Context, on: str) -> None:
    """A board at a port hears with what is in its flash: another model must not be silently ignored."""
    for name in ("model", "grammar"):
        if is_port(on) and context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            advice = f"leave --{name} out, or build an image with it: make firmware {name.upper()}=FILE, and flash that"
            raise UserError(f"--{name} cannot be sent to a board at a port", on, advice)


def recognise(
    recording: Path, on: str, *, model: Path, grammar: Path, show: bool, speed: float | None = None
) -> Transcript:
    """Run one recording, live on the terminal if show.

    Raises:
        UserError, BoardError, DeviceError: anything that is wrong.
    """
    samples = read_recording(recording)
    check_target(on)
    graph = compiled(grammar, show)
    names = {str(graph): str(grammar)}
    with waiting(f"starting {on}", show), open_session(on, model, graph, speed, names) as session:
        about = session.connect()
        if show and about["kernels"] != "stapes_kernels":
            messages.print("The kernels run in plain Python, some 300 times slower: build them with make unix-module")
        view = LiveView(len(samples), show)
        with view:
            return run(samples, session, [view.event], view.progress)


def as_object_of(transcript: Transcript, nbest: int = 0) -> dict:
    """Return what `--json` prints."""
    shown = {
        "text": transcript.text,
        "intent": transcript.intent,
        "slots": transcript.slots,
        "lattice": as_json(transcript.lattice),
        "events": [event_as_json(event) for event in transcript.events],
        "on": transcript.on,
    }
    if nbest:
        best = transcript.lattice.nbest(nbest)
        shown["nbest"] = [{"text": one.text, "score": one.score, "slots": one.slots} for one in best]
    return shown
