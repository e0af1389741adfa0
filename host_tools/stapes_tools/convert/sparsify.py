"""Make weights zero after training, in blocks, as many in each layer as the network's output bears.

1. How much the output errs when one layer alone is sparse is measured, for several shares of zeros.
2. The global share is reached at the least sum of these errors: layers give blocks where an error buys most weights.
3. Layer after layer, in the order of execution, the weights that stay make up for those that go (reconstruct.py), on
   the inputs that the layers before, sparse already, give them; biases take up what is left on average.

An error is that of the output, squared, over the variance of the original network's output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stapes_tools.convert.calibration import Network, Traces
from stapes_tools.convert.graph import Model
from stapes_tools.convert.layers import Layer, find_layers, inputs, matrix, put, x_scale
from stapes_tools.convert.reconstruct import Block, Matrix, Statistics
from stapes_tools.corpora.progress import bar
from stapes_tools.errors import UserError

_BLOCK_SIZES = (1, 2, 4, 8, 16)
# Shares of zeros at which each layer is tried.
_LEVELS = (0.3, 0.5, 0.65, 0.75, 0.85, 0.93)
_MOST_ZEROS = 0.97
# In which a layer gets its zeros in the end; while layers are measured it is one.
_ROUNDS = 8
# A layer's share of zeros is a multiple of this.
_GRAIN = 1 / 64


@dataclass(frozen=True)
class Sparse:
    """What became of a layer: weights and zeros count elements; alone: the output's error when only it is so sparse,
    as measured or read between measurements."""

    layer: Layer
    subgraph: str
    weights: int
    zeros_before: int
    zeros: int
    alone: float


@dataclass(frozen=True)
class Result:
    """A sparse model; error is the output's now, error_by_size what it is when the smallest weights of every layer go,
    as many in each, and nothing makes up for them."""

    layers: list[Sparse]
    error: float
    error_by_size: float


def parse_block(text: str) -> Block:
    """A block's shape, outputs x inputs, such as 4x1.

    Raises:
        UserError: of another form, or a size that is not served.
    """
    sizes = text.lower().split("x")
    if len(sizes) != 2 or not all(size.isdigit() and int(size) in _BLOCK_SIZES for size in sizes):
        allowed = ", ".join(map(str, _BLOCK_SIZES))
        raise UserError("no such block: {}".format(text), advice="give outputs x inputs, each of {}".format(allowed))
    return Block(*map(int, sizes))


def relative_error(exact: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    """Squared error over variance, the mean over outputs [n, size]."""
    pairs = zip(exact, found, strict=True)
    return float(np.mean([((a - b) ** 2).sum() / max(((a - a.mean(axis=0)) ** 2).sum(), 1e-12) for a, b in pairs]))


class Sparsifier:
    """Makes one network sparse, in place.

    Args:
        network: runs the model.
        block: what becomes zero together.
        update: let the weights that stay make up for those that go.
    Raises:
        UserError: the model has no layer that can be made sparse.
    """

    def __init__(self, network: Network, block: Block, update: bool = True):
        self.network, self.block, self.update = network, block, update
        self.model: Model = network.model
        self.layers = find_layers(self.model)
        if not self.layers:
            packed = any(operator.packed for part in self.model.subgraphs for operator in part.operators)
            raise UserError(
                "no CONV_2D, FULLY_CONNECTED or LSTM layer with constant int8 or int4 weights",
                advice="`stapes densify` it first" if packed else "give a quantised model",
            )
        with bar("run the model", 1) as advance:
            self.exact: Traces = network.trace()
            advance(1)
        self.outputs = network.outputs(self.exact)
        self.originals = {layer.key: self._matrices(layer) for layer in self.layers}
        self.sizes = {key: sum(m.integers.size for m in found) for key, found in self.originals.items()}

    def _part(self, layer: Layer):
        return self.model.subgraphs[layer.subgraph]

    def _matrices(self, layer: Layer) -> list[Matrix]:
        return [matrix(self._part(layer), weights) for weights in layer.matrices]

    def _statistics(self, layer: Layer, traces: Traces) -> list[Statistics]:
        """Of a layer's inputs, by matrix."""
        part = self._part(layer)
        given, wanted = (inputs(part, layer, found[layer.subgraph]) for found in (traces, self.exact))
        made = {free: Statistics.of(given, wanted, free) for free in {w.bias >= 0 for w in layer.matrices}}
        return [made[weights.bias >= 0] for weights in layer.matrices]

    def _apply(self, layer: Layer, zeros: float, statistics: Sequence[Statistics], rounds: int) -> None:
        part = self._part(layer)
        for weights, original, moments in zip(layer.matrices, self.originals[layer.key], statistics, strict=True):
            put(
                part,
                weights,
                original.sparse(zeros, self.block, moments, update=self.update, rounds=rounds),
                x_scale(part, layer),
            )
        self.network.runs[layer.subgraph].renew(layer.operator)

    def _saved(self, layer: Layer):
        part = self._part(layer)
        touched = [k for weights in layer.matrices for k in (*weights.tensors, weights.bias) if k >= 0]
        return {k: part.tensors[k] for k in touched}

    def _restore(self, layer: Layer, saved) -> None:
        for index, tensor in saved.items():
            self._part(layer).tensors[index] = tensor
        self.network.runs[layer.subgraph].renew(layer.operator)

    def zeros_now(self, layer: Layer) -> int:
        """How many of a layer's weights are zero."""
        return sum(m.integers.size - int(np.count_nonzero(m.integers)) for m in self._matrices(layer))

    def sensitivity(self, levels: Sequence[float] = _LEVELS) -> dict[tuple[int, int], list[float]]:
        """The output's error with one layer alone sparse, by layer and level."""
        errors: dict[tuple[int, int], list[float]] = {}
        with bar("measure layers", len(self.layers) * len(levels)) as advance:
            for layer in self.layers:
                statistics, saved = self._statistics(layer, self.exact), self._saved(layer)
                errors[layer.key] = []
                for level in levels:
                    self._apply(layer, level, statistics, 1)
                    traces = self.network.trace([layer.key], self.exact)
                    errors[layer.key].append(relative_error(self.outputs, self.network.outputs(traces)))
                    self._restore(layer, saved)
                    advance(1)
        return errors

    def make_sparse(self, shares: dict[tuple[int, int], float]) -> float:
        """Give every layer its share of zeros, in the order of execution; returns the output's error."""
        traces, done = self.exact, []
        with bar("change weights", len(self.layers)) as advance:
            for layer in self.layers:
                self._apply(layer, shares[layer.key], self._statistics(layer, traces), _ROUNDS)
                done.append(layer.key)
                traces = self.network.trace(done, self.exact)
                advance(1)
        return relative_error(self.outputs, self.network.outputs(traces))

    def error_by_size(self, zeros: float) -> float:
        """The output's error with the smallest weights of every layer gone; changes nothing."""
        saved = {layer.key: self._saved(layer) for layer in self.layers}
        for layer in self.layers:
            part = self._part(layer)
            for weights, original in zip(layer.matrices, self.originals[layer.key], strict=True):
                depth = original.integers.shape[1]
                nothing = Statistics(np.eye(depth), np.eye(depth), np.zeros(depth), np.zeros(depth))
                put(part, weights, original.sparse(zeros, self.block, nothing, update=False), x_scale(part, layer))
            self.network.runs[layer.subgraph].renew(layer.operator)
        traces = self.network.trace([layer.key for layer in self.layers], self.exact)
        error = relative_error(self.outputs, self.network.outputs(traces))
        for layer in self.layers:
            self._restore(layer, saved[layer.key])
        return error


