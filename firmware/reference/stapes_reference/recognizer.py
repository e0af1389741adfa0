"""One call for a whole step: the twin of api_recognizer.c."""

import stapes_spec as spec

from .buffers import byte_length, read, write
from .decoder import INPUT, decoder_partial, decoder_status, decoder_step
from .endpoint import endpoint_step
from .frontend import frontend_apply
from .model import encoder_step, model_subgraph, model_tensor, model_tensor_size

__all__ = ["recognizer_step"]

_WORD_BYTES = 2


class _RefusalError(Exception):
    """Who refused, and the error that it returned."""

    def __init__(self, who, error):
        super().__init__(who, error)
        self.who, self.error = who, error


def _require(status, who):
    if status < 0:
        raise _RefusalError(who, status)
    return status


def _features(state, model):
    """Return the encoder's input 0."""
    encoder = _require(model_subgraph(state, model, b"encoder"), spec.REFUSAL_ENCODER)
    at = _require(model_tensor(state, model, encoder, INPUT, 0), spec.REFUSAL_ENCODER)
    return memoryview(state)[at : at + model_tensor_size(state, model, encoder, INPUT, 0)]


def _renew(decoder, graph, words):
    """Bring the words up to date, none16 behind the last one: returns whether anything is another."""
    capacity = byte_length(words) // _WORD_BYTES
    before = read(words, "H", capacity)
    count = _require(decoder_partial(decoder, graph, words), spec.REFUSAL_SEARCH)
    if count < capacity:
        write(words, "H", (spec.LIMITS_NONE16,), _WORD_BYTES * count)
    return read(words, "H", capacity) != before


def _step(frontend, samples, state, model, decoder, graph, status, words, endpoint, effort):
    steps = _require(frontend_apply(frontend, samples, _features(state, model)), spec.REFUSAL_FRONT_END)
    if steps == 0:
        return 0
    branch = _require(encoder_step(state, model, effort), spec.REFUSAL_ENCODER)
    _require(decoder_step(decoder, state, model, graph), spec.REFUSAL_SEARCH)
    _require(decoder_status(decoder, graph, status), spec.REFUSAL_SEARCH)
    result = spec.STEP_MADE + (spec.STEP_WORDS if _renew(decoder, graph, words) else 0)
    light = read(status, "i", spec.STATUS_INDEX_COUNT)[spec.STATUS_INDEX_LIGHT_STEPS]
    light += branch == spec.BRANCH_LIGHT
    write(status, "i", (branch, light), 4 * spec.STATUS_INDEX_BRANCH)
    if byte_length(endpoint) == 0:
        return result
    verdict = endpoint_step(endpoint, decoder, state, model, graph)
    return result + spec.STEP_VERDICT * _require(verdict, spec.REFUSAL_END_POINTER)


def recognizer_step(frontend, samples, state, model, decoder, graph, status, words, endpoint, effort):
    """Take in samples and make the step that they complete: see docs/kernels_api.md."""
    if byte_length(status) < 4 * spec.STATUS_INDEX_COUNT:
        return -spec.ERROR_ARGUMENT
    try:
        return _step(frontend, samples, state, model, decoder, graph, status, words, endpoint, effort)
    except _RefusalError as refusal:
        write(status, "i", (refusal.who,), 4 * spec.STATUS_INDEX_BRANCH)
        return refusal.error
