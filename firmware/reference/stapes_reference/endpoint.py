"""The end-pointers: the twin of st_endpoint.c and api_endpoint.c; st_endpoint.h describes them.

The state holds the same bytes as the native one's, so either can go on with the other's.
"""

import stapes_spec as spec

from .buffers import byte_length, read, write
from .decoder import INPUT, OUTPUT, _CallError, _check, _get_decoder, _guarded, _quantization
from .model import _head, model_invoke, model_subgraph, model_tensor, model_tensor_size

__all__ = ["endpoint_init", "endpoint_size", "endpoint_status", "endpoint_step"]

MAGIC = 0x31455453
NONE = spec.LIMITS_NONE16
NEVER = 128
MOST_STEPS = 255
MARGIN_LIMIT = 1 << 14
FEATURE_BYTES = 12
CONFIG_COUNT = spec.ENDPOINT_CONFIG_INDEX_COUNT
# The fields behind the configuration, int32 each.
FIELDS = (
    "file_crc",
    "encoder",
    "joint",
    "net",
    "phase",
    "above_speculative",
    "above_final",
    "units",
    "last",
    "logit",
    "energy",
    "floor",
    "peak",
    "silent_steps",
    "loud_steps",
    "steps",
)
FIELDS_AT = 4 + 4 * CONFIG_COUNT
FEATURES_AT = FIELDS_AT + 4 * len(FIELDS)
BYTES = FEATURES_AT + FEATURE_BYTES
CRC_FIELD = 4  # of the head of a model's state


class _Endpoint:
    """A state's fields as attributes; config and features are lists."""

    def __init__(self, state, fresh=False):
        if fresh:
            self.config = [0] * CONFIG_COUNT
            self.features = [0] * FEATURE_BYTES
            for name in FIELDS:
                setattr(self, name, 0)
            return
        if byte_length(state) < BYTES or read(state, "I", 1)[0] != MAGIC:
            raise _CallError(spec.ERROR_STATE)
        self.config = read(state, "i", CONFIG_COUNT, 4)
        for name, value in zip(FIELDS, read(state, "i", len(FIELDS), FIELDS_AT)):
            setattr(self, name, value)
        self.features = list(read(state, "b", FEATURE_BYTES, FEATURES_AT))

    def save(self, state):
        """Write the fields back."""
        write(state, "I", (MAGIC,))
        write(state, "i", self.config, 4)
        write(state, "i", [getattr(self, name) for name in FIELDS], FIELDS_AT)
        write(state, "b", self.features, FEATURES_AT)


# --- starting ------------------------------------------------------------------------------


def _config_ok(config):
    thresholds = config[spec.ENDPOINT_CONFIG_INDEX_SPECULATIVE_THRESHOLD : spec.ENDPOINT_CONFIG_INDEX_SPECULATIVE_STEPS]
    steps = config[spec.ENDPOINT_CONFIG_INDEX_SPECULATIVE_STEPS : spec.ENDPOINT_CONFIG_INDEX_LEAD_STEPS]
    return (
        0 <= config[spec.ENDPOINT_CONFIG_INDEX_RULE] <= spec.ENDPOINT_RULE_NET
        and all([-128 <= value <= NEVER for value in thresholds])
        and all([1 <= value <= MOST_STEPS for value in steps])
        and 0 <= config[spec.ENDPOINT_CONFIG_INDEX_LEAD_STEPS] <= MOST_STEPS
    )


def _alike(state, model, a, b):
    """Whether two inputs, (subgraph, number) each, agree in bytes, scale and zero point."""
    sizes = [model_tensor_size(state, model, subgraph, INPUT, k) for subgraph, k in (a, b)]
    kinds = [_quantization(state, model, subgraph, INPUT, k) for subgraph, k in (a, b)]
    return sizes[0] > 0 and sizes[0] == sizes[1] and kinds[0] == kinds[1]


def _net_fits(endpoint, state, model):
    net = endpoint.net
    return (
        net >= 0
        and _alike(state, model, (endpoint.joint, 0), (net, 0))
        and _alike(state, model, (endpoint.encoder, 0), (net, 1))
        and model_tensor_size(state, model, net, INPUT, 2) == spec.ENDPOINT_SEARCH_FEATURES
        and model_tensor_size(state, model, net, OUTPUT, 0) == 1
    )


def _file_crc(state, model):
    head = _head(state, model)
    if head is None:
        raise _CallError(spec.ERROR_STATE)
    crc = head[CRC_FIELD]
    return crc - (1 << 32) if crc >> 31 else crc


def endpoint_size():
    """Return the bytes of state."""
    return BYTES


