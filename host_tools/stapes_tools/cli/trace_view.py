"""A trace on the terminal: a line for each 0.6 s, a sign for each step."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from ..trace import Step, Trace, fractions

_STEPS = 20  # of a line
_LEVELS = "▁▂▃▄▅▆▇█"
_SIGNS = {"heavy": ("█", "red"), "light": ("░", "green")}


def table(trace: Trace) -> Table:
    """Return the steps: which branch ran, what it cost, tokens and trailing blanks at the line's end, new words."""
    shown = Table("time", "branch", trace.unit, "mean", "tokens", "blanks", "best hypothesis", box=None, pad_edge=False)
    for column in shown.columns[:-1]:
        column.no_wrap = True
    for column in (shown.columns[0], *shown.columns[3:6]):
        column.justify = "right"
    costs, shares = trace.costs(), fractions(trace.costs())
    for begin in range(0, len(trace.steps), _STEPS):
        steps, span = trace.steps[begin : begin + _STEPS], slice(begin, begin + _STEPS)
        mean = sum(costs[span]) / len(steps)
        last = steps[-1]
        shown.add_row(
            f"{steps[0].start_ms / 1000:.2f} s",
            _branches(steps),
            "".join(_LEVELS[min(int(share * len(_LEVELS)), len(_LEVELS) - 1)] for share in shares[span]),
            f"{mean:,.0f}",
            str(last.active_tokens),
            str(last.trailing_blanks),
            Text(_words(steps)),
        )
    return shown


def _branches(steps: Sequence[Step]) -> Text:
    """Full signs for the heavy branch, faint ones for the light; dim where silence was fed after the end."""
    text = Text()
    for step in steps:
        sign, colour = _SIGNS[step.branch]
        text.append(sign, style=f"dim {colour}" if step.fed_silence else colour)
    return text


def _words(steps: Sequence[Step]) -> str:
    """The hypothesis at the end of a line, if it changed there."""
    changed = [step.words for step in steps if step.words is not None]
    return (" ".join(changed[-1]) or "…") if changed else ""


def notes(trace: Trace) -> Iterator[str]:
    """Yield what the table leaves unsaid, a line each."""
    own = [step for step in trace.steps if not step.fed_silence]
    yield f"a sign for each step of 30 ms; {len(trace.steps) - len(own)} of silence after the end of the recording"
    if trace.branches:
        effort = "its own" if trace.effort is None else f"{trace.effort} %"
        yield f"█ heavy, ░ light: {100 * trace.light_share:.1f} % of the recording's steps; effort: {effort}"
    else:
        yield "the model has no light branch"
    if own and any(trace.costs()):
        seconds = 30 * len(own) / 1000
        costs = [cost for cost, step in zip(trace.costs(), trace.steps, strict=True) if not step.fed_silence]
        mean = f"{sum(costs) / seconds / 1e6:.2f} million {trace.unit} per second of audio"
        yield f"{mean}, at most {max(costs):,} in a step"
