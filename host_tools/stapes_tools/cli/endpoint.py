"""`stapes endpoint tune`: end-pointers for a model and what is said to it."""

import contextlib
from pathlib import Path

import click

from ..corpora import progress
from ..endpoint.thresholds import Goals
from .files import about, read_file, write_file
from .render import console

_FILE = click.Path(path_type=Path)


@click.group(short_help="Tune when an utterance counts as finished.")
def endpoint() -> None:
    """End-pointers: when the speaker seems to have finished, and when they have."""


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
