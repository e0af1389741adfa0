"""`stapes transcribe`: a recording in, words, lattice and intent out."""

import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
from click.core import ParameterSource

from ..audio import read_recording
from ..convert.work import Work, work_of
from ..device.emulator import EMULATED_BOARD
from ..device.host import HostSession
from ..device.microphone_session import open_microphone
from ..device.opening import check_target, is_port, open_session
from ..device.session import PLAIN, Order, Session
from ..errors import TRAIN_TOOLS, UserError
from ..grammars import compiled
from ..lattice.formats import as_json, form_of, write_lattice
from ..models import REPO, default_model
from ..trace import Trace, trace_of
from ..trace import as_json as traced_as_json
from ..transcript import Transcript, event_as_json
from ..transcript import transcribe as run
from . import trace_view
from .boost import BOOST, BOOST_HELP
from .effort import EFFORT, EFFORT_HELP
from .render import LiveView, console, messages, print_table, print_transcript, waiting

GRAMMAR = REPO / "models" / "grammars" / "coffee.yaml"
_SHOWN = "-"  # --trace without a file
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
@click.option("--effort", type=EFFORT, metavar="%", help=EFFORT_HELP)
@click.option(
    "--context",
    "phrases",
    multiple=True,
    metavar="PHRASE",
    help="Words of the grammar that are likely now; may be given several times.",
)
@click.option("--boost", type=BOOST, metavar="NATS", help=BOOST_HELP)
@click.option(
    "--trace",
    is_flag=False,
    flag_value=_SHOWN,
    metavar="[FILE.json]",
    help="Show which branch ran and what each step cost; after FILE: write it as JSON.",
)
@click.option(
    "--trace-plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw log-mel, branch and cost."
)
@click.option(
    "--microphone",
    is_flag=True,
    help="Play FILE to the microphone of an emulated board (--on emulator), or through its audio path (--on host).",
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
    effort: int | None,
    phrases: tuple[str, ...],
    boost: float | None,
    trace: str | None,
    trace_plot: Path | None,
    microphone: bool,
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
    _check_trace(trace, trace_plot)
    model = model or default_model(grammar)
    if boost is not None and not phrases:
        raise UserError("--boost is given, but no --context", advice='write for instance --context "oat milk"')
    if not all(phrase.split() for phrase in phrases):
        raise UserError("--context has no words", advice='write for instance --context "oat milk"')
    order = Order(effort, trace is not None or trace_plot is not None, context=phrases or None, boost=boost)
    heard = recognise(
        recording, on, model=model, grammar=grammar, show=not as_object, order=order, microphone=microphone
    )
    if lattice:
        write_lattice(heard.transcript.lattice, lattice)
    steps = heard.trace(recording, _work(on, model), effort) if order.trace else None
    if steps:
        _write_trace(steps, heard.samples, trace, trace_plot)
    if as_object:
        shown = as_object_of(heard.transcript, nbest) | ({"trace": traced_as_json(steps)} if steps else {})
        json.dump(shown, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    print_transcript(heard.transcript, nbest)
    if steps and trace:
        _print_trace(steps)


def _check_trace(trace: str | None, plot: Path | None) -> None:
    """Say before the work where nothing can be written."""
    for path, suffix in ((None if trace in (None, _SHOWN) else Path(str(trace)), ".json"), (plot, ".png")):
        if path and path.suffix != suffix:
            advice = f"rename it; write the recording before --trace{'-plot' if suffix == '.png' else ''}"
            raise UserError(f"the trace's name does not end in {suffix}", path, advice)
        if path and not path.resolve().parent.is_dir():
            raise UserError("its folder does not exist", path, "make the folder, or choose another place")
    if plot and find_spec("matplotlib") is None:
        raise UserError("the package matplotlib is not installed", advice=f"run: {TRAIN_TOOLS}")


def _work(on: str, model: Path) -> Work | None:
    """What the model multiplies; a board at a port hears with a model that is not at hand."""
    return None if is_port(on) else work_of(model.read_bytes())


def _write_trace(steps: Trace, samples: np.ndarray, trace: str | None, plot: Path | None) -> None:
    if trace not in (None, _SHOWN):
        try:
            Path(str(trace)).write_text(json.dumps(traced_as_json(steps), ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", trace, "choose another place") from None
    if plot:
        from ..trace_plot import draw

        draw(steps, samples, plot)


def _print_trace(steps: Trace) -> None:
    console.print()
    print_table(trace_view.table(steps))
    for line in trace_view.notes(steps):
        console.print(line, markup=False, soft_wrap=True, style="dim")


def _refuse_files_for_port(context: click.Context, on: str) -> None:
    """A board at a port hears with what is in its flash: another model must not be silently ignored."""
    for name in ("model", "grammar"):
        if is_port(on) and context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            advice = f"leave --{name} out, or build an image with it: make firmware {name.upper()}=FILE, and flash that"
            raise UserError(f"--{name} cannot be sent to a board at a port", on, advice)


@dataclass(frozen=True)
class Heard:
    """A transcript, the samples it was made from (int16 [n]), and what the board said of itself."""

    transcript: Transcript
    samples: np.ndarray
    about: dict

    def trace(self, recording: Path, work: Work | None, effort: int | None) -> Trace:
        """Return the steps, which the order must have asked for. Raises BoardError."""
        return trace_of(self.transcript, self.about, self.samples, recording, work=work, effort=effort)


def recognise(
    recording: Path,
    on: str,
    *,
    model: Path,
    grammar: Path,
    show: bool,
    speed: float | None = None,
    order: Order = PLAIN,
    microphone: bool = False,
) -> Heard:
    """Run one recording, live on the terminal if show; with microphone it is played to the board's.

    Raises:
        UserError, BoardError, DeviceError: anything that is wrong.
    """
    samples = read_recording(recording)
    check_target(on)
    graph = compiled(grammar, show)
    names = {str(graph): str(grammar)}
    with (
        waiting(f"starting {on}", show),
        _open(on, model, graph, speed=speed, names=names, microphone=microphone) as session,
    ):
        about = session.connect()
        if show and about["kernels"] != "stapes_kernels":
            messages.print("The kernels run in plain Python, some 300 times slower: build them with make unix-module")
        view = LiveView(len(samples), show)
        with view:
            return Heard(run(samples, session, [view.event], view.progress, order), samples, about)


def _open(
    on: str, model: Path, graph: Path, *, speed: float | None, names: dict[str, str], microphone: bool
) -> Session | HostSession:
    if microphone:
        return open_microphone(on, EMULATED_BOARD, model, graph, names)
    return open_session(on, model, graph, speed, names)


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
