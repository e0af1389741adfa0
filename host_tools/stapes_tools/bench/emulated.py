"""Cycles on the emulated RP2040: kernels alone, and whole models in the firmware image."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..device.emulator import EmulatedBoard
from ..device.romfs import firmware_with_romfs
from ..kernels import build
from .bare_metal import BareMetal, compiled

# What MicroPython sets; its clock ticks in microseconds.
CLOCK_MHZ = 125
PROGRAM = Path(__file__).with_name("kernels.c")
_RUN_TIMEOUT_S = 600
_EXTRA_WORDS = 8  # of a column

_INVOKE = """
import stapes_kernels as k, time
model = memoryview(open('/rom/model.tflite', 'rb'))
info = bytearray(16)
state = bytearray(k.model_size(model, info))
assert k.model_init(state, model, info) == 0
encoder = k.model_subgraph(state, model, b'encoder')
start = time.ticks_us()
assert k.model_invoke(state, model, encoder) == 0
print(time.ticks_diff(time.ticks_us(), start))
"""

_LOAD = """
import stapes_kernels as k, time
model = memoryview(open('/rom/model.tflite', 'rb'))
info = bytearray(16)
start = time.ticks_us()
size = k.model_size(model, info)
checked = time.ticks_us()
state = bytearray(size)
begun = time.ticks_us()
assert k.model_init(state, model, info) == 0
print(time.ticks_diff(checked, start), time.ticks_diff(time.ticks_us(), begun))
"""

# int8 matrix x vector as one writes it in viper: pointers, no allocation, inputs widened before.
_VIPER = """
import array, time
@micropython.viper
def product(weights, x, sums, rows: int, depth: int):
    w = ptr8(weights)
    v = ptr32(x)
    s = ptr32(sums)
    at = 0
    for row in range(rows):
        total = 0
        for i in range(depth):
            total += ((w[at] ^ 128) - 128) * v[i]
            at += 1
        s[row] = total
w = open('/rom/weights', 'rb').read()
x = array.array('i', array.array('b', open('/rom/x', 'rb').read()))
sums = array.array('i', bytes(4 * (len(w) // len(x))))
start = time.ticks_us()
product(w, x, sums, len(w) // len(x), len(x))
print(time.ticks_diff(time.ticks_us(), start))
print(list(sums))
"""


def program(folder: Path) -> Path:
    """The kernels and what calls them, linked for the RP2040's RAM."""
    sources = [*sorted((build.FIRMWARE / "kernels").glob("*.c")), PROGRAM]
    return compiled(sources, folder / "kernels.elf")


def product(elf: Path, kernel: str, weights: bytes, rows: int, x: np.ndarray) -> tuple[np.ndarray, int]:
    """Multiply a matrix with a vector.

    Args:
        elf: from program.
        kernel: a function of kernels.c.
        weights: dense or packed, as the function takes them.
        rows: of the matrix.
        x: int8 [depth].
    Returns:
        (sums int32 [rows], cycles).
    """
    core = BareMetal(elf)
    places = [core.place(data) for data in (x.tobytes(), bytes(4 * (len(x) + _EXTRA_WORDS)), bytes(4 * rows))]
    _, cycles = core.call(kernel, core.place(weights), rows, len(x), *places)
    return np.frombuffer(core.read(places[2], 4 * rows), np.int32), cycles


def step_cycles(uf2: Path, model: bytes) -> int:
    """Cycles of one invocation of a model's encoder, by the board's clock.

    Args:
        uf2: the firmware image.
        model: a .tflite file.
    """
    return int(_run(uf2, {"model.tflite": model}, _INVOKE)) * CLOCK_MHZ


def load_cycles(uf2: Path, model: bytes) -> tuple[int, int]:
    """Cycles of checking a model and of planning it, model_size and model_init; reading the flash is not in them."""
    checked, planned = map(int, _run(uf2, {"model.tflite": model}, _LOAD).split())
    return checked * CLOCK_MHZ, planned * CLOCK_MHZ


def viper_product(uf2: Path, matrix: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, int]:
    """The product of an int8 matrix and a vector by a plain loop in MicroPython's viper, and its cycles."""
    files = {"weights": matrix.astype(np.int8).tobytes(), "x": x.tobytes()}
    spent, sums = _run(uf2, files, _VIPER).splitlines()
    return np.array(sums.strip("[]").split(","), np.int32), int(spent) * CLOCK_MHZ


def _run(uf2: Path, files: Mapping[str, bytes], source: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        image = firmware_with_romfs(uf2, files, Path(folder) / "flash.uf2")
        with EmulatedBoard(image) as board:
            return board.prompt().run(source, _RUN_TIMEOUT_S).strip()
