"""The kernels for packed weights alone on the emulated Cortex-M0+: the assembly equals the C, and what it costs.

`pytest -s tests/hil/test_zero_skip_cycles.py` prints the figures of docs/model_file.md. They hold code and data in RAM:
to them comes what reading the weights from flash takes, FLASH_CYCLES_PER_BYTE.
"""

import struct

import numpy as np
import pytest
import stapes_spec as spec
from stapes_tools.bench.bare_metal import BareMetal, compiled
from stapes_tools.bench.kernels import FLASH_CYCLES_PER_BYTE
from stapes_tools.bench.samples import sparse_matrix
from stapes_tools.convert.zero_skip import encode
from stapes_tools.kernels import build

SIZE = 256
KERNELS = build.FIRMWARE / "kernels"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The kernels, linked for the RP2040's RAM."""
    sources = [
        KERNELS / name
        for name in ("st_zero_skip.c", "st_zero_skip_m0.c", "st_dense.c", "st_dense_m0.c", "st_dense_int4.c")
    ]
    return compiled(sources, tmp_path_factory.mktemp("bare") / "zero_skip.elf")


class Packed:
    """A matrix in the emulated RAM."""

    def __init__(self, program, matrix, bits):
        self.matrix, self.bits = matrix, bits
        self.core = BareMetal(program)
        self.data = encode(matrix, bits)
        at = self.core.place(self.data)
        offset = struct.unpack_from("<I", self.data, spec.ZERO_SKIP_GROUPS_OFFSET_OFFSET)[0]
        rows, depth = matrix.shape
        words = (at + offset, at + spec.ZERO_SKIP_BYTES, (depth + SIZE - 1) // SIZE, (rows + 3) // 4)
        self.packed = self.core.place(struct.pack("<4I", *words))
        self.column = self.core.place(bytes(depth))
        self.sums = self.core.place(bytes(16 * words[3]))

    def __call__(self, x):
        """Products with int8 x; returns the cycles."""
        _, lifting = self.core.call("st_zero_skip_lift", self.core.place(x.tobytes()), len(x), self.column)
        _, cycles = self.core.call(f"st_zero_skip_sums{self.bits}", self.packed, self.column, self.sums)
        rows = len(self.matrix)
        found = np.frombuffer(self.core.read(self.sums, 4 * rows), np.int32)
        assert np.array_equal(found, self.matrix @ (x.astype(np.int64) + 128))
        return lifting + cycles


@pytest.mark.emulator
@pytest.mark.parametrize("bits", [4, 8])
def test_every_count_of_entries(program, bits):
    """Each way into the loops, one segment and several, with the largest products."""
    rng = np.random.default_rng(bits)
    for count in [*range(70), 255, 256]:
        matrix = np.zeros((4, SIZE), np.int64)
        matrix[:, rng.permutation(SIZE)[:count]] = (1 << bits - 1) - 1
        Packed(program, matrix, bits)(np.full(SIZE, 127, np.int8))
    for depth in (1, 7, 256, 257, 300, 515):
        for keep in (0, 0.1, 0.5, 1):
            matrix = sparse_matrix(rng, 12, depth, bits, keep)
            Packed(program, matrix, bits)(rng.integers(-128, 128, depth, dtype=np.int8))


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("bits", "zeros", "most_cycles", "most_bits"),
    [(4, 0.75, 0.985, 1.6), (4, 0.5, 1.88, 3.1), (8, 0.75, 1.2, 2.6), (8, 0.5, 2.35, 5.15), (4, 0.9, 0.5, 0.7)],
)
def test_cycles_per_weight(program, bits, zeros, most_cycles, most_bits):
    rng = np.random.default_rng(1)
    packed = Packed(program, sparse_matrix(rng, SIZE, SIZE, bits, 1 - zeros), bits)
    cycles = packed(rng.integers(-128, 128, SIZE, dtype=np.int8)) / SIZE**2
    size = 8 * len(packed.data) / SIZE**2
    flash = size / 8 * FLASH_CYCLES_PER_BYTE
    print(f"{bits} bits, {zeros:.0%} zeros: {cycles:.3f} cycles and {size:.3f} bits per weight; flash {flash:.2f} more")
    assert cycles <= most_cycles and size <= most_bits
