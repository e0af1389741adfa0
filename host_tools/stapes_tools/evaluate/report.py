"""What `stapes eval` shows: the rows as JSON and as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields

from rich.table import Table
from rich.text import Text

from .bootstrap import Interval
from .cost import Cost
from .loop import WORDS
from .run import Row
from .silence import SILENCE_BELOW_LOUDEST_DB


def as_json(row: Row, mistakes: bool = False) -> dict:
    """Return a row as `--json` prints it: rates are fractions, what was not measured is null."""
    noise, snr_db = row.condition.noise, row.condition.snr_db
    shown: dict = {
        "snr_db": snr_db,
        "noise": noise and noise.name,
        "utterances": row.utterances,
        "hearings": row.hearings,
        "lead_seconds": row.lead_s,
        "command_acceptance": row.command_acceptance and asdict(row.command_acceptance),
        "wer": row.wer and asdict(row.wer),
        "wer_free": row.wer_free and asdict(row.wer_free),
        "out_of_vocabulary": row.out_of_vocabulary,
        "real_time_factor": row.real_time_factor,
        "audio_seconds": row.audio_s,
        "model_bytes": row.model_bytes,
        "effort": None if row.effort is None else row.effort / 100,
        **(asdict(row.cost) if row.cost else dict.fromkeys(field.name for field in fields(Cost))),
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
    yield f"n recordings{_hearings(first)}; in brackets where 95 % of resampled sets of them lie"
    yield f"no grammar: words wrong when any of the {WORDS:,} most frequent English words may follow any other;"
    yield f"            {100 * (first.out_of_vocabulary or 0):.1f} % of what was said is not among them"
    yield f"{model}: {first.model_bytes:,} bytes; real-time factor {factor:.4f} of one core of this computer,"
    yield f"            on {first.audio_s:,.0f} s of audio in each row"
    for row in rows[:1] if first.cost else ():
        yield f"            {_cost_note(row)}"


def _hearings(row: Row) -> str:
    """How the recordings were heard, where it was not once and as they begin."""
    often = f", each heard {row.hearings} times" if row.hearings > 1 else ""
    return often + (f", after {row.lead_s:g} s of noise or silence" if row.lead_s else "")


def _cost_note(row: Row) -> str:
    assert row.cost is not None
    note = f"{row.cost.macs_per_second / 1e6:.2f} million multiplications per second of audio"
    if row.cost.light_share is None or row.cost.saved is None:
        return note
    effort = "" if row.effort is None else f" at an effort of {row.effort} %"
    return f"{note}{effort}, {100 * row.cost.light_share:.1f} % of the steps on the light branch"


def effort_table(rows: Sequence[Row]) -> Table:
    """Return a sweep's rows as a table: accuracy, work, and which branch ran; noise as a column where there is any."""
    noisy = any(row.condition.noise for row in rows)
    titles = ("accepted, %", "words wrong, %", "M mult./s", "saved, %", "light, %", "trailing, %")
    shown = Table("effort, %", *(["condition"] if noisy else []), *titles, box=None, pad_edge=False)
    for column in shown.columns:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        rates = map(_percent, (row.command_acceptance, row.wer or row.wer_free))
        condition = [Text(str(row.condition))] if noisy else []
        shown.add_row(str(row.effort), *condition, *rates, *_work(row.cost))
    return shown


def _work(cost: Cost | None) -> Iterator[str]:
    if cost is None:
        yield from ("-",) * 4
        return
    yield f"{cost.macs_per_second / 1e6:.2f}"
    for share in (cost.saved, cost.light_share, cost.light_share_trailing):
        yield "-" if share is None else f"{100 * share:.1f}"


def effort_notes(rows: Sequence[Row], model: str) -> Iterator[str]:
    """Yield what a sweep's table leaves unsaid, a line each."""
    first = rows[0]
    heard = f"{first.utterances} recordings{_hearings(first)}, {first.audio_s:,.0f} s"
    yield f"{heard}; in brackets where 95 % of resampled sets of them lie"
    yield "M mult./s: million multiplications per second of audio: arbitrator, branches and joint as they ran"
    yield "saved: of the encoder's, arbitrator counted, against the heavy branch alone; light: share of steps;"
    yield f"       trailing: the same after the last speech ({SILENCE_BELOW_LOUDEST_DB:g} dB below the loudest 10 ms)"
    yield f"{model}: {first.model_bytes:,} bytes"


def mistakes(row: Row) -> Iterator[str]:
    """Yield the commands that were not accepted, or the sentences with wrong words, three lines each."""
    for one in row.mistakes:
        yield f"{one.name} ({row.condition}{'' if row.effort is None else f', effort {row.effort} %'})"
        yield f"  said   {one.said}{_slots(one.said_slots)}"
        yield f"  heard  {one.heard or '(no words)'}{_slots(one.heard_slots)}"


def _slots(slots: dict[str, str] | None) -> str:
    return "".join(f"  {name}={value!r}" for name, value in sorted((slots or {}).items()))


def _percent(rate: Interval | None) -> str:
    return f"{100 * rate.value:.1f} ({100 * rate.low:.1f}–{100 * rate.high:.1f})" if rate else "-"
