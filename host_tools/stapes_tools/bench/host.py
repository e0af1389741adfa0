"""Instructions on this computer, counted by valgrind's callgrind: the same on every run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from ..device.firmware import run_tool
from ..kernels import build
from .emulated import PROGRAM

VALGRIND_MISSING = "valgrind is missing: nothing is counted on this computer; run: sudo apt-get install valgrind"
_TIMEOUT_S = 600
_FLAGS = [flag for flag in build.FLAGS if flag not in ("-fPIC", "-shared")]


def is_counting() -> bool:
    """Whether valgrind is there."""
    return shutil.which("valgrind") is not None


def program(folder: Path) -> Path:
    """kernels.c on the host library.

    Raises:
        kernels.build.BuildError: no compiler, or it refused the kernels.
    """
    output = folder / "kernels"
    library = build.build_host()
    includes = [f"-I{path}" for path in build.INCLUDES]
    command = [os.environ.get("CC", "gcc"), *_FLAGS, *includes, str(PROGRAM), str(library)]
    run_tool([*command, f"-Wl,-rpath,{library.parent}", "-o", str(output)])
    return output


def product(executable: Path, kernel: str, weights: bytes, rows: int, x: np.ndarray) -> tuple[np.ndarray, int]:
    """Multiply a matrix with a vector: emulated.product's arguments and sums; instructions in place of cycles."""
    places = [executable.with_name(name) for name in ("weights", "x")]
    for place, data in zip(places, (weights, x.tobytes()), strict=True):
        place.write_bytes(data)
    printed, count = _counted(executable, kernel, str(places[0]), str(rows), str(len(x)), str(places[1]))
    return np.array(printed.split(), np.int32), count


def step_instructions(executable: Path, model: bytes) -> int:
    """Instructions of one invocation of a model's encoder."""
    place = executable.with_name("model.tflite")
    place.write_bytes(model)
    return _counted(executable, "step", str(place))[1]


def _counted(executable: Path, *arguments: str) -> tuple[str, int]:
    """What the program prints, and the instructions in its functions called bench_..."""
    found = executable.with_name("callgrind.out")
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=bench_*", f"--callgrind-out-file={found}"]
    done = subprocess.run(
        [*command, str(executable), *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
    )
    total = re.search(r"^(?:summary|totals): (\d+)", found.read_text(), re.MULTILINE)
    assert total, "callgrind has written no total"
    return done.stdout, int(total.group(1))
