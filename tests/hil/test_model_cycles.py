"""Cycles of the interpreter on the emulated RP2040, the figures of docs/model_file.md.

`pytest -s tests/hil/test_model_cycles.py` prints them.
"""

import pytest
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
