"""`stapes endpoint`: end-pointers for a model and what is said to it, and what it rejects."""

import contextlib
import json
import os
from pathlib import Path

import click
import stapes_spec as spec

from ..convert.metadata import decode_metadata, with_settings
from ..corpora import progress
from ..endpoint.thresholds import Goals
from ..errors import UserError
from ..evaluate import rejection_report
from ..evaluate.folder import read_folder
from ..evaluate.idle import recordings_of
from ..evaluate.rejection import Trial, hear_orders, hear_others
from ..grammars import compiled
from .eval import check_picture, conditions_of, progress_bars, written
from .files import about, read_file, write_file
from .render import console, print_table

_FILE = click.Path(path_type=Path)
_REJECTION = click.FloatRange(0, spec.LIMITS_REJECTION)
_TRIED = (0.0, *(k / 2 for k in range(4, 17)))  # nats per word


@click.group(short_help="Tune when an utterance counts as finished, and as meant.")
def endpoint() -> None:
    """End-pointers: when the speaker seems to have finished, and when they have; and whether a command was meant."""


@endpoint.command(short_help="Train and calibrate a model's end-pointers for a grammar.")
@click.argument("model", type=_FILE, metavar="MODEL.tflite")
@click.option("--grammar", type=_FILE, metavar="FILE.yaml", required=True, help="What may be said.")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Default: MODEL.tflite itself.")
@click.option("--seed", default=61, show_default=True, help="Of all that is drawn.")
@click.option("--commands", type=click.IntRange(8), default=480, show_default=True, help="How many are spoken.")
@click.option("--engine", "engines", multiple=True, help="Who speaks; default: flite, espeak-ng and hibari.")
@click.option(
    "--data", "root", type=_FILE, default=Path("../shared/data"), show_default=True, help="Noise, rooms, speech."
)
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True, help="Of training.")
@click.option(
    "--early", type=click.FloatRange(0, 100), default=100 * Goals.early, show_default=True, help="Most cut off, %."
)
@click.option(
    "--revised",
    type=click.FloatRange(0, 100),
    default=100 * Goals.revised,
    show_default=True,
    help="Most revisions, %.",
)
@click.option("--threads", default=1, show_default=True, help="Of training, and processes for speaking.")
def tune(
    *,
    model: Path,
    grammar: Path,
    output: Path | None,
    seed: int,
    commands: int,
    engines: tuple[str, ...],
    root: Path,
    epochs: int,
    early: float,
    revised: float,
    threads: int,
) -> None:
    """Put a net and thresholds that decide when an utterance is over into MODEL.tflite.

    Commands of the grammar are spoken by fast synthesisers, joined with pauses and put into silence and
    noise, so that their ends are known; read speech where --data has some. See docs/endpoints.md.
    """
    from ..train.threads import choose_backend

    choose_backend(None, threads)
    from ..endpoint.tune import ENGINES, Options
    from ..endpoint.tune import tune as run

    goals = Goals(early=early / 100, revised=revised / 100)
    options = Options(seed, commands, engines or ENGINES, root, epochs, threads, goals)
    data = read_file(model)
    with progress.on_terminal(), contextlib.ExitStack() as stack:
        stack.enter_context(about(model))
        done = run(data, grammar, options)
    write_file(output or model, done.data)
    console.print(f"{output or model}: {len(data):,} bytes -> {len(done.data):,}", soft_wrap=True, markup=False)
    for line in _report(done):
        console.print(line, soft_wrap=True, markup=False)


def _report(done) -> list[str]:
    found = done.expected
    final, speculative = found.final_latency_ms, found.speculative_latency_ms
    lines = [
        f"{done.recordings} recordings, {done.minutes:.0f} minutes; on {done.understood} of the {done.spoken} commands "
        "that the net was not trained on, those that are understood:"
    ]
    if final and speculative:
        lines.append(
            f"final {final.median:.0f} ms after the end (median; 90 %: {final.p90:.0f} ms), "
            f"speculative {speculative.median:.0f} ms ({speculative.p90:.0f} ms)"
        )
    lines.append(f"{100 * found.early_cut_rate:.1f} % cut off, {100 * found.revised_rate:.1f} % revised")
    lines.append(f"rejected as not meant: what is doubted by more than {done.rejection:g} nats per word")
    return lines


