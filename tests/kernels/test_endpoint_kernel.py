"""The end-pointers: C against twin, the net against a stock interpreter, the rules one by one, refusals."""

import array
import random

import numpy as np
import pytest
import stapes_spec as spec
from decoder_runner import features, with_units
from endpoint_runner import EndpointRunner, random_net, with_random_net
from graph_builder import build_graph, random_graph
from model_runner import Runner
from stapes_tools.convert import write
from stapes_tools.convert.endpointer import with_endpointer
from stapes_tools.convert.metadata import EndpointSettings, decode_metadata, seal
from stapes_tools.convert.pack import densify, pack
from stapes_tools.convert.read import metadata_range
from stapes_tools.convert.scales import Scale

UNITS = 9
SIZES = {"units": UNITS, "channels": 8, "joint": 8, "blocks": (write.Block(3),)}
PLAIN = write.random_model(3, **SIZES)
MODEL = with_random_net(PLAIN)
RULES = {"energy": spec.ENDPOINT_RULE_ENERGY, "trailing": spec.ENDPOINT_RULE_TRAILING, "net": spec.ENDPOINT_RULE_NET}
NONE, SPECULATE, RETRACT, FINAL = (
    spec.VERDICT_NONE,
    spec.VERDICT_SPECULATE,
    spec.VERDICT_RETRACT,
    spec.VERDICT_FINAL,
)
LOOSE = EndpointSettings(20, 60, 0, 1, 2, 6, 4, 9, 12, 5, 3)


def make_graph(seed):
    return with_units(random_graph(random.Random(seed), units=UNITS, states=6, arcs=14, words=4), UNITS)


@pytest.fixture(params=["native", "reference"])
def kernels(request):
    return request.getfixturevalue(request.param)


def bursts(rng, steps):
    """Features that are loud and quiet by turns."""
    rows = []
    while len(rows) < steps:
        level = rng.choice((-70, -60, 60, 70))
        for _ in range(rng.randint(2, 9)):
            rows.append(bytes(max(-128, min(127, level + rng.randint(-40, 40))) & 0xFF for _ in range(120)))
    return rows[:steps]


# --- C against twin ----------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_native_equals_twin(native, reference, rule):
    seen = set()
    for seed in range(3):
        both = [EndpointRunner(one, MODEL, make_graph(seed), RULES[rule], LOOSE) for one in (native, reference)]
        for utterance in range(3):
            for row in bursts(random.Random(3 * seed + utterance), 24):
                found = [one.step(row) for one in both]
                assert found[0] == found[1] >= 0
                assert both[0].status() == both[1].status()
                assert both[0].state == both[1].state
                seen.add(found[0])
            for one in both:
                assert one.restart() == 0
    assert {SPECULATE, FINAL} <= seen


def test_either_goes_on_with_the_others_state(native, reference):
    graph = make_graph(1)
    one, other = (EndpointRunner(k, MODEL, graph, spec.ENDPOINT_RULE_NET, LOOSE) for k in (native, reference))
    for number, row in enumerate(bursts(random.Random(4), 12)):
        if number % 2:
            one.state[:] = other.state
        assert one.step(row) == other.step(row)


def test_logit_is_the_subgraphs(native, reference):
    """The net's input is what the encoder got and gave, and the features of the status."""
    runner = EndpointRunner(native, MODEL, make_graph(2), spec.ENDPOINT_RULE_NET, LOOSE)
    encoder, net = Runner(reference, PLAIN, "encoder"), Runner(reference, MODEL, "endpointer")
    at = spec.ENDPOINT_STATUS_INDEX_FEATURES
    logits = set()
    for row in bursts(random.Random(5), 12):
        runner.step(row)
        figures = runner.status()
        search = np.array(figures[at : at + spec.ENDPOINT_SEARCH_FEATURES], np.int8)
        (logit,) = np.frombuffer(net(encoder(row)[0], row, search)[0], np.int8)
        assert figures[spec.ENDPOINT_STATUS_INDEX_LOGIT] == logit
        logits.add(int(logit))
    assert len(logits) > 5


# --- the rules ---------------------------------------------------------------------------

LOUD = bytes([60] * 120)
QUIET = bytes([(-60) & 0xFF] * 120)


def verdicts(kernels, rule, settings, rows, model=PLAIN, graph=None):
    runner = EndpointRunner(kernels, model, graph or make_graph(1), rule, settings)
    return [runner.step(row) for row in rows], runner


