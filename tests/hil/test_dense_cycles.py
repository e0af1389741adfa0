"""The dense int8 kernel alone on the emulated Cortex-M0+: the assembly equals the C, and what it costs."""

import numpy as np
import pytest
from stapes_tools.bench import emulated, kernels
from stapes_tools.bench.bare_metal import BareMetal


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The kernels, linked for the RP2040's RAM."""
    return emulated.program(tmp_path_factory.mktemp("bare"))


def pairs(program, weights, x):
    """Sums of pairs of rows by the assembly and by the C that it replaces, which must find the column unchanged."""
    core = BareMetal(program)
    rows, depth = weights.shape
    column, at, sums = (core.place(data) for data in (x.tobytes(), weights.tobytes(), bytes(4 * rows)))
    start, _ = core.call("st_dense_begin", column, depth)
    for row in range(0, rows, 2):
        core.call("st_dense_pair", at + row * depth, depth, column, start, sums + 4 * row)
    found = core.read(sums, 4 * rows)
    core.call("st_dense_end", column, depth)
    assert core.read(column, 4 * depth) == x.tobytes()
    for row in range(0, rows, 2):
        core.call("st_dense_dot_pair", at + row * depth, depth, column, sums + 4 * row)
    assert core.read(sums, 4 * rows) == found
    return np.frombuffer(found, np.int32)


@pytest.mark.emulator
def test_every_depth_and_the_largest_products(program):
    """Each way into the loop, one turn and several; inputs less their zero point, -255 to 255."""
    rng = np.random.default_rng(0)
    for depth in [*range(4, 72, 4), 256, 508]:
        weights = rng.integers(-128, 128, (2, depth), dtype=np.int8)
        x = rng.integers(-255, 256, depth, dtype=np.int32)
        assert np.array_equal(pairs(program, weights, x), weights.astype(int) @ x)
    for weight in (-128, 127):
        for value in (-255, 255):
            weights = np.full((4, 256), weight, np.int8)
            x = np.full(256, value, np.int32)
            assert np.array_equal(pairs(program, weights, x), weights.astype(int) @ x)


@pytest.mark.emulator
def test_cycles_per_weight(program):
    dense = kernels.PRODUCTS[0]
    sums, cycles = emulated.product(program, dense.function, dense.weights(), kernels.SIZE, kernels.vector())
    assert np.array_equal(sums, dense.matrix() @ kernels.vector().astype(int))
    print(f"int8, dense: {cycles / sums.size / kernels.SIZE:.3f} cycles per weight")
    assert cycles <= 4.8 * sums.size * kernels.SIZE


@pytest.mark.emulator
def test_rows_of_the_emulated_board(image):
    """`stapes bench kernels` on three of its kernels."""
    chosen = [product for product in kernels.PRODUCTS if (product.packed, product.zeros) in ((False, 0), (True, 0.75))]
    dense, _, packed, small = kernels.rows_of(kernels.RP2040, image.uf2, chosen, ())
    assert dense.cycles_per_weight < 4.8 and packed.cycles_per_weight < 1.2 and small.cycles_per_weight < 1.0
    assert kernels.viper_row(image.uf2).cycles_per_weight > 10 * dense.cycles_per_weight
