"""Files of the board: used where they lie in flash, or read into memory."""

import os

import stapes_spec as spec

from stapes.errors import StapesError

_SIZE = 6  # index of the size in os.stat's tuple


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
    return {2: "there is no such file", 13: "permission denied", 21: "it is a folder"}.get(number, str(error))