def test_energy_rule(kernels):
    """Speech of three loud steps, a pause that is speculated on and withdrawn, and the end."""
    settings = EndpointSettings(silence_steps=6, lead_steps=2)
    rows = [QUIET] * 3 + [LOUD] * 3 + [QUIET] * 5 + [LOUD] * 2 + [QUIET] * 8
    found, _ = verdicts(kernels, spec.ENDPOINT_RULE_ENERGY, settings, rows)
    expected = [NONE] * len(rows)
    expected[3 + 3 + 3] = SPECULATE
    expected[3 + 3 + 5] = RETRACT
    expected[13 + 3] = SPECULATE
    expected[13 + 5] = FINAL
    assert found == expected


def test_two_loud_steps_are_no_speech(kernels):
    rows = [QUIET] * 3 + [LOUD] * 2 + [QUIET] * 20
    found, _ = verdicts(kernels, spec.ENDPOINT_RULE_ENERGY, EndpointSettings(silence_steps=3), rows)
    assert set(found) == {NONE}


def test_steady_sound_is_no_speech(kernels):
    found, _ = verdicts(kernels, spec.ENDPOINT_RULE_ENERGY, EndpointSettings(silence_steps=3), [LOUD] * 30)
    assert set(found) == {NONE}


def test_energy_figures(kernels):
    _, runner = verdicts(kernels, spec.ENDPOINT_RULE_ENERGY, EndpointSettings(), [QUIET, LOUD, QUIET, QUIET])
    figures = runner.status()
    drift = spec.ENDPOINT_ENERGY_DRIFT
    assert figures[spec.ENDPOINT_STATUS_INDEX_ENERGY] == figures[spec.ENDPOINT_STATUS_INDEX_FLOOR] == -7200
    assert figures[spec.ENDPOINT_STATUS_INDEX_PEAK] == 7200 - 2 * drift
    assert figures[spec.ENDPOINT_STATUS_INDEX_SILENT_STEPS] == 2
    assert figures[spec.ENDPOINT_STATUS_INDEX_LOUD_STEPS] == 1
    below = figures[spec.ENDPOINT_STATUS_INDEX_FEATURES + spec.ENDPOINT_FEATURE_BELOW_PEAK]
    assert below == max((-14400 + 2 * drift) >> spec.ENDPOINT_ENERGY_SHIFT, -128)


def replayed(runner, rows):
    """(blanks, units, complete, open, words, verdict) of every step."""
    rows_seen = []
    for row in rows:
        verdict = runner.step(row)
        figures, status = runner.status(), runner.decoder.status()
        at = spec.ENDPOINT_STATUS_INDEX_FEATURES
        rows_seen.append(
            (
                status[spec.STATUS_INDEX_TRAILING_BLANKS],
                status[spec.STATUS_INDEX_UNITS_EMITTED],
                figures[at + spec.ENDPOINT_FEATURE_COMPLETE],
                figures[at + spec.ENDPOINT_FEATURE_OPEN],
                len(runner.decoder.partial()),
                figures[spec.ENDPOINT_STATUS_INDEX_LOGIT],
                verdict,
            )
        )
    return rows_seen


def expected_verdicts(seen, settings, has_net):
    """The rules of st_endpoint.h, written once more, from the figures of the search."""
    phase, above, certain, started, out = "waiting", 0, 0, None, []
    for step, (blanks, units, complete, is_open, words, logit, _) in enumerate(seen):
        above = above + 1 if logit >= settings.speculative_threshold else 0
        certain = certain + 1 if logit >= settings.final_threshold else 0
        kinds = (settings.partial_steps, settings.closed_steps, settings.complete_steps)
        limit = kinds[(1 + (is_open > 0)) if complete else 0] if words else settings.no_word_steps
        if has_net and logit < 0:
            limit = max(limit, settings.partial_steps)
        near = blanks + settings.lead_steps >= limit
        last = (units, step + 1 - blanks)
        verdict = NONE
        if phase != "over" and units:
            if blanks >= limit or (has_net and certain >= settings.final_steps):
                phase, verdict = "over", FINAL
            elif phase == "speculated":
                if last != started or (has_net and logit < settings.retract_threshold and not near):
                    phase, above, verdict = "waiting", 0, RETRACT
            elif near or (has_net and above >= settings.speculative_steps):
                phase, started, verdict = "speculated", last, SPECULATE
        out.append(verdict)
    return out


