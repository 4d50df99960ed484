"""Sums over pairs of eigenvalues for any method, many settings and points at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._threads import on_one_thread
from genfun._typing import Array, Shaped
from genfun.methods import numeric
from genfun.methods.qhm import QHM
from genfun.sample_space.projection import PairMeasure, symmetric, weighted
from genfun.sample_space.two_states import TwoStates

CHUNK = 16_384
"""Pairs times points in a working array, small enough for the cache."""


def serves(kind: type[Any], hyper: tuple[float, ...]) -> bool:
    """Whether a step of the class uses the gradient once, so that T is linear in a.

    Parameters
    ----------
    kind : type
        Class of the method.
    hyper : tuple of float
        What its update takes after a.
    """
    rows = [np.array(kind.update(x, *hyper)[0], dtype=np.float64) for x in (0.0, 1.0, 2.0)]
    return np.allclose(rows[2] - rows[1], rows[1] - rows[0], rtol=1e-12, atol=1e-14)


@dataclass(frozen=True, eq=False)
class AnyPairs:
    r"""What `genfun.sample_space.fast_pairs.HeavyBallPairs` is to heavy ball, for another class of methods.

    .. math:: u = u^0/D,\qquad v = v^0/D,\qquad D = 1 + \gamma a_j a_k z u^0

    by the closed form of quasi-hyperbolic momentum, and by elimination for others.

    Attributes
    ----------
    measure : PairMeasure
        Nodes, pairs and weights.
    kind : type
        Class of the method.
    """

    measure: PairMeasure
    kind: type[Any]

    def _moments(self, q: Array, hyper: list[Array], a_j: Array, a_k: Array) -> tuple[Any, Any, Any]:
        if self.kind is QHM:
            return _quasi(*hyper).moments(q, a_j, a_k)
        return numeric.pair_responses(self.kind.update, q, a_j, a_k, hyper)

    @on_one_thread
    def sums(
        self, q: Shaped[Array, " k"], hyper: tuple[Any, ...], g: Any, rate: Any, source: bool = True
    ) -> tuple[Shaped[Array, "rows k"], Array]:
        """K and the source of the pairs, packed below each other, and on the real axis the smallest S of each point.

        Parameters
        ----------
        q : array, shape (k,)
            1 - z, real or complex.
        hyper : tuple of numbers or arrays of shape (k,)
            What the method's update takes after a.
        g, rate : numbers or arrays of shape (k,)
            gamma and learning rate of each point.
        source : bool
            Whether the rows of the source are wanted.
        """
        pairs = self.measure
        columns = [np.broadcast_to(x, q.shape) for x in (g, rate, *hyper)]
        lam_j, lam_k = pairs.nodes[pairs.first][:, None], pairs.nodes[pairs.second][:, None]
        found, least = [], np.full(q.size, np.nan)
        width = max(1, CHUNK // pairs.first.size)
        for start in range(0, q.size, width):
            part = slice(start, start + width)
            some, (gamma, alpha, *others) = q[part], [x[part] for x in columns]
            a_j, a_k = lam_j * alpha, lam_k * alpha
            u, v, det = self._moments(some, others, a_j, a_k)
            D = 1.0 + (gamma * (1.0 - some)) * (a_j * a_k * u)
            if not np.iscomplexobj(D):
                least[part] = np.broadcast_to(np.sign(det) * D, D.shape).min(axis=0)
            rows = (gamma * alpha**2) * weighted(pairs.kernel, u / D)
            found.append(np.concatenate([rows, weighted(pairs.source, v / D)]) if source else rows)
        return np.concatenate(found, axis=1), least

    def kernel(self, sums: Array, q: Any, hyper: tuple[Any, ...], g: Any, rate: Any) -> Shaped[Array, "mm k"]:
        """K(z) at every point, packed, from the first rows of `sums`; the other arguments as there."""
        m = self.measure.size
        return sums[: m * (m + 1) // 2]

    def kernel_matrix(self, sums: Array, q: Any, hyper: tuple[Any, ...], g: Any, rate: Any) -> Shaped[Array, "k m m"]:
        """K(z) at every point as matrices; arguments as for `kernel`."""
        return symmetric(self.kernel(sums, q, hyper, g, rate), self.measure.size)

    def source(self, sums: Array, q: Any, hyper: tuple[Any, ...], g: Any, rate: Any) -> Shaped[Array, "m k"]:
        """X^T b at every point, label noise included; arguments as for `kernel`."""
        pairs = self.measure
        result = sums[-pairs.size :]
        if pairs.floor[0] > 0.0:
            rate, *others = (np.broadcast_to(x, q.shape) for x in (rate, *hyper))
            a = pairs.nodes[:, None] * rate
            quasi = _quasi(*others).mean(q, a) if self.kind is QHM else None
            mean = numeric.mean_response(self.kind.update, q, a, others) if quasi is None else quasi
            result = result + weighted(pairs.modes, mean) + np.multiply.outer(pairs.floor, 1.0 / q)
        return result


def _quasi(beta: Any, nu: Any) -> TwoStates:
    return TwoStates(beta, 1.0 - nu * beta, nu * (1.0 - beta))
