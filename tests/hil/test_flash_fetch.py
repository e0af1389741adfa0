"""Weights read in one go from flash: nothing else touches it meanwhile, and little is left to the cache."""

import tempfile
from pathlib import Path

import pytest
from stapes_tools import kernels as native
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.romfs import firmware_with_romfs
from stapes_tools.models import REPO

MODEL = REPO / "models/coffee/model.tflite"
STEPS = 3

_BEGIN = """
import stapes_kernels as k
model = memoryview(open('/rom/model.tflite', 'rb'))
info = bytearray(16)
state = bytearray(k.model_size(model, info))
assert k.model_init(state, model, info) == 0
encoder = k.model_subgraph(state, model, b'encoder')
at = k.model_tensor(state, model, encoder, 1, 0)
size = k.model_tensor_size(state, model, encoder, 1, 0)
into = k.model_tensor(state, model, encoder, 0, 0)
state[into : into + 120] = bytes(range(120))
"""
_RUN = f"""
for _ in range({STEPS}):
    assert k.model_invoke(state, model, encoder) == 0
print(bytes(state[at : at + size]).hex())
"""


@pytest.fixture(scope="module")
def run(image):
    """What the board's encoder gave, as the board said it, and what the cache fetched meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        flash = firmware_with_romfs(image.uf2, {"model.tflite": MODEL}, Path(folder) / "flash.uf2")
        with EmulatedBoard(flash) as board:
            prompt = board.prompt()
            prompt.run(_BEGIN, 600)
            board.trace(image.elf, 100_000, 0, 4_000_000)
            said = prompt.run(_RUN, 600).strip()
            return said, board.traced()


@pytest.mark.emulator
def test_a_step_equals_the_hosts(run):
    model, info = MODEL.read_bytes(), bytearray(16)
    state = bytearray(native.model_size(model, info))
    assert native.model_init(state, model, info) == 0
    encoder = native.model_subgraph(state, model, b"encoder")
    into = native.model_tensor(state, model, encoder, 0, 0)
    state[into : into + 120] = bytes(range(120))
    for _ in range(STEPS):
        assert native.model_invoke(state, model, encoder) == 0
    at, size = (method(state, model, encoder, 1, 0) for method in (native.model_tensor, native.model_tensor_size))
    assert run[0] == bytes(state[at : at + size]).hex()


@pytest.mark.emulator
def test_flash_is_left_alone_while_it_is_read(run):
    fetches = run[1]
    assert fetches.cycles > 2_000_000
    assert fetches.forbidden == 0
    # Read in place, these loops alone fetch 37 000, 4 800 and 2 800 words in a step.
    for name in ("st_zero_skip_sums4", "st_dense_finish_loop", "st_depthwise_sums"):
        assert fetches.data.get(name, 0) < 300, name
