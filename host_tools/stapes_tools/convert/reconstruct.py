"""Choose the blocks of a matrix that become zero, and let the weights that stay make up for them.

For a given mask the weights that stay are the least-squares solution over the calibration inputs, drawn a little to
what they were; then they are rounded to their integer grid one input after the other, the error of each carried on to
the inputs that are still to come.

Reference: B. Hassibi, D. Stork, Second order derivatives for network pruning: Optimal Brain Surgeon, NIPS 1992;
E. Frantar, D. Alistarh, SparseGPT, arXiv:2301.00774; E. Frantar et al., GPTQ, arXiv:2210.17323.
"""

from dataclasses import dataclass

import numpy as np

# Of the mean square of an input, added to all of them: how much the weights are drawn to what they were. With little
# of it they outgrow their grid.
_DAMPING = 0.1


@dataclass(frozen=True)
class Block:
    """So many neighbouring outputs by so many neighbouring inputs become zero together."""

    rows: int
    columns: int

    def __str__(self) -> str:
        return "{}x{}".format(self.rows, self.columns)

    def score(self, weights: np.ndarray) -> np.ndarray:
        """Means of squares by block, float64 [block rows, block columns] of weights [rows, depth]."""
        rows, depth = weights.shape
        high, wide = -(-rows // self.rows), -(-depth // self.columns)
        padded = np.zeros((high * self.rows, wide * self.columns))
        members = np.zeros_like(padded)
        padded[:rows, :depth], members[:rows, :depth] = weights**2, 1.0
        shape = high, self.rows, wide, self.columns
        return padded.reshape(shape).sum(axis=(1, 3)) / members.reshape(shape).sum(axis=(1, 3))

    def spread(self, blocks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Values by block as values by weight."""
        return blocks.repeat(self.rows, axis=0).repeat(self.columns, axis=1)[: shape[0], : shape[1]]


@dataclass(frozen=True)
class Statistics:
    """Second moments of a layer's inputs, in real units, less their means where the layer has a bias to correct.

    given: float64 [depth, depth] of the inputs as they are now; wanted: of those by the inputs of the original
    network; means: float64 [depth] of both, zero without a bias.
    """

    given: np.ndarray
    wanted: np.ndarray
    given_mean: np.ndarray
    wanted_mean: np.ndarray

    @classmethod
    def of(cls, given: np.ndarray, wanted: np.ndarray, has_bias: bool) -> "Statistics":
        """From inputs, float64 [n, depth] each."""
        means = [x.mean(axis=0) if has_bias else np.zeros(x.shape[1]) for x in (given, wanted)]
        centred = given - means[0]
        count = len(given)
        moments = centred.T @ centred / count, centred.T @ (wanted - means[1]) / count
        damping = _DAMPING * max(float(np.trace(moments[0])) / len(moments[0]), 1e-12)
        drawn = damping * np.eye(len(moments[0]))
        return cls(moments[0] + drawn, moments[1] + drawn, means[0], means[1])


@dataclass(frozen=True)
class Rounded:
    """A matrix on its grid: integers [rows, depth], and what its layer's outputs lost on average, real [rows]."""

    integers: np.ndarray
    missing: np.ndarray


def _kept(score: np.ndarray, zeros: float) -> np.ndarray:
    """Which blocks stay, bool, when a share of them goes, the lowest scores first."""
    keep = np.ones(score.size, bool)
    keep[np.argsort(score, axis=None, kind="stable")[: round(zeros * score.size)]] = False
    return keep.reshape(score.shape)


class Matrix:
    """Weights on a grid.

    Args:
        integers: int [rows, depth].
        steps: float64 [rows, depth], of the grid.
        limits: the least and greatest integer.
    """

    def __init__(self, integers: np.ndarray, steps: np.ndarray, limits: tuple[int, int]):
        self.integers, self.steps, self.limits = integers, steps, limits
        self.real = integers * steps

    def sparse(
        self, zeros: float, block: Block, statistics: Statistics, *, update: bool = True, rounds: int = 1
    ) -> Rounded:
        """The matrix with a share of its blocks zero.

        Args:
            zeros: share of the blocks, those that are zero already included.
            block: their shape.
            statistics: of the inputs.
            update: let the weights that stay make up for those that go.
            rounds: blocks go in so many goes, many at first; those that stay are judged anew after each.
        """
        if not update:
            score = block.score(self.real * np.sqrt(np.diag(statistics.given)))
            return self.masked(_kept(score, zeros), block, statistics, False)
        importance = np.sqrt(1.0 / np.diag(np.linalg.inv(statistics.given)))
        real, least = self.real, float((block.score(self.real) == 0).mean())
        for number in range(1, rounds + 1):
            share = least + max(0.0, zeros - least) * (1.0 - (1.0 - number / rounds) ** 3)
            keep = _kept(block.score(real * importance), share)
            if number < rounds:
                real = self._solved(keep, block, statistics)
        return self.masked(keep, block, statistics)

    def _solved(self, keep: np.ndarray, block: Block, statistics: Statistics) -> np.ndarray:
        """Real weights on the blocks that are kept, not on the grid."""
        real = np.zeros_like(self.real)
        for index, columns in enumerate(keep):
            rows = slice(index * block.rows, (index + 1) * block.rows)
            chosen = np.flatnonzero(columns.repeat(block.columns)[: real.shape[1]])
            if len(chosen):
                real[rows, chosen] = self._least_squares(rows, chosen, statistics)
        return real

    def _least_squares(self, rows: slice, chosen: np.ndarray, statistics: Statistics) -> np.ndarray:
        inner = statistics.given[np.ix_(chosen, chosen)]
        return np.linalg.solve(inner, statistics.wanted[chosen] @ self.real[rows].T).T

    def masked(self, keep: np.ndarray, block: Block, statistics: Statistics, update: bool = True) -> Rounded:
        """The matrix with only those blocks, bool [block rows, block columns], that are kept."""
        integers = np.where(block.spread(keep, self.integers.shape), self.integers, 0)
        if update:
            for index, columns in enumerate(keep):
                rows = slice(index * block.rows, (index + 1) * block.rows)
                chosen = np.flatnonzero(columns.repeat(block.columns)[: integers.shape[1]])
                if len(chosen) < integers.shape[1]:
                    integers[rows, chosen] = self._updated(rows, chosen, statistics)
        missing = self.real @ statistics.wanted_mean - (integers * self.steps) @ statistics.given_mean
        return Rounded(integers, missing)

    def _updated(self, rows: slice, chosen: np.ndarray, statistics: Statistics) -> np.ndarray:
        """Integers of the chosen columns of some rows."""
        if not len(chosen):
            return np.zeros((len(self.real[rows]), 0), np.int64)
        weights = self._least_squares(rows, chosen, statistics)
        return self._round(weights, statistics.given[np.ix_(chosen, chosen)], self.steps[rows][:, chosen])

    def _round(self, weights: np.ndarray, moments: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Round real weights [rows, n] column by column; what an input gains or loses the later ones make up for."""
        factor = np.linalg.cholesky(np.linalg.inv(moments)).T
        weights, integers = weights.copy(), np.zeros(weights.shape, np.int64)
        for k in range(weights.shape[1]):
            integers[:, k] = np.clip(np.rint(weights[:, k] / steps[:, k]), *self.limits)
            error = (weights[:, k] - integers[:, k] * steps[:, k]) / factor[k, k]
            weights[:, k + 1 :] -= error[:, None] * factor[k, k + 1 :]
        return integers
