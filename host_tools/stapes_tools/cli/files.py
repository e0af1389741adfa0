"""Files that a verb reads and writes, their errors in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError


def read_file(path: Path) -> bytes:
    """A file's contents.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "check the path") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", path, "check the path") from None


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Let an error that names no file name this one."""
    try:
        yield
    except UserError as error:
        raise UserError(error.what, error.path or path, error.advice) from None
