"""`stapes bench`: what recognition costs."""

import json
from pathlib import Path

import click

from ..audio import read_recording
from ..bench.board import CLOCKS_HZ, BoardCost, measure
from ..grammars import compiled
from ..models import default_model
from .demo import SAMPLE
from .render import LiveView, console, waiting
from .transcribe import GRAMMAR, MODEL_HELP


@click.group(short_help="Measure what recognition costs.")
def bench() -> None:
    """Measure what recognition costs. Counts are emulated cycles and bytes: the same on every run."""


@bench.command(short_help="Cycles, memory and flash traffic of a recording on the emulated RP2040.")
@click.argument("recording", type=click.Path(path_type=Path), default=SAMPLE, metavar="[FILE]")
@click.option("--model", type=click.Path(path_type=Path), help=MODEL_HELP)
@click.option("--grammar", type=click.Path(path_type=Path), default=GRAMMAR, help="What may be said (.yaml or .stg).")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object and nothing else.")
def board(recording: Path, model: Path | None, grammar: Path, as_object: bool) -> None:
    """Run FILE, by default a sample order, through the firmware on an emulated RP2040."""
    view = LiveView(len(read_recording(recording)), show=not as_object)
    with waiting("starting the emulated board", not as_object), view:
        cost, transcript = measure(
            recording, model or default_model(grammar), compiled(grammar, not as_object), view.progress
        )
    figures = figures_of(cost)
    if as_object:
        click.echo(json.dumps({"text": transcript.text, **figures}))
        return
    console.print(f"{recording.name}: {transcript.text or '(no words)'}")
    for name, value in figures.items():
        console.print(f"  {name:28}{value:>14,}")


def figures_of(cost: BoardCost) -> dict[str, float]:
    """Return the figures by name, rounded to what they mean."""
    figures: dict[str, float] = {
        "audio_ms": cost.audio_ms,
        "cycles_per_step": round(cost.cycles_per_step),
        "cycles_per_audio_second": round(cost.cycles / cost.audio_ms * 1000),
        "joint_evaluations_per_step": round(cost.joint_evaluations / cost.steps, 1),
        "flash_bytes_per_step": round(cost.flash_bytes_per_step),
        "ram_bytes": cost.state_bytes,
        "boot_ms": round(cost.boot_ms, 1),
    }
    for clock_hz in CLOCKS_HZ:
        figures[f"real_time_factor_{clock_hz // 1_000_000}_mhz"] = round(cost.real_time_factor(clock_hz), 2)
    return figures
