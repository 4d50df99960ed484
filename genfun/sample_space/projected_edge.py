"""The stability edge under the projected noise: where the largest eigenvalue of K(1) is 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from genfun._root import bracketed_root
from genfun._threads import on_one_thread
from genfun._typing import Array, Float
from genfun.engine.edge import curvature_limit, with_rate
from genfun.methods.base import Method
from genfun.problems.problem import LinearProblem
from genfun.sample_space.fast_pairs import HeavyBallPairs
from genfun.sample_space.pairs import PairResponses
from genfun.sample_space.projection import PairMeasure, symmetric

INSIDE = 1.0 - 1e-12
"""Part of the curvature's limit up to which the noise gain is followed."""
STEEPEST = 700.0
"""Logarithm of a gain that is infinite."""


@dataclass(frozen=True, eq=False)
class ProjectedEdge:
    """The largest stable learning rate, and the leading vector of the noise there.

    Attributes
    ----------
    learning_rate : float
        alpha*.
    curvature_binds : bool
        Whether it is the limit of the noiseless dynamics.
    coordinates : array, shape (m,)
        Unit leading eigenvector of K(1) at alpha*.
    value, second : float
        The two largest eigenvalues of K(1) at alpha*.
    """

    learning_rate: float
    curvature_binds: bool
    coordinates: Float[Array, " m"]
    value: float
    second: float


def gain_matrix(pairs: PairMeasure, method: Method, gamma: float) -> Callable[[float], Float[Array, "m m"]]:
    """K(1) as a function of the learning rate, the method's own ignored; nan where a pair has no stationary state.

    Parameters
    ----------
    pairs : PairMeasure
    method : Method
    gamma : float
        Sampling factor.
    """
    responses = PairResponses(method, gamma)
    beta = responses.momentum
    if beta is not None:
        heavy, at_one = HeavyBallPairs(pairs), np.zeros(1)

        def closed(rate: float) -> Array:
            sums, least = heavy.sums(at_one, beta, gamma, rate, source=False)
            matrix = heavy.kernel_matrix(sums, at_one, beta, gamma, rate)[0]
            return matrix if least[0] > 0.0 else np.full_like(matrix, np.nan)

        return closed
    j, k = pairs.nodes[pairs.first], pairs.nodes[pairs.second]

    decays = getattr(method, "weight_decay", 0.0) > 0.0

    def solved(rate: float) -> Array:
        # Weight decay enters as the learning rate times rho.
        responses = PairResponses(with_rate(method, rate) if decays else method, gamma)
        u = responses.kick(0.0, rate * j, rate * k)
        if not bool(np.all(responses.positive(0.0, rate * j, rate * k))):
            u = np.full_like(u, np.nan)
        return symmetric((gamma * rate**2 * (pairs.kernel @ u))[:, None], pairs.size)[0]

    return solved


@on_one_thread
def projected_edge(pairs: PairMeasure, method: Method, gamma: float) -> ProjectedEdge:
    r"""The learning rate at which the largest eigenvalue of K(1) is 1, or the curvature's limit.

    .. math:: \theta(\alpha) = \max\operatorname{eig} K(1) = 1,\qquad \alpha \le \alpha_{curvature}

    theta grows with alpha from 0, nearly as a power, so that the root is sought in logarithms.

    **Assumptions.** Of the exact operator theta is at least what it is on a few vectors: the edge is never
    underestimated by more than the interpolation of the weights errs.

    Parameters
    ----------
    pairs : PairMeasure
    method : Method
        Its learning rate is ignored.
    gamma : float
        Sampling factor; 0 leaves the curvature's limit.
    """
    top = curvature_limit(LinearProblem([float(pairs.nodes[-1])], [1.0]), method)
    if gamma == 0.0:
        unit = np.eye(pairs.size)[0]
        return ProjectedEdge(top, True, unit, 0.0, 0.0)
    matrix = gain_matrix(pairs, method, gamma)

    def eigen(rate: float) -> tuple[Array, Array]:
        return np.linalg.eigh(matrix(rate))

    def log_gain(x: float) -> float:
        K = matrix(float(np.exp(x)))
        if not np.isfinite(K).all():
            return STEEPEST
        return float(np.log(max(np.linalg.eigvalsh(K)[-1], 1e-300)))

    def at(rate: float, binds: bool) -> ProjectedEdge:
        values, vectors = eigen(rate)
        return ProjectedEdge(rate, binds, vectors[:, -1], float(values[-1]), float(values[-2:][0]))

    with np.errstate(all="ignore"):
        last = np.log(top * INSIDE) if np.isfinite(top) else np.log(1e6 / pairs.nodes[-1])
        high = log_gain(last)
        if high < 0.0:
            return replace(at(float(np.exp(last)), True), learning_rate=top)
        right, left = last, last - 0.7
        low = log_gain(left)
        while low >= 0.0:
            right, left = left, left - min(1.2 * low + 0.05, 3.0)
            low = log_gain(left)
        root = bracketed_root(log_gain, left, right, xtol=1e-13, rtol=1e-14)
        return at(float(np.exp(root)), False)


class KeptEdges:
    """The edges of one measured noise, each found once.

    Parameters
    ----------
    pairs : PairMeasure
    """

    def __init__(self, pairs: PairMeasure) -> None:
        self._pairs = pairs
        self._kept: dict[tuple[Method, float], ProjectedEdge] = {}

    def __call__(self, method: Method, gamma: float) -> ProjectedEdge:
        """As `projected_edge`; the method's learning rate is ignored."""
        try:
            key = (with_rate(method, 1.0), gamma)
            found = self._kept.get(key)
        except TypeError:  # a method of a user's own that has no hash
            return projected_edge(self._pairs, method, gamma)
        if found is None:
            self._kept[key] = found = projected_edge(self._pairs, method, gamma)
        return found
