"""A model with branches hears a recording, on CPython and MicroPython alike: which branch ran, and what came out."""

import binascii
from array import array

import stapes_spec as spec
from stapes.model import Model

EFFORTS = (50, 20, 80, 0, 100, 60)  # per cent, each for EACH steps
EACH = 8
SAMPLES = spec.FRONTEND_STEP_SAMPLES


def run(kernels, model, stream):
    """Encode every step of a recording.

    Args:
        kernels: module with the methods of docs/kernels_api.md.
        model: str or bytes, as Model takes it.
        stream: file of int16 samples.
    Returns:
        str: a digit for each step, the branch that ran, and the CRC-32 of all encoder outputs.
    """
    model = Model(model, kernels)
    frontend = bytearray(kernels.frontend_size())
    kernels.frontend_init(frontend, model.prior)
    at = kernels.model_tensor(model.state, model.data, model.encoder, 1, 0)
    output = memoryview(model.state)[at : at + kernels.model_tensor_size(model.state, model.data, model.encoder, 1, 0)]
    branches, crc = "", 0
    while True:
        samples = array("h", stream.read(2 * SAMPLES))
        if not samples:
            return f"{branches} {crc & 0xFFFFFFFF}"
        if kernels.frontend_apply(frontend, samples, model.features):
            branches += str(model.encode(EFFORTS[len(branches) // EACH % len(EFFORTS)]))
            crc = binascii.crc32(output, crc)
