"""`stapes bench`: what recognition costs."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import stapes_spec as spec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ..audio import read_recording
from ..bench import host, kernels
from ..bench.board import CLOCKS_HZ, FOLLOWED, BoardCost, measure, measure_listening
from ..bench.duty import measure_duty
from ..bench.kernels import HOST, RP2040, Row
from ..bench.listening import FLASH, MICROPHONE
from ..bench.plot import draw, draw_stages
from ..bench.profile import per_second
from ..device.firmware import build_firmware
from ..errors import TRAIN_TOOLS, UserError
from ..grammars import compiled
from ..models import default_model
from .demo import SAMPLE
from .render import LiveView, console, messages, waiting
from .transcribe import GRAMMAR, MODEL_HELP

_LINK = "link"
_DUTY = "main"
_BESIDE = {
    MICROPHONE: "heard by its microphone",
    _LINK: "sent by the host",
    _DUTY: "heard by main.py, with link, LED and watchdog",
}
_SHOWN_BESIDE = ("cycles_per_audio_second", "worst_step_ms", "real_time_factor")


@click.group(short_help="Measure what recognition costs.")
def bench() -> None:
    """Measure what recognition costs. Counts are emulated cycles and bytes: the same on every run."""


@bench.command(short_help="Cycles, memory and flash traffic of a recording on the emulated RP2040.")
@click.argument("recording", type=click.Path(path_type=Path), default=SAMPLE, metavar="[FILE]")
@click.option("--model", type=click.Path(path_type=Path), help=MODEL_HELP)
@click.option("--grammar", type=click.Path(path_type=Path), default=GRAMMAR, help="What may be said (.yaml or .stg).")
@click.option(
    "--source",
    type=click.Choice([MICROPHONE, FLASH, _LINK]),
    help="Where the sound comes from: the board's flash, its microphone, or the host. Default: its flash, so that "
    "recognition alone is counted; then the others beside it, and the whole image as it listens by itself.",
)
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw what each stage costs.")
def board(  # noqa: PLR0917
    recording: Path, model: Path | None, grammar: Path, source: str | None, as_object: bool, plot: Path | None
) -> None:
    """Run FILE, by default a sample order, through the firmware on an emulated RP2040."""
    if plot:
        check_plot(plot)
    files = (recording, model or default_model(grammar), compiled(grammar, not as_object))
    cost, text = _cost(*files, source or FLASH, quiet=as_object)
    figures = figures_of(cost)
    beside = {} if source else _beside(files, quiet=as_object)
    if beside:
        figures["ram_bytes"] = beside[MICROPHONE]["ram_bytes"]
        figures["final_to_wire_ms"] = beside[_LINK]["final_to_wire_ms"]
    stages = per_second(cost.profile.stages, cost.audio_ms)
    if plot:
        write_plot(plot, lambda: draw_stages(stages, recording.name, plot))
    worst = worst_step(cost)
    if as_object:
        click.echo(json.dumps({"text": text, **figures, "stages": stages, "worst_step": worst, **beside}))
        return
    console.print(f"{recording.name}: {text or '(no words)'}")
    _print_figures(figures)
    for name, others in beside.items():
        console.print(f"the same, {_BESIDE[name]}")
        _print_figures({figure: others[figure] for figure in _SHOWN_BESIDE if figure in others})
    _print_stages("cycles per second of audio", stages)
    if worst:
        _print_stages(f"cycles of the worst step, number {worst['step']}, {worst['time_ms']} ms", worst["stages"])


def _beside(files: tuple[Path, Path, Path], *, quiet: bool) -> dict[str, dict[str, float]]:
    """The figures of the same recording heard in other ways."""
    sources = (MICROPHONE, _LINK)
    found = {name: figures_of(_cost(*files, name, quiet=quiet, boot=False)[0]) for name in sources}
    return {**found, _DUTY: _duty(*files, quiet=quiet)}


def _print_figures(figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        console.print(f"  {name:28}{value:>14,}")


def _print_stages(title: str, stages: Mapping[str, int]) -> None:
    console.print(title)
    for name, cycles in stages.items():
        console.print(f"  {name:28}{cycles:>14,}{cycles / sum(stages.values()):>7.1%}")


def worst_step(cost: BoardCost) -> dict[str, Any]:
    """Which step was the most expensive, from 1, when it ended, and what is in it; {} without steps."""
    profile = cost.profile
    step = profile.worst + 1
    if step == 0:
        return {}
    return {"step": step, "time_ms": step * spec.FRONTEND_STEP_MS, "stages": profile.parts[profile.worst]}


def _cost(
    recording: Path, model: Path, grammar: Path, source: str, *, quiet: bool, boot: bool = True
) -> tuple[BoardCost, str]:
    samples = len(read_recording(recording))
    if source != _LINK:
        with waiting("the emulated board listens", not quiet):
            return measure_listening(recording, model, grammar, source, boot=boot)
    view = LiveView(samples, show=not quiet)
    with waiting("starting the emulated board", not quiet), view:
        cost, transcript = measure(recording, model, grammar, view.progress, boot=boot)
    return cost, transcript.text


def _duty(recording: Path, model: Path, grammar: Path, *, quiet: bool) -> dict[str, float]:
    with waiting("the emulated board listens by itself", not quiet):
        found = measure_duty(recording, model, grammar, FOLLOWED)
    return {
        "cycles_per_audio_second": round(found.cycles_per_audio_second),
        "real_time_factor": round(found.real_time_factor(CLOCKS_HZ[-1]), 3),
    }


@bench.command("kernels", short_help="Cycles and bits per weight of each kernel, dense and without zeros.")
@click.option("--target", type=click.Choice([RP2040, HOST]), help="Measure on one of them only.")
@click.option("--json", "as_list", is_flag=True, help="Print a JSON list of rows and nothing else.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw them.")
def kernels_(target: str | None, as_list: bool, plot: Path | None) -> None:
    """Measure 256 × 256 matrices times a vector, whole layers, and a step of a full-size encoder.

    rp2040: cycles of the emulated Cortex-M0+; what reading the weights from flash adds stands beside them. host:
    instructions of the portable kernels on this computer, counted by valgrind.
    """
    if plot:
        check_plot(plot)
    rows = _measured(target)
    if as_list:
        click.echo(json.dumps([row.figures() for row in rows], indent=1))
    else:
        console.print(kernel_table(rows))
    if plot:
        write_plot(plot, lambda: draw(rows, plot))


def _measured(target: str | None) -> list[Row]:
    """The rows of one target or of both, with a bar on standard error where that is a terminal."""
    images: list[Path | None] = []
    if target != HOST:
        with waiting("building the firmware"):
            images.append(build_firmware("rp2040_pico").uf2)
    if target != RP2040:
        if host.is_counting():
            images.append(None)
        else:
            click.echo(f"stapes: {host.VALGRIND_MISSING}", err=True)
    rows: list[Row] = []
    columns = (TextColumn("measuring kernels"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("", total=sum(kernels.count(image) for image in images))
        for image in images:
            for row in kernels.measure(image):
                rows.append(row)
                progress.update(task, advance=1, description=f"{row.target}: {row.kernel}")
    return rows


def kernel_table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    table = Table(box=None, pad_edge=False)
    for name in ("kernel", "target"):
        table.add_column(name, no_wrap=True)
    for name in ("zeros", "cycles per weight", "flash adds", "bits per weight", "cycles"):
        table.add_column(name, justify="right")
    table.caption = f"of {HOST}: instructions in place of cycles"
    for row in rows:
        flash = row.flash_cycles_per_weight
        table.add_row(
            row.kernel,
            row.target,
            f"{row.zeros:.0%}" if row.zeros else "",
            f"{row.cycles_per_weight:.2f}",
            "" if flash is None else f"{flash:.2f}",
            f"{row.bits_per_weight:.2f}",
            f"{row.cycles:,}",
        )
    return table


def check_plot(path: Path) -> None:
    """Refuse before the measurement what can be refused then."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("matplotlib is missing", advice=f"run: {TRAIN_TOOLS}") from None
    if not path.absolute().parent.is_dir():
        raise UserError("cannot be written: no such folder", path, "choose another place")