def _curve(levels: Sequence[float], errors: Sequence[float], least: float) -> np.ndarray:
    """Errors at multiples of the grain, straight lines between measurements, increasing ever faster.

    least: the share of zeros that the layer has already, at no error.
    """
    known = [(level, error) for level, error in zip(levels, errors, strict=True) if level > least]
    x, y = [least, *(level for level, _ in known)], [0.0, *(error for _, error in known)]
    if x[-1] < 1.0:  # nobody measures a layer without weights: as bad as the last measurement twice over
        x, y = [*x, 1.0], [*y, 2.0 * y[-1] + 1.0]
    return _convex(np.interp(np.arange(0, 1 + _GRAIN / 2, _GRAIN), x, np.maximum.accumulate(y)))


def _convex(values: np.ndarray) -> np.ndarray:
    """The greatest convex curve below some values."""
    hull: list[int] = []
    for k in range(len(values)):
        while len(hull) > 1:
            a, b = hull[-2:]
            if (values[b] - values[a]) * (k - a) < (values[k] - values[a]) * (b - a):
                break
            hull.pop()
        hull.append(k)
    return np.interp(np.arange(len(values)), hull, values[hull])


def allocate(
    sizes: dict[tuple[int, int], int],
    least: dict[tuple[int, int], float],
    errors: dict[tuple[int, int], list[float]],
    zeros: float,
    levels: Sequence[float] = _LEVELS,
) -> dict[tuple[int, int], float]:
    """Shares of zeros by layer that reach the global one at the least sum of errors.

    Args:
        sizes: weights by layer.
        least: shares of zeros that layers have already.
        errors: by layer and level.
        zeros: the global share.
        levels: of the errors.
    """
    curves = {key: _curve(levels, errors[key], least[key]) for key in sizes}
    shares = {key: int(least[key] / _GRAIN) for key in sizes}
    most = int(_MOST_ZEROS / _GRAIN)
    wanted = zeros * sum(sizes.values())
    while sum(shares[key] * _GRAIN * sizes[key] for key in sizes) < wanted:
        open_layers = [key for key in sizes if shares[key] < most]
        if not open_layers:
            break
        prices = {key: np.diff(curves[key])[shares[key]] / sizes[key] for key in open_layers}
        shares[min(prices, key=prices.__getitem__)] += 1
    return {key: max(share * _GRAIN, least[key]) for key, share in shares.items()}


