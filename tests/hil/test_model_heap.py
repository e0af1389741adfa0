"""The interpreter allocates nothing: it plans, runs and resets models on MicroPython while the heap is locked."""

from pathlib import Path

import pytest

MODELS = sorted((Path(__file__).parents[1] / "golden" / "models").glob("*.tflite"))
PROGRAM = """
import micropython
model, info = open({path!r}, 'rb').read(), bytearray(16)
state = bytearray(k.model_size(model, info))
status = k.model_init(state, model, info)
names = (b'encoder', b'predictor', b'lstm', b'classifier')
found = [k.model_subgraph(state, model, name) for name in names]
subgraphs = bytes([index for index in found if index >= 0])
blocked = False

def run():
    total = k.model_size(model, info) - len(state)
    total += k.model_init(state, model, info)
    for i in range(len(subgraphs)):
        for _ in range(3):
            total += k.model_invoke(state, model, subgraphs[i])
    return total + k.model_reset(state, model)

micropython.heap_lock()
try:
    bytearray(1000)
except MemoryError:
    blocked = True
total = run()
micropython.heap_unlock()
print(blocked, len(subgraphs) > 0, status, total)
"""


@pytest.mark.unix
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_nothing_is_allocated(run_unix, path):
    assert run_unix(PROGRAM.format(path=str(path))) == "True True 0 0"
