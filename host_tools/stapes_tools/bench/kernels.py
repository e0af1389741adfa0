"""What a weight costs in each kernel, zeros included: cycles on the emulated RP2040, instructions on this computer."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..convert.graph import pack_int4
from ..convert.inspect import describe, totals
from ..convert.pack import pack
from ..convert.zero_skip import encode
from . import emulated, host
from .board import CLOCKS_HZ, FLASH_BYTES_PER_S
from .samples import conv_model, encoder_model, lstm_model, sparse_matrix

SIZE = 256  # of the matrix: rows and columns
ZEROS = (0.5, 0.75, 0.9)
RP2040, HOST = "rp2040", "host"
FLASH_CYCLES_PER_BYTE = CLOCKS_HZ[0] / FLASH_BYTES_PER_S


@dataclass(frozen=True)
class Row:
    """A kernel, or a whole step of an encoder, on one target.

    Attributes:
        kernel: its name; "layer": a convolution with bias and requantisation; "lstm" and "encoder": a whole step.
        target: rp2040 or host.
        zeros: share of the weights that are zero.
        weights: that one run multiplies, zeros included.
        cycles: of one run; on the host instructions.
        weight_bytes: that one run reads from flash.
    """

    kernel: str
    target: str
    zeros: float
    weights: int
    cycles: int
    weight_bytes: int

    @property
    def cycles_per_weight(self) -> float:
        """Cycles, on the host instructions, per weight, zeros included; reading the flash is not in it."""
        return self.cycles / self.weights

    @property
    def bits_per_weight(self) -> float:
        """Bits in the file per weight, zeros included."""
        return 8 * self.weight_bytes / self.weights

    @property
    def flash_cycles_per_weight(self) -> float | None:
        """What reading the weights from flash adds at 125 MHz; None on the host."""
        return self.weight_bytes * FLASH_CYCLES_PER_BYTE / self.weights if self.target == RP2040 else None

    def figures(self) -> dict[str, str | float | None]:
        """The row for a JSON list, rounded to what it means."""
        flash = self.flash_cycles_per_weight
        return {
            **asdict(self),
            "counted": "cycles" if self.target == RP2040 else "instructions",
            "cycles_per_weight": round(self.cycles_per_weight, 3),
            "bits_per_weight": round(self.bits_per_weight, 3),
            "flash_cycles_per_weight": None if flash is None else round(flash, 3),
        }


@dataclass(frozen=True)
class Product:
    """A matrix for a kernel of kernels.c."""

    kernel: str
    bits: int
    packed: bool
    zeros: float

    @property
    def function(self) -> str:
        """The kernel's function in kernels.c."""
        return f"bench_{'zero_skip' if self.packed else 'dense'}_int{self.bits}"

    def matrix(self) -> np.ndarray:
        """int [SIZE, SIZE]; equal ones for equal zeros and bits."""
        return sparse_matrix(np.random.default_rng(1), SIZE, SIZE, self.bits, 1 - self.zeros)

    def weights(self) -> bytes:
        """The matrix as the kernel reads it."""
        matrix = self.matrix()
        if self.packed:
            return encode(matrix, self.bits)
        return pack_int4(matrix.astype(np.int8)) if self.bits == 4 else matrix.astype(np.int8).tobytes()


PRODUCTS = (
    Product("dense int8", 8, False, 0.0),
    Product("dense int4", 4, False, 0.0),
    *(Product(f"zero-skip int{bits}", bits, True, zeros) for bits in (8, 4) for zeros in ZEROS),
)


@dataclass(frozen=True)
class Step:
    """A model whose encoder is run once."""

    kernel: str
    zeros: float
    make: Callable[[], bytes]

    def row(self, target: str, model: bytes, cycles: int) -> Row:
        """The row of a measured step."""
        encoder = totals(describe(model), "encoder")
        return Row(self.kernel, target, self.zeros, encoder.multiplications, cycles, encoder.constant_bytes)


def _layer(bits: int, zeros: float) -> bytes:
    model = conv_model(Product("", bits, zeros > 0, zeros).matrix(), bits)
    return pack(model)[0] if zeros else model


def _encoder(bits: int, zeros: float) -> bytes:
    model = encoder_model(bits, 1 - zeros)
    return pack(model)[0] if zeros else model


def _lstm(bits: int, zeros: float) -> bytes:
    model = lstm_model(bits, 1 - zeros)
    return pack(model)[0] if zeros else model


STEPS = tuple(
    Step(f"{what} {'zero-skip' if zeros else 'dense'} int{bits}", zeros, partial(make, bits, zeros))
    for what, make in (("layer", _layer), ("lstm", _lstm), ("encoder", _encoder))
    for bits in (8, 4)
    for zeros in (0.0, 0.75)
    if (what, bits, zeros) != ("lstm", 4, 0.0)  # there is no stock one
)
VIPER = "viper int8"


def vector() -> np.ndarray:
    """The vector of all products, int8 [SIZE]."""
    return np.random.default_rng(2).integers(-128, 128, SIZE, dtype=np.int8)


def _checked(product: Product, sums: np.ndarray) -> None:
    """Stop at a kernel that computes something else: its cycles would mean nothing."""
    x = vector().astype(np.int64) + (128 if product.packed else 0)
    assert np.array_equal(sums, product.matrix() @ x), f"{product.function} computes something else"


def rows_of(target: str, uf2: Path | None, products: Sequence[Product], steps: Sequence[Step]) -> Iterator[Row]:
    """Measure kernels on one target, one after the other.

    Args:
        target: RP2040 or HOST.
        uf2: the firmware image, for RP2040.
        products, steps: what to measure.
    Raises:
        UserError, DeviceError, BuildError: what a measurement needs is missing.
    """
    place = emulated if target == RP2040 else host
    with tempfile.TemporaryDirectory() as folder:
        program = place.program(Path(folder))
        for product in products:
            weights = product.weights()
            sums, cycles = place.product(program, product.function, weights, SIZE, vector())
            _checked(product, sums)
            yield Row(product.kernel, target, product.zeros, SIZE * SIZE, cycles, len(weights))
        for step in steps:
            model = step.make()
            if target == RP2040:
                assert uf2 is not None
                yield step.row(target, model, emulated.step_cycles(uf2, model))
            else:
                yield step.row(target, model, host.step_instructions(program, model))


def viper_row(uf2: Path) -> Row:
    """The same product by a plain loop in MicroPython's viper."""
    product = PRODUCTS[0]
    sums, cycles = emulated.viper_product(uf2, product.matrix(), vector())
    _checked(product, sums)
    return Row(VIPER, RP2040, 0.0, SIZE * SIZE, cycles, SIZE * SIZE)


def measure(uf2: Path | None) -> Iterator[Row]:
    """Measure everything: on the emulated RP2040 with a firmware image, on this computer without.

    Raises:
        UserError, DeviceError, BuildError: what a measurement needs is missing.
    """
    if uf2 is None:
        yield from rows_of(HOST, None, PRODUCTS, STEPS)
        return
    yield from rows_of(RP2040, uf2, PRODUCTS, ())
    yield viper_row(uf2)
    yield from rows_of(RP2040, uf2, (), STEPS)


def count(uf2: Path | None) -> int:
    """How many rows measure will give."""
    return len(PRODUCTS) + len(STEPS) + (uf2 is not None)
