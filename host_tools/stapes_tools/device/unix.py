"""The board package on MicroPython's unix port: a board on the PC."""

import importlib.util
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import BoardError, UserError
from .errors import DeviceError
from .natmod import host_arch, install_natmod
from .program import service_program

REPO = Path(__file__).resolve().parents[3]
NATIVE_FOLDER = REPO / "build" / "unix"
_HEAP = "32M"
_TAIL_BYTES = 2000
_GRACE_S = 2.0  # from goodbye to the end of the process


def native_module() -> Path | None:
    """Return the kernels' native module, built anew if a source changed; None where it cannot be built."""
    arch = host_arch()
    if arch is None:
        return None
    try:
        return install_natmod(arch, NATIVE_FOLDER)
    except DeviceError:  # no compiler, or no MicroPython sources: the plain Python kernels run instead
        return None


def interpreter() -> str:
    """Return the path of MicroPython's unix port, from the virtual environment or the PATH.

    Raises:
        UserError: it is not installed.
    """
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise UserError("MicroPython's unix port is not installed", "micropython", "run `make demo`")
    return found


def module_path(native: Path | None = None) -> str:
    """Return MICROPYPATH for the board package and its kernels.

    Args:
        native: the native module; None leaves it out, so that the reference runs.
    """
    folders = [str(native.parent)] if native else []
    for name in ("stapes", "stapes_reference"):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        folders.append(str(Path(spec.origin).parent.parent))
    generated = importlib.util.find_spec("stapes_spec")
    assert generated is not None and generated.origin is not None
    return ":".join([*folders, str(Path(generated.origin).parent), ".frozen"])


class UnixStream:
    """Standard input and output of a MicroPython process that runs stapes.service.

    Args:
        model, grammar: files.
        native: the native module; None runs the plain Python kernels.
    Raises:
        UserError: MicroPython is not there.
    """

    name = "unix"

    def __init__(self, model: str, grammar: str, native: Path | None = None) -> None:
        self._said = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close())
        self._process = subprocess.Popen(
            [interpreter(), "-X", f"heapsize={_HEAP}", "-c", service_program(model, grammar)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(os.environ, MICROPYPATH=module_path(native)),
            bufsize=0,
        )

    def write(self, data: bytes) -> None:
        """Send all of data."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            raise self._stopped() from None

    def read(self, count: int, timeout_s: float) -> bytes:
        """Return at most count bytes of what has arrived, b"" if nothing came in time."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(timeout_s, 0))
        if not ready:
            return b""
        data = os.read(self._process.stdout.fileno(), count)
        if not data:
            raise self._stopped()
        self._said = (self._said + data)[-_TAIL_BYTES:]
        return data

    def close(self) -> None:
        """End the process."""
        process = self._process
        if process.stdin and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
        self._errors.close()

    def _stopped(self) -> BoardError:
        """Say how the process ended, with its own last words: MicroPython prints tracebacks on its output."""
        assert self._process.stdout is not None
        status = self._process.wait(_GRACE_S)
        self._errors.seek(0)
        said = self._errors.read() + self._said + (self._process.stdout.read() or b"")
        lines = said.decode("utf-8", "replace").strip().splitlines()
        words = lines[-1] if lines and lines[-1].isprintable() else f"exit status {status}"
        return BoardError(f"the board's program stopped ({words})", self.name, "report it: this is a fault of Stapes")
