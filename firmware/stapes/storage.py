"""Files of the board: used where they lie in flash, or read into memory."""

import os

import stapes_spec as spec

from stapes.errors import StapesError

_SIZE = 6  # index of the size in os.stat's tuple
_NO_SPACE = 28  # ENOSPC


def file_bytes(path):
    """Return the contents of a file, 16-byte aligned, without copying where the file system allows.

    A ROMFS file lends its bytes straight from flash; of any other file the contents are read.

    Args:
        path: str, or the contents themselves (bytes, bytearray or memoryview).
    Raises:
        StapesError: the file cannot be read (file), or does not fit in memory (model_memory).
    """
    if not isinstance(path, str):
        return path
    try:
        with open(path, "rb") as file:
            try:
                return memoryview(file)
            except TypeError:
                return _read(file, os.stat(path)[_SIZE])
    except OSError as error:
        raise StapesError(spec.ERROR_FILE, path, _reason(error))
    except MemoryError:
        raise StapesError(spec.ERROR_MODEL_MEMORY, path)


def _read(file, size):
    contents = bytearray(size)
    if file.readinto(contents) != size:
        raise OSError("cut short while reading")
    return contents


def _reason(error):
    """Word an OSError in one short phrase: MicroPython's carry only a number."""
    number = error.args[0] if error.args else 0
    known = {2: "there is no such file", 13: "permission denied", 21: "it is a folder", _NO_SPACE: "no space is left"}
    return known.get(number, str(error))


def replace_file(path, contents):
    """Write a file so that after a loss of power either the old or the new one is whole.

    The contents go to a second file, which then takes the first one's name: littlefs does that in one step.

    Args:
        path: str.
        contents: bytes.
    Raises:
        StapesError: the file system is full (storage_full), or cannot be written (storage).
    """
    fresh = path + ".new"
    try:
        with open(fresh, "wb") as file:
            file.write(contents)
        os.rename(fresh, path)
    except OSError as error:
        try:
            os.remove(fresh)
        except OSError:
            pass  # it was not even begun
        full = error.args and error.args[0] == _NO_SPACE
        raise StapesError(spec.ERROR_STORAGE_FULL if full else spec.ERROR_STORAGE, path, _reason(error))