def write_plot(path: Path, drawing: Callable[[], None]) -> None:
    """Call what draws a figure into a file."""
    try:
        drawing()
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", path, "choose another place") from None


def figures_of(cost: BoardCost) -> dict[str, float]:
    """Return the figures by name, rounded to what they mean."""
    figures: dict[str, float] = {
        "audio_ms": cost.audio_ms,
        "cycles_per_step": round(cost.cycles_per_step),
        "cycles_per_audio_second": round(cost.cycles / cost.audio_ms * 1000),
        "joint_evaluations_per_step": round(cost.joint_evaluations / cost.steps, 1),
        "flash_bytes_per_step": round(cost.flash_bytes_per_step),
        "cache_fetches_per_step": round(cost.fetched_per_cycle * cost.cycles_per_step),
        "ram_bytes": cost.ram_bytes,
    }
    if cost.boot_ms is not None:
        figures["boot_ms"] = round(cost.boot_ms, 1)
    clock_hz = CLOCKS_HZ[-1]
    figures["worst_step_ms"] = round(cost.step_ms(cost.profile.worst_step, clock_hz), 1)
    figures["step_99th_percentile_ms"] = round(cost.step_ms(cost.profile.step_99th, clock_hz), 1)
    final_to_wire_ms = cost.final_to_wire_ms(clock_hz)
    if final_to_wire_ms is not None:
        figures["final_to_wire_ms"] = round(final_to_wire_ms, 1)
    for clock_hz in CLOCKS_HZ:
        figures[f"real_time_factor_{clock_hz // 1_000_000}_mhz"] = round(cost.real_time_factor(clock_hz), 3)
    figures["real_time_factor"] = round(cost.real_time_factor(CLOCKS_HZ[-1]), 3)
    return figures
