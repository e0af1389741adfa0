"""A recording that is heard as if it were spoken."""

import struct

import stapes_spec as spec

from stapes.errors import StapesError

_PCM = 1
_EXTENSIBLE = 0xFFFE


class WavMicrophone:
    """A WAV file that is heard as if it were spoken: 16 kHz, mono, 16-bit PCM.

    Args:
        path: str.
    Raises:
        StapesError: the file is missing, is no such recording, or holds no samples.
    """

    def __init__(self, path):
        self._where = path
        try:
            self._file = open(path, "rb")
        except OSError as error:
            raise StapesError(spec.ERROR_FILE, path, str(error))
        self._left = self._read_header()
        if self._left == 0:
            raise StapesError(spec.ERROR_AUDIO_EMPTY, path)

    def readinto(self, samples):
        """Fill samples with what was heard next.

        Args:
            samples: array int16 [n], mono PCM at 16 kHz.
        Returns:
            int: samples written, 0 at the end of the recording.
        """
        read = self._file.readinto(samples) // 2
        count = min(read, self._left)
        self._left -= count
        return count

    def close(self):
        """Close the file."""
        self._file.close()

    def _read_header(self):
        """Skip to the samples of a RIFF file and return how many there are."""
        riff = self._file.read(12)
        if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            raise StapesError(spec.ERROR_AUDIO_FORMAT, self._where)
        known = False
        while True:
            head = self._file.read(8)
            if len(head) < 8:
                raise StapesError(spec.ERROR_AUDIO_FORMAT, self._where, "it has no samples")
            name, size = struct.unpack("<4sI", head)
            if name == b"data" and known:
                return size // 2
            body = self._file.read(size + size % 2) if size < 4096 else b""
            if len(body) < size:
                raise StapesError(spec.ERROR_AUDIO_FORMAT, self._where, "its header is damaged")
            if name == b"fmt ":
                self._check_format(body)
                known = True

    def _check_format(self, body):
        if len(body) < 16:
            raise StapesError(spec.ERROR_AUDIO_FORMAT, self._where, "its header is damaged")
        code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body, 0)
        if code not in (_PCM, _EXTENSIBLE) or bits != 16:
            raise StapesError(spec.ERROR_AUDIO_FORMAT, self._where, "not 16-bit PCM")
        if rate != spec.AUDIO_SAMPLE_RATE_HZ:
            raise StapesError(spec.ERROR_AUDIO_RATE, self._where, "%d Hz" % rate)
        if channels != 1:
            raise StapesError(spec.ERROR_AUDIO_CHANNELS, self._where, "%d channels" % channels)