@pytest.mark.parametrize("rule", ["trailing", "net"])
def test_rules_over_the_search(native, rule):
    """Many utterances, so that each verdict is seen."""
    seen_verdicts = set()
    for seed in range(12):
        rng = random.Random(seed)
        settings = EndpointSettings(
            rng.randint(-30, 40), rng.randint(20, 90), rng.randint(-60, 20), rng.randint(1, 3), rng.randint(1, 4),
            rng.randint(3, 9), rng.randint(2, 6), rng.randint(5, 14), rng.randint(8, 20), 5, rng.randint(0, 4),
        )  # fmt: skip
        runner = EndpointRunner(native, with_random_net(PLAIN, seed), make_graph(seed), RULES[rule], settings)
        seen = replayed(runner, bursts(rng, 60))
        assert [row[-1] for row in seen] == expected_verdicts(seen, settings, rule == "net")
        seen_verdicts |= {row[-1] for row in seen}
    assert seen_verdicts == {NONE, SPECULATE, RETRACT, FINAL}


def test_margin_between_final_and_other_tokens(native, reference):
    """It is zero-crossing exactly where the best token becomes final, and clamped where one kind is missing."""
    graph = with_units(
        build_graph(1, [(0, unit, 0, 0, 0) for unit in range(1, 4)], {0: 0}, [(0, None, 0)], ["x"]), UNITS
    )
    at = spec.ENDPOINT_STATUS_INDEX_FEATURES + spec.ENDPOINT_FEATURE_MARGIN
    _, runner = verdicts(native, spec.ENDPOINT_RULE_TRAILING, LOOSE, bursts(random.Random(2), 3), graph=graph)
    assert runner.status()[at] == 127  # every state is final
    both = [EndpointRunner(one, PLAIN, make_graph(4), 1, LOOSE) for one in (native, reference)]
    signs = set()
    for row in features(random.Random(6), 20):
        for one in both:
            one.step(row)
        figures = both[0].status()
        complete = figures[spec.ENDPOINT_STATUS_INDEX_FEATURES + spec.ENDPOINT_FEATURE_COMPLETE]
        assert (figures[at] >= 0) == bool(complete) or figures[at] == 0
        assert figures == both[1].status()
        signs.add(bool(complete))
    assert signs == {False, True}


# --- refusals ----------------------------------------------------------------------------


class Calls:
    """endpoint_init and endpoint_step with one argument or another replaced."""

    def __init__(self, kernels, model=MODEL, rule=spec.ENDPOINT_RULE_NET):
        runner = EndpointRunner(kernels, model, make_graph(1), rule, LOOSE)
        self.kernels, self.config, self.state = kernels, runner.config, runner.state
        self.decoder, self.graph = runner.decoder.state, runner.decoder.graph
        self.model_state, self.model = runner.decoder.encoder.state, model
        self.runner = runner

    def init(self):
        return self.kernels.endpoint_init(self.state, self.model_state, self.model, self.config)

    def step(self):
        return self.kernels.endpoint_step(self.state, self.decoder, self.model_state, self.model, self.graph)

    def status(self, count=spec.ENDPOINT_STATUS_INDEX_COUNT):
        return self.kernels.endpoint_status(self.state, array.array("i", [0] * count))


def test_values_out_of_range(kernels):
    calls = Calls(kernels)
    good = list(calls.config)
    for index, values in {
        0: (-1, 3),
        1: (-129, 129),
        2: (-129, 129),
        3: (-129, 129),
        **{index: (0, 256) for index in range(4, 11)},
        11: (-1, 256),
    }.items():
        for value in values:
            calls.config = array.array("i", [*good[:index], value, *good[index + 1 :]])
            assert calls.init() == -spec.ERROR_ARGUMENT, (index, value)
    calls.config = array.array("i", good)
    assert calls.init() == 0
    calls.config = array.array("i", good[:-1])
    assert calls.init() == -spec.ERROR_ARGUMENT


