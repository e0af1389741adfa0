"""When an utterance is over: trailing-silence rules over the search's best hypothesis.

Reference: Kaldi, src/online2/online-endpoint.h: rules over trailing silence, made shorter when
the best hypothesis is a complete sentence. Here a blank is silence.
"""

import stapes_spec as spec


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
        self._final_steps = -(-final_ms // spec.FRONTEND_STEP_MS)
        self._partial_steps = -(-partial_ms // spec.FRONTEND_STEP_MS)
        self._no_word_steps = -(-no_word_ms // spec.FRONTEND_STEP_MS)

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
