"""The emulator's C files, compiled for the Python that runs it, with an inner loop of our own.

rp2040py's wheel holds its core compiled for any Python from 3.11 on, by the limited API. That looks up each method
by its name, several times per emulated instruction, and takes two thirds of all the time. The same files, which lie
in the wheel beside it, are compiled here once for this Python alone, and emulator_loop.pyx with them: the same
emulator, instruction by instruction and cycle by cycle, nine times faster. Where that cannot be done, the wheel's
core is used.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from .cache import cached, content_hash
from .errors import BuildError

# "wheel": leave the emulator as it was installed. The tests hold the two against each other.
CHOICE = "STAPES_EMULATOR_CORE"
_WHEEL = "wheel"
_PACKAGE = "rp2040py.native"
_LOOP = Path(__file__).with_name("emulator_loop.pyx")
_LOOP_MODULE = f"{__package__}.{_LOOP.stem}"
_FLAGS = ("-O2", "-w", "-fPIC", "-shared", "-fwrapv", "-fno-strict-aliasing", "-DNDEBUG")
_COMPILE_TIMEOUT_S = 600


class _Finder:
    """Finds the modules that lie in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Where a module is loaded from, None if it is not one of ours."""
        package, _, module = name.rpartition(".")
        file = _file(self.folder, module)
        ours = (package == _PACKAGE or name == _LOOP_MODULE) and file.exists()
        return importlib.util.spec_from_file_location(name, file) if ours else None


def _file(folder: Path, module: str) -> Path:
    return folder / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"


def _installed() -> Path | None:
    """The folder of the installed emulator; found without loading any of it."""
    found = importlib.util.find_spec("rp2040py")
    places = found.submodule_search_locations if found else None
    return Path(places[0]) if places else None


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise BuildError(f"no C compiler ({command[0]}): {error}") from None
    except subprocess.TimeoutExpired:
        raise BuildError(f"{command[0]} took over {_COMPILE_TIMEOUT_S} s for the emulator's files") from None
    if done.returncode:
        words = done.stderr.splitlines()
        said = next((line for line in words if "rror" in line), words[-1] if words else "it said nothing")
        raise BuildError(f"{command[0]} refused the emulator's files: {said}")


def compiled_core() -> Path | None:
    """The folder of the compiled core, made the first time, which takes some half a minute.

    Returns:
        Path, or None if the wheel's own core is to be used: the emulator is missing or brings no C files, or
        $STAPES_EMULATOR_CORE says so.
    Raises:
        BuildError: no C compiler, no headers of Python, no Cython.
    """
    package = None if os.environ.get(CHOICE) == _WHEEL else _installed()
    sources = sorted((package / "native").glob("_*.c")) if package else []
    if package is None or not sources:
        return None
    compiler = [os.environ.get("CC", "gcc"), *_FLAGS, f"-I{sysconfig.get_path('include')}"]

    def build(folder: Path) -> None:
        print("compiling the emulator for this Python, once", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(os.cpu_count()) as pool:
            loop = Path(name) / f"{_LOOP.stem}.c"
            translate = [sys.executable, "-m", "cython", "-3", "--module-name", _LOOP_MODULE, "-I", str(package.parent)]
            _run([*translate, str(_LOOP), "-o", str(loop)])
            jobs = [[*compiler, str(source), "-o", str(_file(folder, source.stem))] for source in [*sources, loop]]
            list(pool.map(_run, jobs))

    return cached("emulator-core", content_hash([*sources, _LOOP], sys.version, *compiler), build)


def ready_core() -> Path | None:
    """The same, but with a line on stderr in place of an error."""
    try:
        return compiled_core()
    except BuildError as error:
        print(f"the emulator runs as it was installed, which is slow: {error}", file=sys.stderr, flush=True)
        return None


def use_core() -> None:
    """Let this process, which has not loaded the emulator yet, load the compiled core."""
    if any(name.startswith(f"{_PACKAGE}.") for name in sys.modules):
        return
    folder = ready_core()
    if folder:
        sys.meta_path.insert(0, _Finder(folder))  # type: ignore[arg-type]


def inner_loop() -> Callable[[Any], None]:
    """What runs a simulator whose PIO blocks are paced: ours, or else the wheel's."""
    try:
        return importlib.import_module(_LOOP_MODULE).execute_batch
    except ImportError:
        return _batch_of_the_wheel


def _batch_of_the_wheel(simulator: Any) -> None:
    simulator._execute_batch()
