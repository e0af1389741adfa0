"""The board package's two end-pointers, and what the Listener makes of their verdicts, on real kernels."""

import sys
from array import array
from pathlib import Path

import numpy as np
import pytest
import stapes
import stapes_reference
import stapes_spec as spec
from phone_model import branched_model, phone_model
from stapes.errors import StapesError
from stapes.listener import FinalOnly, Listener
from stapes_tools import kernels
from stapes_tools.convert.metadata import EndpointSettings
from stapes_tools.grammar.compiler import compile_grammar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernels"))
from endpoint_runner import with_random_net

STEP = spec.FRONTEND_STEP_SAMPLES
PLAIN = phone_model()
SETTINGS = EndpointSettings(-20, 30, -60, 1, 3)


@pytest.fixture(scope="module")
def grammar(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "g.yaml"
    path.write_text('context:\n  expressions:\n    order: ["small latte", "latte"]\n')
    return compile_grammar(path)


def recognizer(model, grammar):
    return stapes.Recognizer(model, grammar, kernels=kernels.install())


def sound(seed, steps):
    rng = np.random.default_rng(seed)
    return array("h", rng.normal(0, 3000, steps * STEP).clip(-32768, 32767).astype("int16").tobytes())


def test_rules_by_model(grammar):
    tuned = recognizer(with_random_net(PLAIN, 1, SETTINGS), grammar)
    assert tuned.model.has_endpointer and tuned.model.endpoint == tuple(SETTINGS.config(0)[1:])
    assert stapes.Endpointers(tuned).rule == spec.ENDPOINT_RULE_NET
    plain = recognizer(PLAIN, grammar)
    assert not plain.model.has_endpointer and plain.model.endpoint is None
    assert stapes.Endpointers(plain).rule == spec.ENDPOINT_RULE_TRAILING
    assert isinstance(Listener(plain)._endpointer, FinalOnly)
    assert isinstance(Listener(tuned)._endpointer, stapes.Endpointers)


def test_a_net_that_is_not_there_is_refused(grammar):
    with pytest.raises(StapesError) as refused:
        stapes.Endpointers(recognizer(PLAIN, grammar), rule=spec.ENDPOINT_RULE_NET)
    assert refused.value.code == spec.ERROR_MODEL_SUBGRAPH


def test_usual_settings_are_the_hosts():
    from stapes.endpoint import USUAL

    assert list(USUAL) == EndpointSettings().config(0)[1:]


def test_events_follow_the_verdicts(grammar):
    """Speculative and reset by turns, then the end; revisions count the resets."""
    model = with_random_net(PLAIN, 1, SETTINGS)
    ear, twin = recognizer(model, grammar), recognizer(model, grammar)
    pointers = stapes.Endpointers(twin)
    samples = sound(2, 60)
    verdicts = []
    for begin in range(0, len(samples), STEP):
        if twin.accept_chunk(samples[begin : begin + STEP]):
            verdicts.append(pointers.verdict())
    assert spec.VERDICT_SPECULATE in verdicts
    listener = Listener(ear, single=True)
    for begin in range(0, len(samples), STEP):
        listener.accept(samples[begin : begin + STEP], STEP)
    kinds = []
    while listener.waiting:
        kinds.append(listener.take().kind)
    until = verdicts[: verdicts.index(spec.VERDICT_FINAL) + 1] if spec.VERDICT_FINAL in verdicts else verdicts
    assert kinds.count(stapes.SPECULATIVE) == until.count(spec.VERDICT_SPECULATE)
    assert kinds.count(stapes.RESET) >= until.count(spec.VERDICT_RETRACT)
    assert (stapes.ENDPOINT in kinds) == (spec.VERDICT_FINAL in verdicts)


def watched(native, model, grammar, effort, samples):
    """(branch, verdict, figures) of each step: the figures have the net's logit and what it was computed from."""
    ear = stapes.Recognizer(model, grammar, effort=effort, kernels=native)
    pointers = stapes.Endpointers(ear)
    figures, found = array("i", [0] * spec.ENDPOINT_STATUS_INDEX_COUNT), []
    for begin in range(0, len(samples), STEP):
        if ear.accept_chunk(samples[begin : begin + STEP]):
            before = bytes(ear.model.features)
            verdict = pointers.verdict()
            assert native.endpoint_status(pointers.state, figures) == 0
            found.append((ear.status[spec.STATUS_INDEX_BRANCH], verdict, before, tuple(figures)))
    return found


@pytest.mark.parametrize("effort", [0, 0.5, 1])
def test_a_net_beside_branches(grammar, effort):
    """Kernel and twin agree on every step, whichever encoder ran."""
    model = with_random_net(branched_model(), 1, SETTINGS)
    samples = sound(2, 25)
    found = watched(kernels.install(), model, grammar, effort, samples)
    assert found == watched(stapes_reference, model, grammar, effort, samples)
    assert {branch for branch, *_ in found} <= {0: {1}, 0.5: {0, 1}, 1: {0}}[effort]
    logits = {figures[spec.ENDPOINT_STATUS_INDEX_LOGIT] for *_, figures in found}
    assert len(logits) > 5


def test_the_features_are_still_there_for_the_net(grammar):
    """A step of arbitrator and either encoder leaves the encoder's input as the front end wrote it."""
    model = with_random_net(branched_model(), 1, SETTINGS)
    samples = sound(3, 20)
    heavy, light = ([row[2] for row in watched(kernels.install(), model, grammar, e, samples)] for e in (1, 0))
    plain = [row[2] for row in watched(kernels.install(), with_random_net(PLAIN, 1, SETTINGS), grammar, 1, samples)]
    assert heavy == light == plain and len(set(plain)) > 10