@endpoint.command(short_help="What rejecting doubtful commands costs and is worth; set how much.")
@click.argument("model", type=_FILE, metavar="MODEL.tflite")
@click.option("--set", "wanted", type=_REJECTION, metavar="NATS", help="Write this rejection into the file; 0: none.")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Where --set writes; default: MODEL.tflite itself.")
@click.option("--grammar", type=_FILE, metavar="FILE", help="What may be said (.yaml, .stg).")
@click.option("--orders", type=_FILE, metavar="DIR", help="Labelled commands, as `stapes eval` takes them.")
@click.option("--others", type=_FILE, metavar="DIR", help="Recordings in which nobody says a command, or one of them.")
@click.option("--noise", type=_FILE, metavar="FILE", help="Hear the orders in noise, too.")
@click.option("--snr", metavar="DB,…", help="As `stapes eval` has it.")
@click.option("--plot", type=_FILE, metavar="FILE.png", help="Draw orders and false alarms over the rejection.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Of orders, and of others, only the first N.")
@click.option("--processes", type=click.IntRange(1), help="Recognise so many at once; default: one per core.")
def rejection(
    *,
    model: Path,
    wanted: float | None,
    output: Path | None,
    grammar: Path | None,
    orders: Path | None,
    others: Path | None,
    noise: Path | None,
    snr: str | None,
    plot: Path | None,
    as_object: bool,
    limit: int | None,
    processes: int | None,
) -> None:
    """Set how much doubt MODEL.tflite bears before it takes a command for not meant, or see what each amount does.

    Doubt is told in nats per word; see docs/rejection.md.
    """
    data = read_file(model)
    if wanted is not None:
        if orders or others or plot or as_object:
            raise UserError("--set writes, and measures nothing", advice="measure first, then run it with --set alone")
        _set_rejection(data, model, output or model, wanted)
        return
    if output:
        raise UserError("-o has nothing to write", output, "add --set NATS, or leave it out")
    if grammar is None or not (orders or others):
        raise UserError(
            "there is nothing to measure", advice="give --grammar FILE and --orders DIR, --others DIR, or --set"
        )
    if plot:
        check_picture(plot)
    conditions = conditions_of(noise, snr)
    compiled_grammar = compiled(grammar, not as_object)
    folder = read_folder(orders, limit) if orders else None
    if folder and not folder.has_commands:
        raise UserError("holds no labelled commands", orders, "give a folder with refs.json")
    paths = recordings_of(others)[:limit] if others else []
    trial = Trial(data, compiled_grammar, str(grammar), processes or os.cpu_count() or 1)
    with progress_bars() as track, about(model):
        own = decode_metadata(data).rejection / (1 << spec.Q_LOG_PROB_FRACTION_BITS)
        heard = list(hear_orders(trial, folder, conditions, track)) if folder else []
        alarms = hear_others(trial, paths, track) if paths else None
    found = rejection_report.Found(own, sorted({*_TRIED, own}), heard, alarms)
    if plot:
        with written(plot):
            rejection_report.draw(found, plot, f"{model.resolve().parent.name}/{model.name}")
    if as_object:
        click.echo(json.dumps(rejection_report.as_json(found), ensure_ascii=False))
        return
    print_table(rejection_report.table(found))
    console.print("rejection: nats of doubt per word; *: the model's own", style="dim")


def _set_rejection(data: bytes, model: Path, output: Path, wanted: float) -> None:
    with about(model):
        changed = with_settings(data, rejection=wanted)
    write_file(output, changed)
    console.print(f"{output}: rejection {wanted:g}", soft_wrap=True, markup=False)
