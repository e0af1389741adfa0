"""`stapes eval`: how well a model does on a folder of recordings."""

import importlib.util
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import TRAIN_TOOLS, UserError
from ..evaluate import report
from ..evaluate.folder import Folder, read_folder
from ..evaluate.likely import NOTHING_LIKELY, Likely
from ..evaluate.noise import CLEAN, Condition
from ..evaluate.run import MOST_HEARINGS, Row, Setup, Track, evaluate
from ..grammars import compiled
from ..models import GENERAL, default_model
from .boost import BOOST, BOOST_HELP
from .effort import EFFORT, EFFORT_HELP, EFFORTS, efforts_of
from .eval_idle import eval_idle
from .render import console, messages, print_table
from .transcribe import MODEL_HELP

_SNRS = "6,12,24"
_SNR_RANGE_DB = (-60.0, 100.0)
_LONGEST_LEAD_S = 60.0
_file = click.Path(path_type=Path)


@click.command("eval", short_help="Command acceptance and word error rate on a folder of recordings.")
@click.argument("directory", type=_file, metavar="DIR")
@click.option("--grammar", type=_file, metavar="FILE", help="What may be said (.yaml, .stg); without: free words only.")
@click.option("--model", type=_file, metavar="FILE", help=f"{MODEL_HELP} Also a checkpoint (.npz), in float.")
@click.option("--noise", type=_file, metavar="FILE", help="A recording of noise: adds a row for each SNR.")
@click.option("--snr", metavar="DB,…", help=f"Speech over noise, by the loudest frames; default: {_SNRS}.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--wrong", is_flag=True, help="List what was not accepted.")
@click.option("--processes", type=click.IntRange(1), help="Recognise so many at once; default: one per core.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take only the first N recordings.")
@click.option(
    "--hearings",
    type=click.IntRange(1, MOST_HEARINGS),
    default=1,
    metavar="N",
    help="Hear each recording N times, each time milliseconds later and in other noise: figures depend less on chance.",
)
@click.option(
    "--lead",
    type=click.FloatRange(0, _LONGEST_LEAD_S),
    default=0.0,
    metavar="S",
    help="Before each recording hear the noise alone, or silence, for S seconds: a board listens all the time.",
)
@click.option(
    "--grammar-only", is_flag=True, help="Leave the search without a grammar out: done in a third of the time."
)
@click.option("--effort", type=EFFORT, metavar="%", help=EFFORT_HELP)
@click.option(
    "--context", type=_file, metavar="FILE.txt", help="Phrases that are likely, one a line (docs/context.md)."
)
@click.option(
    "--context-labels",
    type=click.IntRange(0),
    metavar="N",
    help="In each recording its own labels are likely, and N others of the folder.",
)
@click.option("--boost", type=BOOST, metavar="NATS", help=BOOST_HELP)
@click.option("--sweep", type=click.Choice(["effort"]), help="A row for each effort: accuracy against cost.")
@click.option("--efforts", metavar="%,…", help=f"What --sweep tries; default: {EFFORTS}.")
@click.option("--plot", type=_file, metavar="FILE.png", help="Draw acceptance against SNR, or cost; or latencies.")
@click.option("--endpoints", is_flag=True, help="Measure when end-pointers decide, instead (docs/endpoints.md).")
@click.option("--idle", is_flag=True, help="Nobody says a command in DIR (or FILE): count those understood, instead.")
def evaluation(
    *,
    directory: Path,
    grammar: Path | None,
    model: Path | None,
    noise: Path | None,
    snr: str | None,
    as_object: bool,
    wrong: bool,
    processes: int | None,
    limit: int | None,
    hearings: int,
    lead: float,
    grammar_only: bool,
    effort: int | None,
    context: Path | None,
    context_labels: int | None,
    boost: float | None,
    sweep: str | None,
    efforts: str | None,
    plot: Path | None,
    endpoints: bool,
    idle: bool,
) -> None:
    """Recognise the recordings in DIR and score them against its refs.json.

    The integer model runs through the kernels that boards run. refs.json holds {"NAME": {"slots":
    {...}, "text": "..."}}; a folder of read speech with a Kaldi `text` file or a text.tsv gets word
    error rates only. See docs/evaluation.md.
    """
    others: dict[str, object] = {
        "--hearings": hearings > 1,
        "--lead": lead > 0,
        "--grammar-only": grammar_only,
        "--effort": effort is not None,
        "--sweep": sweep,
        "--efforts": efforts,
        "--context": context,
        "--context-labels": context_labels is not None,
        "--boost": boost is not None,
    }
    if idle:
        _check_alone(
            "--idle", grammar, {**others, "--endpoints": endpoints, "--noise": noise, "--snr": snr, "--plot": plot}
        )
        assert grammar is not None
        with progress_bars() as track:
            eval_idle(
                directory,
                model=model or default_model(grammar),
                graph=compiled(grammar, not as_object),
                as_object=as_object,
                wrong=wrong,
                processes=processes or os.cpu_count() or 1,
                limit=limit,
                track=track,
            )
        return
    if endpoints:
        _check_alone("--endpoints", grammar, {**others, "--wrong": wrong})
        assert grammar is not None
        eval_endpoints(
            directory,
            grammar=grammar,
            model=model,
            conditions=conditions_of(noise, snr),
            as_object=as_object,
            processes=processes,
            limit=limit,
            plot=plot,
        )
        return
    _require("jiwer", "make demo")
    _require("wordfreq", "make demo")
    if grammar_only and grammar is None:
        raise UserError("--grammar-only has no grammar", advice="add --grammar FILE")
    folder = read_folder(directory, limit)
    if folder.left_out:
        messages.print(f"left out because their transcripts hold numbers in digits: {folder.left_out}")
    conditions = conditions_of(noise, snr)
    tried = _efforts(effort, sweep, efforts)
    likely = _likely(context, context_labels, boost, grammar)
    if plot:
        _check_plot(plot, grammar, folder)
    graph = compiled(grammar, not as_object) if grammar else None
    model = model or default_model(grammar or Path(GENERAL))
    cores = processes or os.cpu_count() or 1
    free = not (sweep or grammar_only)
    setup = Setup(model, graph, str(grammar), conditions, cores, tried, free, likely, hearings, lead)
    with progress_bars() as track:
        rows = list(evaluate(folder, setup, track))
    if plot:
        where = f"{directory.resolve().name}, {noise.stem} noise" if noise else directory.resolve().name
        _draw(rows, plot, bool(sweep), f"{model.resolve().parent.name}/{model.name} on {where}")
    if as_object:
        click.echo(json.dumps({"rows": [report.as_json(row, wrong) for row in rows]}, ensure_ascii=False))
    else:
        _print(rows, model, bool(sweep), wrong)