def _init(state, model_state, model, config):
    crc = _file_crc(model_state, model)
    if byte_length(state) < BYTES:
        raise _CallError(spec.ERROR_BUFFER_SMALL)
    if byte_length(config) < 4 * CONFIG_COUNT:
        raise _CallError(spec.ERROR_ARGUMENT)
    values = read(config, "i", CONFIG_COUNT)
    if not _config_ok(values):
        raise _CallError(spec.ERROR_ARGUMENT)
    endpoint = _Endpoint(state, fresh=True)
    endpoint.config, endpoint.file_crc, endpoint.logit, endpoint.net = values, crc, -128, -1
    endpoint.encoder = model_subgraph(model_state, model, b"encoder")
    endpoint.joint = model_subgraph(model_state, model, b"joint")
    _check(min(endpoint.encoder, endpoint.joint))
    if model_tensor_size(model_state, model, endpoint.encoder, INPUT, 0) != spec.FRONTEND_FEATURE_SIZE:
        raise _CallError(spec.ERROR_MODEL_SUBGRAPH)
    if values[spec.ENDPOINT_CONFIG_INDEX_RULE] == spec.ENDPOINT_RULE_NET:
        endpoint.net = model_subgraph(model_state, model, spec.ENDPOINT_SUBGRAPH.encode())
        if not _net_fits(endpoint, model_state, model):
            raise _CallError(spec.ERROR_MODEL_SUBGRAPH)
    endpoint.save(state)
    return 0


def endpoint_init(state, model_state, model, config):
    """Start an utterance: see docs/kernels_api.md."""
    return _guarded(_init, state, model_state, model, config)


# --- what a step looks like ------------------------------------------------------------------


def _clamp(value, low, high):
    return min(max(value, low), high)


def _hear(endpoint, features):
    """Follow the energy, and count loud and quiet steps."""
    energy = sum(features)
    if endpoint.steps == 0:
        endpoint.floor = endpoint.peak = energy
    endpoint.floor = min(endpoint.floor + spec.ENDPOINT_ENERGY_DRIFT, energy)
    endpoint.peak = max(endpoint.peak - spec.ENDPOINT_ENERGY_DRIFT, energy)
    endpoint.energy = energy
    is_far = energy - endpoint.floor >= spec.ENDPOINT_ENERGY_RANGE
    if is_far and 2 * energy > endpoint.floor + endpoint.peak:
        endpoint.silent_steps = 0
        endpoint.loud_steps = min(endpoint.loud_steps + 1, MOST_STEPS)
    else:
        endpoint.silent_steps = min(endpoint.silent_steps + 1, MOST_STEPS)
    endpoint.steps = 1


def _final_margin(search):
    """Return the best final token's score less the best other one's, clamped: Q.10."""
    scores = ([], [])
    for token in search.tokens:
        scores[search.graph.finals[token.state] != NONE].append(token.score)
    others, finals = scores
    if not others or not finals:
        return MARGIN_LIMIT - 1 if finals else -MARGIN_LIMIT
    return _clamp(max(finals) - max(others), -MARGIN_LIMIT, MARGIN_LIMIT - 1)


def _describe(endpoint, search):
    """Fill in what the net is told of the search and the energy."""
    best, graph = search.best, search.graph
    shift = spec.ENDPOINT_ENERGY_SHIFT
    is_open = graph.first_arc[best.state + 1] > graph.first_arc[best.state]
    endpoint.features[: spec.ENDPOINT_SEARCH_FEATURES] = [
        min(search.steps - best.last, 127),
        spec.ENDPOINT_FLAG if graph.finals[best.state] != NONE else 0,
        spec.ENDPOINT_FLAG if is_open else 0,
        _final_margin(search) >> spec.ENDPOINT_MARGIN_SHIFT,
        min(best.units, 127),
        min(len(search.tokens), 127),
        spec.ENDPOINT_FLAG if best.entries[0].first != NONE else 0,
        min(endpoint.silent_steps, 127),
        _clamp((endpoint.energy - endpoint.peak) >> shift, -128, 127),
        _clamp((endpoint.energy - endpoint.floor) >> shift, -128, 127),
    ]


def _tensor(state, model, subgraph, output, k):
    at = model_tensor(state, model, subgraph, output, k)
    return at, at + model_tensor_size(state, model, subgraph, output, k)


def _copy(state, model, source, target):
    """Copy an input of one subgraph, (subgraph, number), to another's."""
    begin, end = _tensor(state, model, source[0], INPUT, source[1])
    to = model_tensor(state, model, target[0], INPUT, target[1])
    state[to : to + end - begin] = bytes(state[begin:end])


def _ask(endpoint, state, model):
    """Run the net, and count the steps that its logit has been high."""
    _copy(state, model, (endpoint.joint, 0), (endpoint.net, 0))
    _copy(state, model, (endpoint.encoder, 0), (endpoint.net, 1))
    at = model_tensor(state, model, endpoint.net, INPUT, 2)
    write(state, "b", endpoint.features[: spec.ENDPOINT_SEARCH_FEATURES], at)
    _check(model_invoke(state, model, endpoint.net))
    endpoint.logit = read(state, "b", 1, model_tensor(state, model, endpoint.net, OUTPUT, 0))[0]
    is_likely = endpoint.logit >= endpoint.config[spec.ENDPOINT_CONFIG_INDEX_SPECULATIVE_THRESHOLD]
    is_certain = endpoint.logit >= endpoint.config[spec.ENDPOINT_CONFIG_INDEX_FINAL_THRESHOLD]
    endpoint.above_speculative = min(endpoint.above_speculative + 1, MOST_STEPS) if is_likely else 0
    endpoint.above_final = min(endpoint.above_final + 1, MOST_STEPS) if is_certain else 0


