"""What went wrong on the board, kept in a small file: for those who come later to see what happened."""

from stapes.errors import StapesError
from stapes.storage import file_bytes, replace_file

MOST_BYTES = 2048


class Journal:
    """A text file, a line per fault, oldest first; beyond MOST_BYTES the oldest lines go.

    A fault that equals the last one is not written again: a board that fails at every start would wear out its flash.

    Args:
        path: str; "" keeps nothing.
    """

    def __init__(self, path):
        self._path = path

    def write(self, error):
        """Add a fault.

        Args:
            error: StapesError.
        Raises:
            StapesError: storage_full or storage.
        """
        if not self._path:
            return
        line = b"%d %s\n" % (error.code, str(error).replace("\n", " ").encode())
        old = self.read()
        if old[old.rfind(b"\n", 0, -1) + 1 :] == line:
            return
        old = old[-max(0, MOST_BYTES - len(line)) :] if len(old) + len(line) > MOST_BYTES else old
        if old and len(old) + len(line) >= MOST_BYTES:
            old = old[old.find(b"\n") + 1 :]  # the first line may be cut
        replace_file(self._path, old + line[:MOST_BYTES])

    def read(self):
        """Return the file's contents, bytes; nothing if there is none."""
        try:
            return bytes(file_bytes(self._path))
        except StapesError:
            return b""