def _check_alone(measure: str, grammar: Path | None, others: Mapping[str, object]) -> None:
    """Refuse what does not go with another kind of measurement."""
    for name, given in others.items():
        if given:
            raise UserError(f"{measure} does not go with {name}", advice=f"leave {name} out")
    if grammar is None:
        raise UserError(f"{measure} needs to know what may be said", advice="add --grammar FILE")


def _likely(context: Path | None, labels: int | None, boost: float | None, grammar: Path | None) -> Likely:
    """What the options say is likely. Raises UserError: they contradict each other, or the file is no list."""
    if context is None and labels is None:
        if boost is not None:
            raise UserError("--boost is given, but no --context", advice="add --context FILE.txt")
        return NOTHING_LIKELY
    if grammar is None:
        raise UserError("a context needs a grammar, whose words its phrases are", advice="add --grammar FILE")
    return Likely(_phrases(context) if context else (), labels, boost)


def _phrases(context: Path) -> tuple[str, ...]:
    """Read the phrases of --context, one a line. Raises UserError."""
    try:
        lines = context.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"cannot be read ({why})", context, "give a text file with a phrase on each line") from None
    phrases = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not phrases:
        raise UserError("holds no phrases", context, "write a phrase on each line")
    return phrases


def _efforts(effort: int | None, sweep: str | None, efforts: str | None) -> Sequence[int | None]:
    """Which efforts the options ask for, at least one. Raises UserError: they contradict each other."""
    if sweep:
        if effort is not None:
            raise UserError("--effort and --sweep exclude each other", advice=f"write --efforts {effort} for one row")
        return efforts_of(EFFORTS if efforts is None else efforts)
    if efforts is not None:
        raise UserError("--efforts has no sweep", advice="add --sweep effort")
    return [effort]


