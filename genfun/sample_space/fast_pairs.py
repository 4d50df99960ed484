"""Sums over pairs of eigenvalues for heavy-ball SGD, many settings and points at once: the inner loop of maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array, Shaped
from genfun.sample_space.projection import PairMeasure, symmetric

CHUNK, PAIRS = 32_768, 256
"""Numbers in a working array, small enough for the cache, and pairs at least that are summed over at once."""


def denominator_coefficients(q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "4 k"]:
    r"""Coefficients of S in (1, s, p, d^2), with s = lambda_j + lambda_k, p their product, d their difference.

    .. math:: S = (1-\beta z)^2\,[q(1-\beta^2 z) + z((1+\beta)\alpha s - \alpha^2 p)] + \beta z^2\alpha^2 d^2
              + \gamma\alpha^2 p\,z(1-\beta^2z^2)

    Every term is taken as it is, so that nothing is lost near z = 1.

    Parameters
    ----------
    q, beta, g, rate : numbers or arrays that broadcast to shape (k,)
        1 - z, momentum, gamma and learning rate.
    """
    z = 1.0 - q
    forgets = (1.0 - beta) + beta * q  # 1 - beta z
    squared = (1.0 - beta) * (1.0 + beta) + beta * beta * q  # 1 - beta^2 z
    terms = (
        forgets * forgets * squared * q,
        forgets * forgets * z * (1.0 + beta) * rate,
        forgets * z * (g * ((1.0 + beta) - beta * q) - forgets) * rate**2,
        beta * (z * rate) ** 2,
    )
    return np.stack(np.broadcast_arrays(*terms))


@dataclass(frozen=True, eq=False)
class HeavyBallPairs:
    """The pair measure arranged for heavy-ball SGD: u and v of a pair share the denominator S, which is linear in
    four features of the pair, so that all sums are two matrix products around one reciprocal.

    Parameters
    ----------
    measure : PairMeasure
    """

    measure: PairMeasure

    @on_one_thread
    def sums(
        self, q: Shaped[Array, " k"], beta: Any, g: Any, rate: Any, source: bool = True
    ) -> tuple[Shaped[Array, "rows k"], Array]:
        """Sums of the weights over 1/S at k points, and, on the real axis, the smallest S of each.

        Parameters
        ----------
        q : array, shape (k,)
            1 - z, real or complex.
        beta, g, rate : numbers or arrays of shape (k,)
            Momentum, gamma and learning rate of each point.
        source : bool
            Whether the rows of the source are wanted.
        """
        table = denominator_coefficients(q, beta, g, rate)
        weights = self.measure.weights if source else self.measure.kernel
        real = np.real(table).dtype
        features, weights = self.measure.features.astype(real, copy=False), weights.astype(real, copy=False)
        result = np.empty((weights.shape[0], q.size), dtype=table.dtype)
        least = np.full(q.size, np.nan)
        columns = max(1, CHUNK // PAIRS)
        rows = max(PAIRS, CHUNK // min(columns, max(q.size, 1)))
        for start in range(0, q.size, columns):
            part = slice(start, start + columns)
            chunk = np.ascontiguousarray(table[:, part])
            total: Any = 0.0
            smallest = np.full(chunk.shape[1], np.inf)
            for low in range(0, features.shape[0], rows):
                some = slice(low, low + rows)
                inverse = (features[some] @ chunk.view(real)).view(chunk.dtype)
                if not np.iscomplexobj(inverse):
                    np.minimum(smallest, inverse.min(axis=0), out=smallest)
                np.reciprocal(inverse, out=inverse)
                total += weights[:, some] @ inverse.view(real)
            result[:, part] = total.view(chunk.dtype)
            least[part] = smallest
        return result, least

    def kicks(self, sums: Array, q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "rows k"]:
        """gamma alpha^2 u from sums over 1/S; the other arguments as for `sums`."""
        top = ((1.0 - beta) + beta * q) * ((1.0 + beta) - beta * q)
        return sums * (g * rate**2 * top)

    def starts(self, sums: Array, q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "rows k"]:
        """v from the sums of the sources over 1/S, and of those times s; the other arguments as for `sums`."""
        plain, scaled = np.split(sums, 2)
        forgets = (1.0 - beta) + beta * q
        squared = (1.0 - beta) * (1.0 + beta) + beta * beta * q
        return (forgets * forgets * squared) * plain + (forgets * beta * (1.0 - q) * rate) * scaled

    def answers(self, x: Array, q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "k f"]:
        """v of the sources plus z x u of the kernel, where the measure holds questions: a source and m rows for each.

        Parameters
        ----------
        x : array, shape (k, m)
            Second moments on the basis.
        q, beta, g, rate
            As for `sums`.
        """
        rows, count = self.measure.kernel.shape[0], self.measure.source.shape[0]
        sums, _ = self.sums(q, beta, g, rate)
        kicks = self.kicks(sums[:rows], q, beta, g, rate).reshape(count, -1, q.size)
        return (self.starts(sums[rows:], q, beta, g, rate) + (1.0 - q) * np.einsum("ka,fak->fk", x, kicks)).T

    def kernel(self, sums: Array, q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "mm k"]:
        """K(z) at every point, packed, from the first rows of `sums`; the other arguments as there."""
        m = self.measure.size
        return self.kicks(sums[: m * (m + 1) // 2], q, beta, g, rate)

    def kernel_matrix(self, sums: Array, q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "k m m"]:
        """K(z) at every point as matrices; arguments as for `kernel`."""
        return symmetric(self.kernel(sums, q, beta, g, rate), self.measure.size)

    def source(self, sums: Array, q: Any, beta: Any, g: Any, rate: Any) -> Shaped[Array, "m k"]:
        """X^T b at every point, label noise included; arguments as for `kernel`."""
        m, pairs = self.measure.size, self.measure
        z = 1.0 - q
        forgets = (1.0 - beta) + beta * q
        result = self.starts(sums[-2 * m :], q, beta, g, rate)
        if pairs.floor[0] > 0.0:
            result += np.multiply.outer(pairs.floor, 1.0 / q)
            slope, constant = np.broadcast_arrays(rate * z, forgets * q)
            real = np.real(result).dtype
            modes, nodes = pairs.modes.astype(real, copy=False), pairs.nodes.astype(real, copy=False)[:, None]
            columns = max(1, CHUNK // nodes.size)
            for start in range(0, q.size, columns):
                part = slice(start, start + columns)
                inverse = np.reciprocal(nodes * slope[part] + constant[part])
                result[:, part] += (modes @ inverse.view(real)).view(result.dtype) * np.broadcast_to(forgets, q.shape)[
                    part
                ]
        return result
