"""Runs a model through any implementation of the kernels' method table."""

import numpy as np
import stapes_spec as spec


class Runner:
    """One subgraph of a model in one implementation: stapes_tools.kernels or stapes_reference."""

    def __init__(self, kernels, model, subgraph="encoder"):
        self.kernels, self.model = kernels, model
        self.info = bytearray(4 * spec.INFO_INDEX_COUNT)
        size = kernels.model_size(model, self.info)
        assert size >= 0, (size, np.frombuffer(self.info, np.int32))
        self.state = bytearray(size)
        status = kernels.model_init(self.state, model, self.info)
        assert status == 0, status
        self.subgraph = kernels.model_subgraph(self.state, model, subgraph.encode())
        assert self.subgraph >= 0

    def view(self, output, k):
        """The bytes of input or output k."""
        at = self.kernels.model_tensor(self.state, self.model, self.subgraph, output, k)
        size = self.kernels.model_tensor_size(self.state, self.model, self.subgraph, output, k)
        assert at >= 0 and size > 0
        return memoryview(self.state)[at : at + size]

    def __call__(self, *inputs, outputs=1):
        for k, value in enumerate(inputs):
            if value is not None:
                self.view(0, k)[:] = np.ascontiguousarray(value).tobytes()
        status = self.kernels.model_invoke(self.state, self.model, self.subgraph)
        assert status == 0, status
        return [bytes(self.view(1, k)) for k in range(outputs)]


def check(kernels, model):
    """Return model_size and the first three words of info."""
    info = bytearray(4 * spec.INFO_INDEX_COUNT)
    size = kernels.model_size(model, info)
    return size, tuple(np.frombuffer(info, np.int32)[:3].tolist())
