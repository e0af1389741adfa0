"""From a microphone's words to samples, and what is wrong with them."""

from array import array

import stapes_spec as spec

from stapes.errors import StapesError

_WINDOW = 32 * spec.FRONTEND_STEP_SAMPLES  # about a second
_CLIPPED_PARTS = 50  # of a window: so much at full scale is too loud


class AudioPath:
    """Makes samples of words, and looks once a second whether they can be sound.

    Allocates nothing but where something is wrong.

    Args:
        settings: microphone_settings.Settings.
        kernels: the kernel module.

    Attributes:
        state: bytearray, of audio_apply.
        left: array int32 [1], samples until look() is due: for those who have the kernels make samples themselves.
    """

    def __init__(self, settings, kernels):
        self._kernels = kernels
        self.state = bytearray(kernels.audio_size())
        kernels.audio_init(self.state, array("i", settings.config))
        self._pdm = None
        if settings.bus == "pdm":
            self._pdm = bytearray(kernels.pdm_size())
            kernels.pdm_init(self._pdm)
            self._words = array("I", [0] * spec.FRONTEND_STEP_SAMPLES)
        self._where = settings.kind
        self._levels = array("i", [0] * spec.AUDIO_LEVEL_INDEX_COUNT)
        self.left = array("i", [_WINDOW])  # in an array: a board stores there in half the time
        self._wrong = 0  # code that was told last, while it lasts
        self._fault = None

    def convert(self, words, samples):
        """Make samples.

        Args:
            words: array uint32 [n], of PDM [2 n].
            samples: array int16 [n], n at most FRONTEND_STEP_SAMPLES for PDM.
        """
        if self._pdm is not None:
            count = self._kernels.pdm_apply(self._pdm, words, self._words)
            words = self._words if count == len(self._words) else self._words[:count]
        self.left[0] -= self._kernels.audio_apply(self.state, words, samples)
        if self.left[0] <= 0:
            self.look()

    def begin(self):
        """Forget how loud it has been, not the offset."""
        self._kernels.audio_levels(self.state, self._levels)
        self.left[0] = _WINDOW
        self._wrong = 0
        self._fault = None

    def take_fault(self):
        """Return the StapesError that was found since this was last asked, or None."""
        fault, self._fault = self._fault, None
        return fault

    @property
    def levels(self):
        """array int32: of the last whole window, see audio_level_index in the spec."""
        return self._levels

    def look(self):
        """Look at the levels of the last second."""
        self.left[0] = _WINDOW
        levels = self._levels
        self._kernels.audio_levels(self.state, levels)
        wrong = 0
        if levels[spec.AUDIO_LEVEL_INDEX_ZEROS] == levels[spec.AUDIO_LEVEL_INDEX_SAMPLES]:
            wrong = spec.ERROR_MICROPHONE_SILENT
        elif levels[spec.AUDIO_LEVEL_INDEX_CHANGES] <= 1:
            wrong = spec.ERROR_MICROPHONE_STUCK
        elif levels[spec.AUDIO_LEVEL_INDEX_CLIPPED] * _CLIPPED_PARTS > levels[spec.AUDIO_LEVEL_INDEX_SAMPLES]:
            wrong = spec.ERROR_MICROPHONE_CLIPPED
        if wrong and wrong != self._wrong:
            self._fault = StapesError(wrong, self._where, self._evidence(wrong))
        self._wrong = wrong

    def _evidence(self, wrong):
        levels = self._levels
        if wrong == spec.ERROR_MICROPHONE_STUCK:
            return "every word is the same"
        if wrong == spec.ERROR_MICROPHONE_CLIPPED:
            return "%d of %d samples" % (
                levels[spec.AUDIO_LEVEL_INDEX_CLIPPED],
                levels[spec.AUDIO_LEVEL_INDEX_SAMPLES],
            )
        return ""
