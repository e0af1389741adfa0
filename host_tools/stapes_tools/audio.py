"""Reads recordings: 16 kHz, mono, WAV, FLAC or Ogg (Opus, Vorbis), checked before they are loaded."""

import os
import stat
import struct
from pathlib import Path

import numpy as np
import soundfile
import stapes_spec as spec

from .errors import UserError

_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG")
_FLOATS = ("FLOAT", "DOUBLE")
_UNKNOWN_SIZE = 0x7FFFF000  # from here on a RIFF size means "not known when the header was written"
_OGG_TAIL_BYTES = 128 * 1024  # two of the longest Ogg pages
_OGG_LAST_PAGE = 4  # bit of an Ogg page's header type


def read_recording(path: str | Path, longest_s: int = spec.LIMITS_MAX_RECORDING_S) -> np.ndarray:
    """Return the samples of a recording.

    Nothing is loaded before its length is known to be acceptable.

    Args:
        path: a WAV, FLAC or Ogg file.
        longest_s: seconds; by default what a recogniser takes.
    Returns:
        int16 [n], n >= 1, 16 kHz, mono.
    Raises:
        UserError: the file is missing or unreadable, no such recording, damaged, empty, too long,
            not mono, or not sampled at 16 kHz.
    """
    path = Path(path)
    _check_file(path)
    try:
        _check_whole(path)
        with soundfile.SoundFile(str(path)) as file:
            limit = longest_s * spec.AUDIO_SAMPLE_RATE_HZ
            _check_format(file, path, limit)
            return _check_samples(_read(file, limit), file, path, limit)
    except soundfile.LibsndfileError as error:
        raise _fault(spec.ERROR_AUDIO_FORMAT, path, str(error).partition(": ")[2].strip(" .")) from None
    except OSError as error:
        raise UserError(f"the file cannot be read ({error.strerror})", path, "check its permissions") from None


def _fault(code: int, path: Path, detail: str = "") -> UserError:
    _, _, text, advice = spec.ERRORS[code]
    return UserError(f"{text} ({detail})" if detail else text, path, advice)


def _check_file(path: Path) -> None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError("there is no such file", path, "check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"the file cannot be read ({reason})", path, "check the path and its permissions") from None
    if stat.S_ISDIR(status.st_mode):
        raise UserError("this is a folder", path, "name one recording in it")
    if not stat.S_ISREG(status.st_mode):
        raise UserError("this is not a regular file", path, "give a WAV, FLAC or Ogg Opus file")
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UserError(f"the file cannot be read ({error.strerror})", path, "check its permissions") from None
    if empty:
        raise UserError("the file is empty", path, "record again, or copy it again from where it came from")


def _check_format(file: soundfile.SoundFile, path: Path, limit: int) -> None:
    """Check what the header says, cheapest mistakes first."""
    if file.format not in _FORMATS:
        raise _fault(spec.ERROR_AUDIO_FORMAT, path, f"it is {file.format}")
    if file.samplerate != spec.AUDIO_SAMPLE_RATE_HZ:
        raise _fault(spec.ERROR_AUDIO_RATE, path, f"but at {file.samplerate} Hz")
    if file.channels != 1:
        raise _fault(spec.ERROR_AUDIO_CHANNELS, path, f"it has {file.channels} channels")
    if limit < file.frames < _unknown_frames():
        raise _too_long(path, f"{file.frames / file.samplerate:.0f} s")


def _unknown_frames() -> int:
    return 1 << 62  # libsndfile says SF_COUNT_MAX where a stream does not tell


def _too_long(path: Path, length: str) -> UserError:
    return _fault(spec.ERROR_AUDIO_LENGTH, path, length)


def _check_whole(path: Path) -> None:
    """Refuse files that end before their header, or their container, says they do."""
    with open(path, "rb") as file:
        magic = file.read(12)
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
        missing = _wav_bytes_missing(path)
        if missing:
            raise _cut_short(path, f"{missing} bytes are missing")
    if magic[:4] == b"OggS" and not _ogg_has_last_page(path):
        raise _cut_short(path, "the last page is missing")


def _cut_short(path: Path, detail: str) -> UserError:
    return UserError(f"the recording is cut short ({detail})", path, "copy it again from where it came from")


def _wav_bytes_missing(path: Path) -> int:
    """Return how many bytes the data chunk of a RIFF file lacks."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        at = 12
        while at + 8 <= size:
            file.seek(at)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                return 0 if length >= _UNKNOWN_SIZE else max(0, at + 8 + length - size)
            at += 8 + length + length % 2
    return 0


def _ogg_has_last_page(path: Path) -> bool:
    """Return whether an Ogg file's last page is whole and marked as the stream's last.

    Reference: RFC 3533, section 6: bytes 5 (flags), 26 (segments) and 27 ... (their lengths).
    """
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _OGG_TAIL_BYTES))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or not page[5] & _OGG_LAST_PAGE:
        return False
    lengths = page[27 : 27 + page[26]]
    return len(page) >= 27 + page[26] + sum(lengths)


def _read(file: soundfile.SoundFile, limit: int) -> np.ndarray:
    """Return at most one sample more than limit, as int16."""
    if file.subtype in _FLOATS:
        samples = file.read(limit + 1, dtype="float64")
        if not np.all(np.isfinite(samples)):
            samples = np.nan_to_num(samples, posinf=1.0, neginf=-1.0)
        return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return file.read(limit + 1, dtype="int16")


def _check_samples(samples: np.ndarray, file: soundfile.SoundFile, path: Path, limit: int) -> np.ndarray:
    if len(samples) > limit:
        raise _too_long(path, f"more than {limit // file.samplerate} s")
    if file.frames < _unknown_frames() and len(samples) < file.frames:
        raise _cut_short(path, f"{len(samples)} of {file.frames} samples")
    if len(samples) == 0:
        raise _fault(spec.ERROR_AUDIO_EMPTY, path)
    return samples
