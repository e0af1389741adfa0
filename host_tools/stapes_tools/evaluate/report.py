"""What `stapes eval` shows: the rows as JSON and as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from .bootstrap import Interval
from .loop import WORDS
from .run import Row


def as_json(row: Row, mistakes: bool = False) -> dict:
    """Return a row as `--json` prints it: rates are fractions, what was not measured is null."""
    noise, snr_db = row.condition.noise, row.condition.snr_db
    shown: dict = {
        "snr_db": snr_db,
        "noise": noise and noise.name,
        "utterances": row.utterances,
        "command_acceptance": row.command_acceptance and asdict(row.command_acceptance),
        "wer": row.wer and asdict(row.wer),
        "wer_free": row.wer_free and asdict(row.wer_free),
        "out_of_vocabulary": row.out_of_vocabulary,
        "real_time_factor": row.real_time_factor,
        "audio_seconds": row.audio_s,
        "model_bytes": row.model_bytes,
    }
    if mistakes:
        shown["wrong"] = [asdict(mistake) for mistake in row.mistakes]
    return shown


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table, rates in per cent with their intervals; it fits into 80 columns."""
    shown = Table("condition", "n", "accepted, %", "words wrong, %", "no grammar, %", box=None, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        rates = (row.command_acceptance, row.wer, row.wer_free)
        shown.add_row(Text(str(row.condition)), str(row.utterances), *map(_percent, rates))
    return shown


def notes(rows: Sequence[Row], model: str) -> Iterator[str]:
    """Yield what the table leaves unsaid, a line each."""
    first, factor = rows[0], sum(row.real_time_factor for row in rows) / len(rows)
    yield "n recordings; in brackets where 95 % of resampled sets of them lie"
    yield f"no grammar: words wrong when any of the {WORDS:,} most frequent English words may follow any other;"
    yield f"            {100 * first.out_of_vocabulary:.1f} % of what was said is not among them"
    yield f"{model}: {first.model_bytes:,} bytes; real-time factor {factor:.4f} of one core of this computer,"
    yield f"            on {first.audio_s:,.0f} s of audio in each row"


def mistakes(row: Row) -> Iterator[str]:
    """Yield the commands that were not accepted, or the sentences with wrong words, three lines each."""
    for one in row.mistakes:
        yield f"{one.name} ({row.condition})"
        yield f"  said   {one.said}{_slots(one.said_slots)}"
        yield f"  heard  {one.heard or '(no words)'}{_slots(one.heard_slots)}"


def _slots(slots: dict[str, str] | None) -> str:
    return "".join(f"  {name}={value!r}" for name, value in sorted((slots or {}).items()))


def _percent(rate: Interval | None) -> str:
    return f"{100 * rate.value:.1f} ({100 * rate.low:.1f}–{100 * rate.high:.1f})" if rate else "-"