# --- deciding ------------------------------------------------------------------------------


def _trailing_limit(endpoint, best):
    config, features = endpoint.config, endpoint.features
    if best.entries[0].node.index == 0:
        return config[spec.ENDPOINT_CONFIG_INDEX_NO_WORD_STEPS]
    if not features[spec.ENDPOINT_FEATURE_COMPLETE]:
        return config[spec.ENDPOINT_CONFIG_INDEX_PARTIAL_STEPS]
    if features[spec.ENDPOINT_FEATURE_OPEN]:
        return config[spec.ENDPOINT_CONFIG_INDEX_COMPLETE_STEPS]
    return config[spec.ENDPOINT_CONFIG_INDEX_CLOSED_STEPS]


def _read_signs(endpoint, search):
    """Return (has spoken, is over, is likely over, has resumed)."""
    best, config = search.best, endpoint.config
    rule, lead = config[spec.ENDPOINT_CONFIG_INDEX_RULE], config[spec.ENDPOINT_CONFIG_INDEX_LEAD_STEPS]
    if rule == spec.ENDPOINT_RULE_ENERGY:
        quiet, limit = endpoint.silent_steps, config[spec.ENDPOINT_CONFIG_INDEX_SILENCE_STEPS]
        has_spoken = endpoint.loud_steps >= spec.ENDPOINT_ENERGY_SPEECH_STEPS
        return has_spoken, quiet >= limit, quiet + lead >= limit, quiet == 0
    quiet, limit = search.steps - best.last, _trailing_limit(endpoint, best)
    if rule == spec.ENDPOINT_RULE_NET and endpoint.logit < 0:
        limit = max(limit, config[spec.ENDPOINT_CONFIG_INDEX_PARTIAL_STEPS])
    over, likely = quiet >= limit, quiet + lead >= limit
    resumed = best.units != endpoint.units or best.last != endpoint.last
    if rule == spec.ENDPOINT_RULE_NET:
        resumed |= endpoint.logit < config[spec.ENDPOINT_CONFIG_INDEX_RETRACT_THRESHOLD] and not likely
        over |= endpoint.above_final >= config[spec.ENDPOINT_CONFIG_INDEX_FINAL_STEPS]
        likely |= endpoint.above_speculative >= config[spec.ENDPOINT_CONFIG_INDEX_SPECULATIVE_STEPS]
    return best.units > 0, over, likely, resumed


def _decide(endpoint, search):
    has_spoken, is_over, is_likely, has_resumed = _read_signs(endpoint, search)
    if endpoint.phase == spec.ENDPOINT_PHASE_OVER or not has_spoken:
        return spec.VERDICT_NONE
    if is_over:
        endpoint.phase = spec.ENDPOINT_PHASE_OVER
        return spec.VERDICT_FINAL
    if endpoint.phase == spec.ENDPOINT_PHASE_SPECULATED:
        if has_resumed:
            endpoint.phase = spec.ENDPOINT_PHASE_WAITING
            endpoint.above_speculative = 0
            return spec.VERDICT_RETRACT
    elif is_likely:
        endpoint.phase = spec.ENDPOINT_PHASE_SPECULATED
        endpoint.units, endpoint.last = search.best.units, search.best.last
        return spec.VERDICT_SPECULATE
    return spec.VERDICT_NONE


def _step(state, decoder, model_state, model, graph):
    endpoint = _Endpoint(state)
    crc = _file_crc(model_state, model)
    search = _get_decoder(decoder, graph).search
    if crc != endpoint.file_crc or model_subgraph(model_state, model, b"encoder") != endpoint.encoder:
        raise _CallError(spec.ERROR_STATE)
    begin, end = _tensor(model_state, model, endpoint.encoder, INPUT, 0)
    _hear(endpoint, read(model_state, "b", end - begin, begin))
    _describe(endpoint, search)
    if endpoint.net >= 0:
        _ask(endpoint, model_state, model)
    verdict = _decide(endpoint, search)
    endpoint.save(state)
    return verdict


def endpoint_step(state, decoder, model_state, model, graph):
    """Return what to make of the step that the decoder has just made: see docs/kernels_api.md."""
    return _guarded(_step, state, decoder, model_state, model, graph)


def _status(state, status):
    endpoint = _Endpoint(state)
    if byte_length(status) < 4 * spec.ENDPOINT_STATUS_INDEX_COUNT:
        raise _CallError(spec.ERROR_ARGUMENT)
    names = ("phase", "logit", "energy", "floor", "peak", "silent_steps", "loud_steps")
    figures = [getattr(endpoint, name) for name in names]
    write(status, "i", figures + endpoint.features[: spec.ENDPOINT_SEARCH_FEATURES])
    return 0


def endpoint_status(state, status):
    """Fill in figures of the last step: see docs/kernels_api.md."""
    return _guarded(_status, state, status)
