"""Cycles of the interpreter on the emulated RP2040, the figures of docs/model_file.md.

`pytest -s tests/hil/test_model_cycles.py` prints them.
"""

import pytest
from stapes_tools.bench.emulated import step_cycles
from stapes_tools.bench.samples import encoder_model
from stapes_tools.convert import pack as packing
from stapes_tools.convert.write import random_model

DEPTH = 256


@pytest.fixture(scope="module")
def measured(image):
    """A function from a model to the emulated cycles of one step of its encoder."""
    return lambda model: step_cycles(image.uf2, model)


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 6.6), (4, 4.9)])
def test_cycles_per_weight(measured, bits, most):
    """What 256 more rows of 256 weights cost, each with its requantisation."""
    models = [random_model(7, bits=bits, channels=DEPTH, blocks=(), joint=rows) for rows in (64, 64 + DEPTH)]
    spent = [measured(model) for model in models]
    figure = (spent[1] - spent[0]) / DEPTH**2
    print(f"{bits} bits: {figure:.2f} cycles per weight, requantisation included")
    assert figure < most


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 5_150_000), (4, 4_030_000)])
def test_cycles_of_a_full_size_encoder(measured, bits, most):
    found = measured(encoder_model(bits))
    print(f"{bits} bits: {found:,} cycles per step")
    assert found < most


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 2_150_000), (4, 2_000_000)])
def test_cycles_of_a_packed_encoder(measured, bits, most):
    """Three quarters of the weights of the full-size encoder are zero."""
    dense = encoder_model(bits, 0.25)
    packed, layers = packing.pack(dense)
    found = measured(packed)
    touched = sum(layer.packed_bytes for layer in layers if layer.subgraph == "encoder")
    before = sum(layer.dense_bytes for layer in layers if layer.subgraph == "encoder")
    print(f"{bits} bits, packed: {found:,} cycles per step; file {len(dense):,} -> {len(packed):,} bytes,")
    print(f"weights read per step {before:,} -> {touched:,} bytes")
    assert found < most
