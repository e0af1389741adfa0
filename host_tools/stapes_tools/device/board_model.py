"""A model as it goes into a board's flash."""

from pathlib import Path

from ..convert.pack import pack
from ..errors import UserError


def model_for_board(path: Path) -> bytes:
    """The model without its zeros, where that makes it smaller and cheaper; the board computes the same with either.

    A file that is no model goes on as it is: the board says what is wrong with it.

    Args:
        path: a .tflite file.
    Raises:
        UserError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "check the path") from None
    try:
        return pack(data)[0]
    except UserError:
        return data
