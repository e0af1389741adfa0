"""A whole step in one call of the kernels: as the single calls, on the kernels and on their twin, errors included."""

import sys
from array import array
from pathlib import Path

import numpy as np
import pytest
import stapes
import stapes_reference
import stapes_spec as spec
from phone_model import branched_model
from stapes.errors import StapesError
from stapes_tools import kernels
from stapes_tools.convert.metadata import EndpointSettings
from stapes_tools.grammar.compiler import compile_grammar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kernels"))
from endpoint_runner import with_random_net

STEP = spec.FRONTEND_STEP_SAMPLES
MODEL = with_random_net(branched_model(), 1, EndpointSettings(-20, 30, -60, 1, 3))
CAPACITY = 3  # words that are kept: fewer than some hypotheses have
NATIVE = kernels.install()


@pytest.fixture(scope="module")
def grammar(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "g.yaml"
    path.write_text('context:\n  expressions:\n    order: ["small small latte latte", "latte", "latte small"]\n')
    return compile_grammar(path)


def sound(seed, steps):
    rng = np.random.default_rng(seed)
    return array("h", rng.normal(0, 3000, steps * STEP).clip(-32768, 32767).astype("int16").tobytes())


class Step:
    """The buffers of recognizer_step on one implementation."""

    def __init__(self, module, grammar):
        self.module = module
        self.ear = ear = stapes.Recognizer(MODEL, grammar, effort=0.5, kernels=module)
        self.frontend, self.decoder = ear._frontend, ear.decoder
        self.state, self.model, self.graph = ear.model.state, ear.model.data, ear.grammar.data
        self.status, self.words = array("i", [0] * spec.STATUS_INDEX_COUNT), array("H", [spec.LIMITS_NONE16] * CAPACITY)
        self.endpoint = stapes.Endpointers(ear).state
        self.effort = 50

    def whole(self, samples, **other):
        """Call recognizer_step, some buffers replaced."""
        names = ("frontend", "state", "model", "decoder", "graph", "status", "words", "endpoint", "effort")
        parts = [other.get(name, getattr(self, name)) for name in names]
        return self.module.recognizer_step(parts[0], samples, *parts[1:])

    def single(self, samples):
        """The same by single calls; returns what recognizer_step should."""
        one, here = self.module, (self.state, self.model)
        if not one.frontend_apply(self.frontend, samples, self.ear.model.features):
            return 0
        branch = one.encoder_step(*here, self.effort)
        assert branch >= 0 and one.decoder_step(self.decoder, *here, self.graph) == 0
        assert one.decoder_status(self.decoder, self.graph, self.status) == 0
        self.status[spec.STATUS_INDEX_BRANCH] = branch
        self.status[spec.STATUS_INDEX_LIGHT_STEPS] += branch
        before, self.words = self.words, array("H", self.words)
        count = one.decoder_partial(self.decoder, self.graph, self.words)
        if count < CAPACITY:
            self.words[count] = spec.LIMITS_NONE16
        verdict = one.endpoint_step(self.endpoint, self.decoder, *here, self.graph)
        changed = spec.STEP_WORDS if self.words != before else 0
        return spec.STEP_MADE + changed + spec.STEP_VERDICT * verdict


def test_equals_the_single_calls_and_the_twin(grammar):
    native, twin, single = Step(NATIVE, grammar), Step(stapes_reference, grammar), Step(NATIVE, grammar)
    samples, results = sound(2, 40), []
    for begin in range(0, len(samples), STEP):
        chunk = samples[begin : begin + STEP]
        results.append(single.single(chunk))
        assert native.whole(chunk) == twin.whole(chunk) == results[-1]
        assert native.status == twin.status == single.status
        assert native.words == twin.words == single.words
        assert native.endpoint == twin.endpoint == single.endpoint
        assert bytes(native.ear.model.features) == bytes(twin.ear.model.features)
    assert results[0] == 0  # no step yet
    made = [result for result in results if result]
    assert {result & spec.STEP_WORDS for result in made} == {0, spec.STEP_WORDS}
    assert len({result // spec.STEP_VERDICT for result in made}) > 1
    assert single.status[spec.STATUS_INDEX_LIGHT_STEPS] > 0


@pytest.mark.parametrize("module", [NATIVE, stapes_reference])
def test_nobody_is_asked_without_an_end_pointer(grammar, module):
    one = Step(module, grammar)
    samples = sound(2, 12)
    results = [one.whole(samples[at : at + STEP], endpoint=bytearray()) for at in range(0, len(samples), STEP)]
    assert max(results) < spec.STEP_VERDICT and spec.STEP_MADE in results


REFUSED = {
    "status": ({"status": array("i", [0] * (spec.STATUS_INDEX_COUNT - 1))}, spec.ERROR_ARGUMENT, None),
    "samples": ({"samples": bytes(2 * STEP + 1)}, spec.ERROR_ARGUMENT, spec.REFUSAL_FRONT_END),
    "too many samples": ({"samples": array("h", [0] * 3 * STEP)}, spec.ERROR_BUFFER_SMALL, spec.REFUSAL_FRONT_END),
    "front end": ({"frontend": bytearray(8192)}, spec.ERROR_STATE, spec.REFUSAL_FRONT_END),
    "effort": ({"effort": 101}, spec.ERROR_ARGUMENT, spec.REFUSAL_ENCODER),
    "model's state": ({"state": bytearray(65536)}, spec.ERROR_STATE, spec.REFUSAL_ENCODER),
    "decoder": ({"decoder": bytearray(65536)}, spec.ERROR_STATE, spec.REFUSAL_SEARCH),
    "end-pointer": ({"endpoint": bytearray(256)}, spec.ERROR_STATE, spec.REFUSAL_END_POINTER),
}


@pytest.mark.parametrize("module", [NATIVE, stapes_reference])
@pytest.mark.parametrize("case", REFUSED)
def test_who_refused(grammar, module, case):
    other, error, who = REFUSED[case]
    one = Step(module, grammar)
    assert one.whole(sound(1, 1)) == 0
    other = dict(other)
    samples = other.pop("samples", sound(1, 1))
    assert one.whole(samples, **other) == -error
    if who is not None:
        assert one.status[spec.STATUS_INDEX_BRANCH] == who


@pytest.mark.parametrize(
    ("who", "where"), [("encoder", "model"), ("end_pointer", "model"), ("search", ""), ("front_end", "")]
)
def test_errors_name_their_place(grammar, who, where):
    """As when every part was called by itself."""
    ear = stapes.Recognizer(MODEL, grammar, kernels=NATIVE)
    refusal = getattr(spec, "REFUSAL_" + who.upper())

    def refuse(*arguments):
        arguments[6][spec.STATUS_INDEX_BRANCH] = refusal
        return -spec.ERROR_STATE

    ear._make_step = refuse
    with pytest.raises(StapesError) as caught:
        ear.accept_chunk(sound(1, 1))
    assert (caught.value.code, caught.value.where) == (spec.ERROR_STATE, where)
    ear.next_utterance()
    assert ear.status[spec.STATUS_INDEX_BRANCH] == spec.BRANCH_HEAVY
