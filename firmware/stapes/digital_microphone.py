"""A microphone at the board's pins."""

from array import array

import stapes_spec as spec

from stapes import kernels
from stapes.audio_path import AudioPath

_STEP = spec.FRONTEND_STEP_SAMPLES


class DigitalMicrophone:
    """Starts at the first read; what the microphone says while it wakes up is not heard.

    Args:
        settings: microphone_settings.Settings.
        source: function (settings) -> a source of words: read(count) returns the words of count samples once they
            are there, `async read_async(count)` the same, lost counts samples, close(); optionally
            hear(state, samples), which makes samples by the audio path's state itself, or None. By default the board's.
        kernels_module: for tests; by default the fastest there is.
    """

    def __init__(self, settings, source=None, kernels_module=None):
        self._settings = settings
        self._open = source or _source
        self._kernels = kernels_module or kernels.native
        self._source = None
        self._hear = None
        self._skip = 0
        self._path = AudioPath(settings, self._kernels)

    @property
    def lost(self):
        """int: samples lost so far, because they were not read in time."""
        return self._source.lost if self._source else 0

    @property
    def levels(self):
        """array int32: how loud the last whole second was, see audio_level_index in the spec."""
        return self._path.levels

    def take_fault(self):
        """Return the StapesError that was found since this was last asked, or None."""
        return self._path.take_fault()

    def readinto(self, samples):
        """Wait until samples can be filled, and fill them.

        Args:
            samples: array int16 [n], at most a step of 480 samples.
        Returns:
            int: n.
        Raises:
            StapesError: the microphone cannot be started.
        """
        count = len(samples)
        if self._skip or self._source is None:
            self._start()
            while self._skip:
                self._skip -= 1
                self._wake(self._source.read(_STEP))
        if self._hear is None:
            self._path.convert(self._source.read(count), samples)
        else:
            self._hear(self._state, samples)
            left = self._left
            left[0] -= count
            if left[0] <= 0:
                self._path.look()
        return count

    async def readinto_async(self, samples):
        """As readinto, while others may run."""
        self._start()
        while self._skip:
            self._skip -= 1
            self._wake(await self._source.read_async(_STEP))
        self._path.convert(await self._source.read_async(len(samples)), samples)
        return len(samples)

    def _wake(self, words):
        """Let the high-pass learn the offset, and nobody hear; the first step began with half a word."""
        if self._skip < self._settings.startup_steps - 1:
            self._path.convert(words, array("h", [0] * _STEP))
        if not self._skip:
            self._path.begin()

    def close(self):
        """Stop the microphone; the next read starts it again."""
        if self._source:
            self._source.close()
            self._source = self._hear = None

    def _start(self):
        if self._source is None:
            self._path = AudioPath(self._settings, self._kernels)
            self._source = self._open(self._settings)
            self._hear = getattr(self._source, "hear", None)
            self._state, self._left = self._path.state, self._path.left
            self._skip = self._settings.startup_steps


def _source(settings):
    """Start the board's own."""
    if settings.driver == "pio":
        from stapes.rp2_source import open_source
    else:
        from stapes.i2s_source import open_source
    return open_source(settings)
