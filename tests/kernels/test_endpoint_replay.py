"""What the tuner replays is what the kernel does, and what it chooses keeps to the goals."""

import random

import numpy as np
import pytest
import stapes_spec as spec
from endpoint_runner import with_random_net
from stapes_tools.convert.metadata import EndpointSettings
from stapes_tools.endpoint.thresholds import Case, Goals, choose, replay
from stapes_tools.endpoint.trace import Trace, Tracer, step_ms
from test_endpoint_kernel import PLAIN, make_graph


def sound(seed):
    """Noise that comes and goes, int16, 2.4 s."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.choice([30, 3000, 9000], 12), 3200)
    return (rng.standard_normal(len(loud)) * loud).clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("seed", range(6))
def test_replay_is_the_kernels(seed):
    rng = random.Random(seed)
    settings = EndpointSettings(
        rng.randint(-30, 40), rng.randint(20, 90), rng.randint(-60, 20), rng.randint(1, 3), rng.randint(1, 4),
        rng.randint(3, 9), rng.randint(2, 6), rng.randint(5, 14), rng.randint(8, 20), 5, rng.randint(0, 4),
    )  # fmt: skip
    model = with_random_net(PLAIN, seed)
    trace = Tracer(model, make_graph(seed), spec.ENDPOINT_RULE_NET, settings).trace(sound(seed))
    found = replay(Case(trace, 1000), settings)
    assert found == decided(trace, 1000)


def decided(trace, end_ms):
    """The same from the kernel's verdicts."""
    from stapes_tools.endpoint.decisions import Decision

    started = final = None
    revised = False
    for step, verdict in enumerate(trace.verdicts):
        if verdict == spec.VERDICT_SPECULATE:
            started = step
        elif verdict == spec.VERDICT_RETRACT:
            started, revised = None, True
        elif verdict == spec.VERDICT_FINAL:
            final = step
    last = np.arange(1, len(trace.units) + 1) - trace.blanks
    if started is not None and final is not None:
        revised |= bool(trace.units[started] != trace.units[final] or last[started] != last[final])
    times = [None if step is None else int(step_ms(np.array(step))) for step in (started, final)]
    return Decision(end_ms, *times, revised)


def made_case(seed):
    """A speaker with a pause, seldom a long one: the logit is high after the end, lower in a pause."""
    rng = np.random.default_rng(seed)
    steps, end, pause = 160, 80, 40
    length = 10 if seed % 15 == 0 else 3
    silent = np.zeros(steps, int)
    silent[pause : pause + length] = np.arange(1, length + 1)
    silent[end:] = np.arange(1, steps - end + 1)
    ended = np.arange(steps) >= end
    level = np.where(silent > 0, np.where(ended, 20 + 3 * silent, 3 * silent), -60) + rng.integers(-4, 5, steps)
    search = np.zeros((steps, spec.ENDPOINT_SEARCH_FEATURES), np.int8)
    search[:, spec.ENDPOINT_FEATURE_COMPLETE] = np.where(silent > 0, 64, 0)
    search[:, spec.ENDPOINT_FEATURE_OPEN] = 64
    search[:, spec.ENDPOINT_FEATURE_SILENT_STEPS] = np.minimum(silent, 127)
    units = np.cumsum(silent == 0).astype(np.int32)
    words, loud = np.ones(steps, np.int32), np.full(steps, 9, np.int32)
    empty = np.zeros((steps, 0), np.int8)
    logits = level.clip(-128, 127).astype(np.int8)
    trace = Trace(empty, empty, search, units, silent.astype(np.int32), words, logits, empty[:, :0], loud)
    return Case(trace, int(step_ms(np.array(end))))


def test_goals_are_kept():
    cases = [made_case(seed) for seed in range(30)]
    settings, found = choose(cases, Goals())
    assert found.early_cut_rate <= 0.02 and found.revised_rate <= 0.10
    assert found.lead_ms.median >= 150  # the trailing rule ends it after 300 ms
    assert found.final_latency_ms.median <= 300
    assert settings.complete_steps == 11  # one more than the pause
    assert settings.silence_steps == 11


def test_without_a_way_to_keep_them_it_cuts_least():
    """Pauses that look like ends."""
    cases = [made_case(seed) for seed in range(30)]
    for case in cases:
        case.trace.logits[30:50] = 100
    settings, found = choose(cases, Goals(early=0.0))
    assert settings.final_threshold == 128  # the net is not asked, the trailing rule alone decides
    assert found.early_cut_rate == 0.0
    assert found.final_latency_ms.median == 300
