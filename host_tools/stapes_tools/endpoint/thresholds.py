"""Choose thresholds on traces with known ends: the final end-pointer first, then the speculative one before it.

Everything is replayed by the rules of st_endpoint.h on the integers that the board would see.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
import stapes_spec as spec

from ..convert.metadata import EndpointSettings
from .decisions import Decision, Figures, figures
from .trace import Trace, step_ms

_COMPLETE, _OPEN = spec.ENDPOINT_FEATURE_COMPLETE, spec.ENDPOINT_FEATURE_OPEN
_SILENT = spec.ENDPOINT_FEATURE_SILENT_STEPS
_FINAL_STEPS = (1, 2, 3, 4, 6, 8)
_SPECULATIVE_STEPS = (1, 2, 3)
_RETRACT_BELOW = (4, 12, 24, 48)  # logit steps under the speculative threshold
_FEWEST = 20  # cases from which a rule's silence is taken
_LEVELS = 32  # thresholds that are tried, at most
_SOON_MS = 600
_NEVER = 128
_MOST_OF_THEM, _MARGIN = 0.95, 2.0  # see most_doubt
_LATER = 4  # steps by which the final decision waits for the lead, at most


@dataclass(frozen=True)
class Goals:
    """What the thresholds must keep to, as shares of the utterances, and how they are traded.

    Attributes:
        early: most early cuts.
        revised: most utterances with a revision.
        lead_ms: the speculative decision's median precedes the final one's by at least so much.
        rule_early: early cuts of the trailing rule alone that are tried; together with the net it keeps to early.
    """

    early: float = 0.03
    revised: float = 0.12
    lead_ms: int = 200
    rule_early: tuple[float, ...] = (0.01,)


@dataclass(frozen=True)
class Case:
    """A trace with its true end and weight."""

    trace: Trace
    end_ms: int
    weight: float = 1.0

    @property
    def spoken(self) -> np.ndarray:
        """Steps in which the net and the trailing rule may speak."""
        return self.trace.units > 0

    @property
    def last(self) -> np.ndarray:
        """When the best hypothesis had its last unit, in steps."""
        return np.arange(1, len(self.trace.units) + 1) - self.trace.blanks


def choose(cases: Sequence[Case], goals: Goals) -> tuple[EndpointSettings, Figures]:
    """Return the settings, and what the end-pointers then do on the cases."""
    rules = {_rules(cases, share, goals.early) for share in goals.rule_early}
    finals = [row for tried in sorted(rules, key=astuple) for row in _finals(cases, tried)]
    speculative = _speculative(cases, _best_final(finals, goals, 0.0), goals)
    least = min((row[0] for row in speculative), default=0.0) + goals.lead_ms
    # The median lead is not the difference of the medians: the final decision waits until it is long enough.
    for late in range(0, _LATER * spec.FRONTEND_STEP_MS, spec.FRONTEND_STEP_MS):
        settings, found = _best_speculative(cases, _best_final(finals, goals, least + late), goals)
        if found.lead_ms is not None and found.lead_ms.median >= goals.lead_ms:
            break
    return settings, found


def most_doubt(cases: Sequence[Case]) -> float:
    """Nats of doubt (stapes.lattice.Lattice.doubt) beyond which nobody is taken to mean a command; in eighths.

    A multiple of what most of the commands stay below, as people differ more from each other than synthesisers do, and
    are heard in more noise; of what nearly all stay below a few hundred commands do not tell.
    """
    values = np.array([case.trace.doubt for case in cases])
    weights = np.array([case.weight for case in cases])
    order = np.argsort(values)
    at = int(np.searchsorted(np.cumsum(weights[order]) / weights.sum(), _MOST_OF_THEM))
    most = np.ceil(8 * _MARGIN * values[order][min(at, len(values) - 1)]) / 8
    return min(float(most), spec.LIMITS_REJECTION)


# --- the rules -----------------------------------------------------------------------------------


def _rules(cases: Sequence[Case], share: float, energy_share: float) -> EndpointSettings:
    """The shortest silences at which no more than a share is cut off, each for its own kind of steps.

    None is longer than it is in a model that was not tuned: with a net nobody shall wait longer than without.
    A command that nothing can follow is given as long as any whole one. Cases would have it shorter: in them it is
    seldom misheard, and nothing follows it. People are misheard, and then something does.
    """
    usual = EndpointSettings()
    complete, partial = (
        min(_quantile([_longest_blanks(case, is_complete) for case in cases], cases, share, most), most)
        for is_complete, most in ((True, usual.complete_steps), (False, usual.partial_steps))
    )
    silence = _quantile([_longest_silence(case) for case in cases], cases, energy_share, usual.silence_steps)
    return replace(usual, complete_steps=complete, closed_steps=complete, partial_steps=partial, silence_steps=silence)


def _before_end(case: Case) -> np.ndarray:
    return step_ms(np.arange(len(case.trace.units))) < case.end_ms


def _longest_blanks(case: Case, is_complete: bool) -> int:
    """Blanks in a row, before the true end, while the hypothesis was a whole command, or was none."""
    kind = (case.trace.search[:, _COMPLETE] > 0) == is_complete
    if is_complete:
        kind &= case.trace.logits >= 0  # see _limits
    kind &= _before_end(case) & case.spoken & (case.trace.words > 0)
    return int(case.trace.blanks[kind].max(initial=0))


def _longest_silence(case: Case) -> int:
    heard = _before_end(case) & (case.trace.loud >= spec.ENDPOINT_ENERGY_SPEECH_STEPS)
    return int(case.trace.search[heard, _SILENT].max(initial=0))


def _quantile(longest: Sequence[int], cases: Sequence[Case], share: float, usual: int) -> int:
    """One step more than all but a share have, of those that have any; the usual where too few have."""
    there = [(steps, case.weight) for steps, case in zip(longest, cases, strict=True) if steps > 0]
    if len(there) < _FEWEST:
        return usual
    values, weights = (np.array(column) for column in zip(*there, strict=True))
    order = np.argsort(values)
    at = int(np.searchsorted(np.cumsum(weights[order]) / weights.sum(), 1 - share))
    return int(min(values[order][min(at, len(values) - 1)] + 1, 255))


def _limits(case: Case, settings: EndpointSettings) -> np.ndarray:
    """Blanks at which the trailing rule is over, for each step: int [steps].

    Where the net hears that speech goes on, a whole command has to wait as long as a part of one.
    """
    search = case.trace.search
    whole = np.where(search[:, _OPEN] > 0, settings.complete_steps, settings.closed_steps)
    said = np.where(search[:, _COMPLETE] > 0, whole, settings.partial_steps)
    said = np.where(case.trace.logits < 0, np.maximum(said, settings.partial_steps), said)
    return np.where(case.trace.words > 0, said, settings.no_word_steps)


# --- the final one ---------------------------------------------------------------------------------


def _runs(is_high: np.ndarray) -> np.ndarray:
    """How many steps in a row have been high, up to each step."""
    counts = np.arange(1, len(is_high) + 1)
    return counts - np.maximum.accumulate(np.where(is_high, 0, counts)) if len(counts) else counts


def final_step(case: Case, settings: EndpointSettings) -> int | None:
    """The step of the final decision by net and trailing rule."""
    runs = _runs(case.trace.logits >= settings.final_threshold)
    over = case.spoken & ((runs >= settings.final_steps) | (case.trace.blanks >= _limits(case, settings)))
    return int(over.argmax()) if over.any() else None


def _levels(cases: Sequence[Case]) -> list[int]:
    """Thresholds that matter: what the logits are soon after the end; and the one that is never reached."""
    soon = []
    for case in cases:
        late = step_ms(np.arange(len(case.trace.units))) - case.end_ms
        soon.append(case.trace.logits[(late >= 0) & (late < _SOON_MS)])
    tried = np.percentile(np.concatenate(soon).astype(int), np.linspace(2, 98, _LEVELS))
    return sorted({*map(int, tried), _NEVER})


def _finals(cases: Sequence[Case], settings: EndpointSettings) -> Iterator[tuple[EndpointSettings, Figures]]:
    for steps, level in itertools.product(_FINAL_STEPS, _levels(cases)):
        tried = replace(settings, final_threshold=level, final_steps=steps)
        yield tried, figures([_decision(case, None, final_step(case, tried), False) for case in cases])


def _best_final(finals: Sequence[tuple[EndpointSettings, Figures]], goals: Goals, least_ms: float) -> EndpointSettings:
    """The quickest that cuts few off and leaves the speculative one its lead; else the one that cuts fewest off."""

    def order(row: tuple[EndpointSettings, Figures]) -> tuple:
        found = row[1]
        assert found.final_latency_ms is not None
        too_early = max(0.0, found.early_cut_rate - goals.early)
        too_soon = max(0.0, least_ms - found.final_latency_ms.median)
        return too_early, too_soon, found.final_latency_ms.median + found.final_latency_ms.p90, found.early_cut_rate

    usable = [row for row in finals if row[1].final_latency_ms is not None]
    return min(usable, key=order)[0]


# --- the speculative one -----------------------------------------------------------------------------


def replay(case: Case, settings: EndpointSettings) -> Decision:
    """Both decisions by the rule of the net, step by step."""
    end = final_step(case, settings)
    last, units = case.last.tolist(), case.trace.units.tolist()
    stop = len(units) if end is None else end
    near = case.trace.blanks + settings.lead_steps >= _limits(case, settings)
    high = case.trace.logits >= settings.speculative_threshold
    speaks = case.spoken & (near | high)  # until then nothing happens
    first = max(int(speaks.argmax()) - settings.speculative_steps, int(case.spoken.argmax())) if speaks.any() else stop
    is_near, is_high, spoken = near.tolist(), high.tolist(), case.spoken.tolist()
    is_low = (case.trace.logits < settings.retract_threshold).tolist()
    started: int | None = None
    run, is_revised = 0, False
    for step in range(first, stop):
        run = run + 1 if is_high[step] else 0
        if not spoken[step]:
            continue
        if started is None:
            if run >= settings.speculative_steps or is_near[step]:
                started = step
        elif units[step] != units[started] or last[step] != last[started] or (is_low[step] and not is_near[step]):
            started, run, is_revised = None, 0, True
    if end is not None and started is not None and (units[end] != units[started] or last[end] != last[started]):
        is_revised = True
    return _decision(case, started, end, is_revised)


def _decision(case: Case, started: int | None, end: int | None, is_revised: bool) -> Decision:
    return Decision(case.end_ms, _ms(started), _ms(end), is_revised, case.weight)


def _ms(step: int | None) -> int | None:
    return None if step is None else int(step_ms(np.array(step)))


def _candidates(cases: Sequence[Case], settings: EndpointSettings) -> Iterator[EndpointSettings]:
    levels = [level for level in _levels(cases) if level <= settings.final_threshold][::2] or [settings.final_threshold]
    for steps, level, below in itertools.product(_SPECULATIVE_STEPS, levels, _RETRACT_BELOW):
        if steps <= settings.final_steps or level < settings.final_threshold:
            # Below the lowest int8 nothing is: the logit then never withdraws a decision.
            retract = max(level - below, -128)
            yield replace(settings, speculative_threshold=level, speculative_steps=steps, retract_threshold=retract)


def _speculative(
    cases: Sequence[Case], final: EndpointSettings, goals: Goals
) -> list[tuple[float, float, EndpointSettings, Figures]]:
    """(median latency, revised rate, settings, figures) of the candidates that revise few enough."""
    rows = []
    for tried in _candidates(cases, final):
        found = figures([replay(case, tried) for case in cases])
        if found.speculative_latency_ms is not None and found.revised_rate <= goals.revised:
            rows.append((found.speculative_latency_ms.median, found.revised_rate, tried, found))
    return rows


def _best_speculative(
    cases: Sequence[Case], settings: EndpointSettings, goals: Goals
) -> tuple[EndpointSettings, Figures]:
    """Of those that revise few enough, or of all where none does: with the wanted lead, then the earliest."""

    def order(row: tuple[float, float, EndpointSettings, Figures]) -> tuple:
        lead = row[3].lead_ms
        assert lead is not None
        return max(0.0, goals.lead_ms - lead.median), row[0], row[1]

    rows = _speculative(cases, settings, goals)
    if rows:
        return min(rows, key=order)[2:]
    everything = _speculative(cases, settings, replace(goals, revised=1.0))
    return min(everything, key=lambda row: (row[1], row[0]))[2:]