def sparsify(network: Network, zeros: float, block: Block, *, update: bool = True, measured: bool = True) -> Result:
    """Make a network's weights sparse, in place.

    Args:
        network: with calibration inputs; its model changes.
        zeros: share of all weights of the layers that are to be zero, above 0 and below 1.
        block: what becomes zero together.
        update: let the weights that stay make up for those that go; biases follow in any case.
        measured: shares by layer from measurements, instead of the same in each.
    Raises:
        UserError: the model has no layer that can be made sparse.
    """
    worker = Sparsifier(network, block, update)
    before = {layer.key: worker.zeros_now(layer) for layer in worker.layers}
    least = {key: _zero_blocks(worker.originals[key], block) for key in before}
    by_size = worker.error_by_size(zeros)
    errors = worker.sensitivity() if measured else {key: [0.0] * len(_LEVELS) for key in before}
    even = {key: max(zeros, least[key]) for key in before}
    shares = allocate(worker.sizes, least, errors, zeros) if measured else even
    error = worker.make_sparse(shares)
    rows = [
        Sparse(
            layer,
            network.model.subgraphs[layer.subgraph].name,
            worker.sizes[layer.key],
            before[layer.key],
            worker.zeros_now(layer),
            float(np.interp(shares[layer.key], [least[layer.key], *_LEVELS], [0.0, *errors[layer.key]])),
        )
        for layer in worker.layers
    ]
    return Result(rows, error, by_size)


def _zero_blocks(matrices: Sequence[Matrix], block: Block) -> float:
    """The share of blocks that are zero already."""
    scores = [block.score(one.integers.astype(np.float64)) for one in matrices]
    return sum(int((score == 0).sum()) for score in scores) / sum(score.size for score in scores)