def eval_endpoints(
    directory: Path,
    *,
    grammar: Path,
    model: Path | None,
    conditions: list[Condition],
    as_object: bool,
    processes: int | None,
    limit: int | None,
    plot: Path | None,
) -> None:
    """`stapes eval --endpoints`."""
    from ..evaluate import endpoint_report
    from ..evaluate.endpoints import evaluate_endpoints

    if plot:
        check_picture(plot)
    folder = read_folder(directory, limit)
    graph = compiled(grammar, not as_object)
    model = model or default_model(grammar)
    with progress_bars() as track:
        setup = Setup(model, graph, str(grammar), conditions, processes or os.cpu_count() or 1)
        found = evaluate_endpoints(folder, setup, track)
        rows = list(found)
    if plot:
        title = f"{model.resolve().parent.name}/{model.name} on {directory.resolve().name}"
        with written(plot):
            endpoint_report.draw(rows, plot, title)
    if as_object:
        click.echo(json.dumps(endpoint_report.as_json(rows), ensure_ascii=False))
        return
    print_table(endpoint_report.table(rows))
    for line in endpoint_report.notes(rows):
        console.print(line, markup=False, soft_wrap=True, style="dim")


def conditions_of(noise: Path | None, snr: str | None) -> list[Condition]:
    """Return clean speech, then one condition for each SNR of the options.

    Raises:
        UserError: --snr is not a list of numbers, or there is no noise to go with it.
    """
    if noise is None:
        if snr is not None:
            raise UserError("--snr has no noise to mix", advice="add --noise FILE")
        return [CLEAN]
    return [CLEAN, *(Condition(noise, snr_db) for snr_db in _snrs(_SNRS if snr is None else snr))]


def _snrs(text: str) -> list[float]:
    """Read a list of dB; what is given twice counts once."""
    low, high = _SNR_RANGE_DB
    found = []
    for item in text.split(","):
        try:
            value = float(item)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            what = f"{item.strip()!r} in --snr is not a number of dB from {low:g} to {high:g}"
            raise UserError(what, advice=f"write for instance --snr {_SNRS}")
        found.append(value)
    return list(dict.fromkeys(found))


def _require(package: str, install: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"the package {package} is not installed", advice=f"run: {install}")


def check_picture(plot: Path) -> None:
    """Say before the work that the picture cannot be drawn."""
    _require("matplotlib", TRAIN_TOOLS)
    if plot.suffix != ".png":
        raise UserError("the picture's name does not end in .png", plot, "rename it")
    if not plot.resolve().parent.is_dir():
        raise UserError("its folder does not exist", plot, "make the folder, or choose another place")


def _check_plot(plot: Path, grammar: Path | None, folder: Folder) -> None:
    check_picture(plot)
    if grammar is None or not folder.has_commands:
        advice = "give --grammar FILE and a folder with refs.json, or leave --plot out"
        raise UserError("there is no command acceptance to draw", plot, advice)


def _draw(rows: list[Row], plot: Path, sweep: bool, title: str) -> None:
    from ..evaluate import effort_plot
    from ..evaluate import plot as acceptance_plot

    with written(plot):
        (effort_plot if sweep else acceptance_plot).draw(rows, plot, title)


@contextmanager
def written(plot: Path) -> Iterator[None]:
    """Say in one line that a picture cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", plot, "choose another place") from None


@contextmanager
def progress_bars() -> Iterator[Track]:
    """Show bars on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        yield lambda things, total, what: progress.track(things, total, description=what)


def _print(rows: list[Row], model: Path, sweep: bool, wrong: bool) -> None:
    lines = [line for row in rows for line in report.mistakes(row)] if wrong else []
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    print_table(report.effort_table(rows) if sweep else report.table(rows))
    for line in report.effort_notes(rows, model.name) if sweep else report.notes(rows, model.name):
        console.print(line, markup=False, soft_wrap=True, style="dim")