def test_buffers_and_states(kernels):
    calls = Calls(kernels)
    assert calls.status() == 0
    assert calls.status(spec.ENDPOINT_STATUS_INDEX_COUNT - 1) == -spec.ERROR_ARGUMENT
    good = calls.state
    calls.state = bytearray(len(good) - 1)
    assert calls.init() == -spec.ERROR_BUFFER_SMALL
    for state in (bytearray(0), bytearray(len(good)), good[:-1]):
        calls.state = state
        assert calls.step() == calls.status() == -spec.ERROR_STATE
    calls.state = good
    calls.decoder = bytearray(len(calls.decoder))
    assert calls.step() == -spec.ERROR_STATE


def test_model_without_net(kernels):
    calls = Calls(kernels, PLAIN, spec.ENDPOINT_RULE_ENERGY)
    calls.config = array.array("i", LOOSE.config(spec.ENDPOINT_RULE_NET))
    assert calls.init() == -spec.ERROR_MODEL_SUBGRAPH


@pytest.mark.parametrize("change", [{"joint": 7}, {"scale": Scale(0.3, 1)}])
def test_net_that_does_not_fit(kernels, change):
    model = with_endpointer(PLAIN, random_net(PLAIN, 0, **change), EndpointSettings())
    calls = Calls(kernels, model, spec.ENDPOINT_RULE_ENERGY)
    calls.config = array.array("i", LOOSE.config(spec.ENDPOINT_RULE_NET))
    assert calls.init() == -spec.ERROR_MODEL_SUBGRAPH


def test_another_model_on_the_way(kernels):
    calls, other = Calls(kernels), Calls(kernels, with_random_net(PLAIN, 9))
    assert calls.runner.step(LOUD) >= 0
    other.runner.step(LOUD)
    calls.model, calls.model_state, calls.decoder = other.model, other.model_state, other.decoder
    assert calls.step() == -spec.ERROR_STATE


# --- the file ----------------------------------------------------------------------------


def test_a_file_without_the_block_is_read():
    assert decode_metadata(PLAIN).endpoint is None
    assert decode_metadata(MODEL).endpoint == EndpointSettings()
    assert with_endpointer(MODEL, None, None) == PLAIN


def test_packing_keeps_it():
    packed, _ = pack(with_random_net(PLAIN, 2, LOOSE))
    assert decode_metadata(packed).endpoint == LOOSE
    assert densify(packed)[0] == with_random_net(PLAIN, 2, LOOSE)


def damaged(offset, code, value):
    """MODEL with one field of the block overwritten, and sealed again."""
    import struct

    data = bytearray(MODEL)
    at = metadata_range(MODEL, spec.MODEL_METADATA_NAME)[0] + spec.METADATA_BYTES + offset
    struct.pack_into(code, data, at, value)
    return seal(bytes(data))


FAULTS = [
    *((offset, "<h", value) for offset in (0, 2, 4) for value in (-129, 129, 32767)),
    *((spec.ENDPOINT_SPECULATIVE_STEPS_OFFSET + k, "<B", 0) for k in range(7)),
]


@pytest.mark.parametrize(("offset", "code", "value"), FAULTS)
def test_hostile_block(kernels, offset, code, value):
    info = array.array("i", [0] * spec.INFO_INDEX_COUNT)
    assert kernels.model_size(damaged(offset, code, value), info) == -spec.ERROR_MODEL_METADATA
    assert info[spec.INFO_INDEX_DETAIL] == spec.METADATA_BYTES + offset


def test_no_lead_is_allowed(kernels):
    info = array.array("i", [0] * spec.INFO_INDEX_COUNT)
    assert kernels.model_size(damaged(spec.ENDPOINT_LEAD_STEPS_OFFSET, "<B", 0), info) > 0


@pytest.mark.parametrize("header", [36, 37, 51, 52, 53, 200, 65535])
def test_hostile_header_length(native, reference, header):
    """Both say the same of every length that the header may claim."""
    import struct

    data = bytearray(MODEL)
    at = metadata_range(MODEL, spec.MODEL_METADATA_NAME)[0] + spec.METADATA_HEADER_BYTES_OFFSET
    struct.pack_into("<H", data, at, header)
    data = seal(bytes(data))
    results = []
    for one in (native, reference):
        info = array.array("i", [0] * spec.INFO_INDEX_COUNT)
        results.append((one.model_size(data, info), list(info)))
    assert results[0] == results[1]
    assert (results[0][0] > 0) == (header == spec.METADATA_BYTES + spec.ENDPOINT_BYTES)
