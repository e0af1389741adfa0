"""What `stapes eval --idle` shows: false alarms as JSON and as a table."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from .idle import Idle

_MOST_ROWS = 12  # of recordings in a table; JSON has them all


def as_json(rows: Sequence[Idle]) -> dict:
    """All recordings, and their sums at the top level; per_hour: false alarms."""
    shown = [_row(str(row.path), row.audio_s, row.utterances, row.commands) for row in rows]
    return {**_row(None, *_sums(rows)), "rows": shown}


def _row(name: str | None, audio_s: float, utterances: int, commands: Sequence[str]) -> dict:
    named = {} if name is None else {"recording": name}
    counted = {"audio_seconds": audio_s, "utterances": utterances, "commands": len(commands)}
    heard = {} if name is None else {"heard": list(commands)}
    return {**named, **counted, "per_hour": _per_hour(len(commands), audio_s), **heard}


def _sums(rows: Sequence[Idle]) -> tuple[float, int, list[str]]:
    commands = [text for row in rows for text in row.commands]
    return sum(row.audio_s for row in rows), sum(row.utterances for row in rows), commands


def _per_hour(count: int, audio_s: float) -> float:
    return count * 3600 / audio_s


def table(rows: Sequence[Idle]) -> Table:
    """The recordings with the most false alarms, if any, and all together; it fits into 80 columns."""
    shown = Table("recording", "seconds", "utterances", "commands", "an hour", box=None, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in _worst(rows) if len(rows) > 1 else ():
        shown.add_row(Text(row.path.name), *_figures(row.audio_s, row.utterances, row.commands), "")
    audio_s, utterances, commands = _sums(rows)
    name = f"all {len(rows)}" if len(rows) > 1 else rows[0].path.name
    hourly = f"{_per_hour(len(commands), audio_s):.1f}"
    shown.add_row(Text(name), *_figures(audio_s, utterances, commands), hourly)
    return shown


def _worst(rows: Sequence[Idle]) -> list[Idle]:
    alarming = [row for row in rows if row.commands]
    return sorted(alarming, key=lambda row: len(row.commands), reverse=True)[:_MOST_ROWS]


def _figures(audio_s: float, utterances: int, commands: Sequence[str]) -> Iterator[str]:
    yield f"{audio_s:,.0f}"
    yield str(utterances)
    yield str(len(commands))


def notes(rows: Sequence[Idle], model: str) -> Iterator[str]:
    """Yield what the table leaves unsaid, a line each."""
    left_out = len(rows) - len(_worst(rows))
    if len(rows) > 1 and left_out:
        yield f"{left_out} recordings with fewer commands or none are counted in the last row only"
    yield "utterances: how often somebody seemed to speak; commands: how often one was understood,"
    yield "            though nobody said one; as a board listens, with the model's end-pointers"
    yield model


def heard(rows: Sequence[Idle]) -> Iterator[str]:
    """Yield every command that was understood, a line each."""
    for row in rows:
        for text in row.commands:
            yield f"{row.path.name}: {text}"
