"""A decoder with an end-pointer beside it, through any implementation of the method table; and models with a net."""

import array

import numpy as np
import stapes_spec as spec
from decoder_runner import DecoderRunner
from stapes_tools.convert.endpointer import (
    HIDDEN,
    HISTORY,
    JOINED,
    WIDTHS,
    Ranges,
    encoder_scale,
    net_subgraph,
    with_endpointer,
)
from stapes_tools.convert.metadata import EndpointSettings


def random_net(model, seed, joint=None, scale=None):
    """A net of random weights for a model's encoder."""
    rng = np.random.default_rng(seed)
    size, found = encoder_scale(model)
    inputs = {"encoded": joint or size, "features": 120, "search": spec.ENDPOINT_SEARCH_FEATURES}
    shapes = {name: (WIDTHS[name], count) for name, count in inputs.items()}
    shapes |= {"depthwise": (HISTORY + 1, JOINED), "hidden": (HIDDEN, JOINED), "logit": (1, HIDDEN)}
    layers = {
        name: (rng.normal(0, 0.4, shape), rng.normal(0, 0.3, shape[1] if name == "depthwise" else shape[0]))
        for name, shape in shapes.items()
    }
    return net_subgraph(layers, Ranges(12.0, 12.0, 20.0), joint or size, scale or found)


def with_random_net(model, seed=0, settings=None):
    """A model file with such a net."""
    return with_endpointer(model, random_net(model, seed), settings or EndpointSettings())


class EndpointRunner:
    """One implementation: stapes_tools.kernels or stapes_reference."""

    def __init__(self, kernels, model, graph, rule, settings, **config):
        self.kernels = kernels
        self.decoder = DecoderRunner(kernels, model, graph, **config)
        self.config = array.array("i", settings.config(rule))
        self.state = bytearray(kernels.endpoint_size())
        assert self.restart() == 0

    def restart(self):
        """Start an utterance; returns what endpoint_init returns."""
        self.decoder.restart()
        one = self.decoder.encoder
        return self.kernels.endpoint_init(self.state, one.state, one.model, self.config)

    def step(self, row):
        """Decode one row of features and return the verdict on it."""
        one = self.decoder
        assert one.step(row) == 0
        return self.kernels.endpoint_step(self.state, one.state, one.encoder.state, one.encoder.model, one.graph)

    def status(self):
        values = array.array("i", [0] * spec.ENDPOINT_STATUS_INDEX_COUNT)
        assert self.kernels.endpoint_status(self.state, values) == 0
        return list(values)
