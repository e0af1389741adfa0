"""Cycles of the interpreter on the emulated RP2040, the figures of docs/model_file.md.

`pytest -s tests/hil/test_model_cycles.py` prints them.
"""

import numpy as np
import pytest
from stapes_tools.convert import pack as packing
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.metadata import seal
from stapes_tools.convert.read import read_model
from stapes_tools.convert.topology import Block
from stapes_tools.convert.write import random_model
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.romfs import firmware_with_romfs

CLOCK_MHZ = 125
FULL = {"channels": 256, "blocks": (Block(5),) * 8, "joint": 96}
DEPTH = 256
PROGRAM = """
import stapes_kernels as k, time
model = memoryview(open('/rom/{}', 'rb'))
info = bytearray(16)
state = bytearray(k.model_size(model, info))
assert k.model_init(state, model, info) == 0
encoder = k.model_subgraph(state, model, b'encoder')
start = time.ticks_us()
assert k.model_invoke(state, model, encoder) == 0
print(time.ticks_diff(time.ticks_us(), start))
"""


@pytest.fixture(scope="module")
def measured(image, tmp_path_factory):
    """A function from a model to the emulated cycles of one step of its encoder."""
    folder = tmp_path_factory.mktemp("cycles")

    def cycles(model):
        uf2 = firmware_with_romfs(image.uf2, {"model.tflite": model}, folder / "flash.uf2")
        with EmulatedBoard(uf2) as board:
            return CLOCK_MHZ * int(board.prompt().run(PROGRAM.format("model.tflite"), 300))

    return cycles


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
    found = measured(random_model(7, bits=bits, **FULL))
    print(f"{bits} bits: {found:,} cycles per step")
    assert found < most


def pruned(data, keep):
    """The model with a share of the blocks of four outputs by one input kept in its dense layers, the rest zero."""
    model = read_model(data)
    rng = np.random.default_rng(3)
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if operator.kind == "CONV_2D":
                tensor = subgraph.tensors[operator.inputs[1]]
                matrix = tensor.array().reshape(tensor.shape[0], -1)
                kept = rng.random(((len(matrix) + 3) // 4, matrix.shape[1])) < keep
                tensor.data = packing._stored(matrix * np.repeat(kept, 4, axis=0)[: len(matrix)], tensor.dtype)
    return seal(serialise(model))


@pytest.mark.emulator
@pytest.mark.parametrize(("bits", "most"), [(8, 2_150_000), (4, 2_000_000)])
def test_cycles_of_a_packed_encoder(measured, bits, most):
    """Three quarters of the weights of the full-size encoder are zero."""
    dense = pruned(random_model(7, bits=bits, **FULL), 0.25)
    packed, layers = packing.pack(dense)
    found = measured(packed)
    touched = sum(layer.packed_bytes for layer in layers if layer.subgraph == "encoder")
    before = sum(layer.dense_bytes for layer in layers if layer.subgraph == "encoder")
    print(f"{bits} bits, packed: {found:,} cycles per step; file {len(dense):,} -> {len(packed):,} bytes,")
    print(f"weights read per step {before:,} -> {touched:,} bytes")
    assert found < most
