"""When an utterance is over: two end-pointers on the kernels, and trailing-silence rules in Python.

Reference: Kaldi, src/online2/online-endpoint.h: rules over trailing silence, made shorter when
the best hypothesis is a complete sentence. Here a blank is silence.
"""

from array import array

import stapes_spec as spec

from stapes.errors import check

NOBODY = bytearray()  # the state of no end-pointer: Recognizer.step asks none


def _steps(ms):
    return -(-ms // spec.FRONTEND_STEP_MS)


# The fields of layout.endpoint for a model without them: the net never decides.
USUAL = (
    128,
    128,
    -128,
    1,
    1,
    _steps(spec.ENDPOINT_FINAL_TRAILING_MS),
    _steps(spec.ENDPOINT_CLOSED_TRAILING_MS),
    _steps(spec.ENDPOINT_PARTIAL_TRAILING_MS),
    _steps(spec.ENDPOINT_NO_WORD_TRAILING_MS),
    _steps(spec.ENDPOINT_SILENCE_MS),
    _steps(spec.ENDPOINT_LEAD_MS),
)


class Endpointer:
    """Decides from decoder_status whether the speaker has finished. Allocates nothing per step.

    Args:
        final_ms: trailing silence after a complete command, ms.
        partial_ms: trailing silence after an incomplete one, ms.
        no_word_ms: trailing silence after sounds that have made no word yet, ms.
    """

    def __init__(
        self,
        final_ms=spec.ENDPOINT_FINAL_TRAILING_MS,
        partial_ms=spec.ENDPOINT_PARTIAL_TRAILING_MS,
        no_word_ms=spec.ENDPOINT_NO_WORD_TRAILING_MS,
    ):
        self._final_steps = _steps(final_ms)
        self._partial_steps = _steps(partial_ms)
        self._no_word_steps = _steps(no_word_ms)

    def speech(self, status):
        """Return True when something has been said.

        Args:
            status: int32 [status_index.count], as decoder_status fills it.
        """
        return status[spec.STATUS_INDEX_UNITS_EMITTED] > 0

    def detected(self, status, word_count):
        """Return True when the utterance is over.

        Args:
            status: int32 [status_index.count], as decoder_status fills it.
            word_count: int, words of the best hypothesis.
        """
        if not self.speech(status):
            return False
        if word_count == 0:
            needed = self._no_word_steps
        else:
            needed = self._final_steps if status[spec.STATUS_INDEX_BEST_IS_FINAL] else self._partial_steps
        return status[spec.STATUS_INDEX_TRAILING_BLANKS] >= needed


class Endpointers:
    """The speculative and the final end-pointer of a recogniser, on its kernels. Allocates nothing per step.

    With a model that `stapes endpoint tune` has been at they are its net; with any other, the trailing rule.
    docs/endpoints.md describes the rules and what they are worth.

    Args:
        recognizer: Recognizer, whose steps they watch.
        rule: int, spec.ENDPOINT_RULE_...; by default the model's.
        settings: tuple of int, the fields of layout.endpoint but rejection; by default the model's.
    Attributes:
        rule: int.
        state: bytearray, for Recognizer.step, which then asks them in the same call.
    Raises:
        StapesError: the model lacks the net that the rule asks for, or a value is out of range.
    """

    def __init__(self, recognizer, rule=None, settings=None):
        model = recognizer.model
        self._recognizer = recognizer
        self._kernels = recognizer.kernels
        if rule is None:
            rule = spec.ENDPOINT_RULE_NET if model.has_endpointer else spec.ENDPOINT_RULE_TRAILING
        self.rule = rule
        self._config = array("i", (rule,) + tuple(settings or model.endpoint or USUAL))
        self.state = bytearray(check(self._kernels.endpoint_size()))
        self.reset()

    def reset(self):
        """Begin an utterance. The net's memory is the model's: the recogniser clears it."""
        model = self._recognizer.model
        check(self._kernels.endpoint_init(self.state, model.state, model.data, self._config), model.where)

    def speech(self, status):
        """Return True when something has been said.

        Args:
            status: int32 [status_index.count], as decoder_status fills it.
        """
        return status[spec.STATUS_INDEX_UNITS_EMITTED] > 0

    def verdict(self, status=None, word_count=0):
        """Return what the recogniser's last step means; call it once per step that was not told of `state`.

        Args:
            status, word_count: not needed; other end-pointers take them.
        Returns:
            int: spec.VERDICT_NONE, _SPECULATE (the speaker seems to have finished), _RETRACT (but
            goes on) or _FINAL, after which there is nothing until reset().
        """
        one = self._recognizer
        model = one.model
        return check(
            self._kernels.endpoint_step(self.state, one.decoder, model.state, model.data, one.grammar.data),
            model.where,
        )
