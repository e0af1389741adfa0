"""Cycles of the interpreter on the emulated RP2040, the figures of docs/model_file.md.

`pytest -s tests/hil/test_model_cycles.py` prints them.
"""

import numpy as np
import pytest
import stapes_spec as spec
from stapes_tools.bench.bare_metal import FLASH, BareMetal
from stapes_tools.bench.emulated import CLOCK_MHZ, load_cycles, program, step_cycles
from stapes_tools.bench.samples import encoder_model, lstm_model
from stapes_tools.convert import pack as packing
from stapes_tools.convert.write import random_model
from stapes_tools.models import REPO

DEPTH = 256


@pytest.fixture(scope="module")
def measured(image):
    """A function from a model to the emulated cycles of one step of its encoder."""
    return lambda model: step_cycles(image.uf2, model)


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 4.9), (4, 4.4)])
def test_cycles_per_weight(measured, bits, most):
    """What 256 more rows of 256 weights cost, each with its requantisation."""
    models = [random_model(7, bits=bits, channels=DEPTH, blocks=(), joint=rows) for rows in (64, 64 + DEPTH)]
    spent = [measured(model) for model in models]
    figure = (spent[1] - spent[0]) / DEPTH**2
    print(f"{bits} bits: {figure:.2f} cycles per weight, requantisation included")
    assert figure < most


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 3_500_000), (4, 3_170_000)])
def test_cycles_of_a_full_size_encoder(measured, bits, most):
    found = measured(encoder_model(bits))
    print(f"{bits} bits: {found:,} cycles per step")
    assert found < most


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 1_300_000), (4, 1_075_000)])
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


@pytest.mark.emulator
def test_loading_takes_less_than_300_ms(image):
    model = (REPO / "models/general/model.tflite").read_bytes()
    checked, planned = load_cycles(image.uf2, model)
    print(f"{len(model):,} bytes: {checked:,} cycles to check, {planned:,} to plan")
    assert checked + planned < 0.15 * CLOCK_MHZ * 1e6


@pytest.mark.emulator
def test_loading_takes_little_stack(tmp_path):
    """Whatever the model's size: nothing in the planner recurses, and its tables are of fixed size."""
    elf = program(tmp_path)
    for model in (random_model(1), packing.pack(lstm_model(4, 0.25))[0]):
        core = BareMetal(elf, model)
        info = core.place(bytes(4 * spec.INFO_INDEX_COUNT))
        size, _ = core.call("st_model_size", FLASH, len(model), info)
        assert 0 < size < 1 << 31, np.frombuffer(core.read(info, 16), np.int32)
        stack = core.stack_bytes
        status, _ = core.call("st_model_init", core.place(bytes(size)), size, FLASH, len(model), info)
        assert status == 0
        print(f"stack: {stack} bytes to check, {core.stack_bytes} to plan")
        assert max(stack, core.stack_bytes) < 2560
