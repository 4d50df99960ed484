"""The largest stable learning rate on given data, without any assumption on their fourth moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.edge import curvature_limit
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.problems.problem import LinearProblem
from genfun.sample_space.galerkin import GalerkinSpace
from genfun.sample_space.leading import unit_point
from genfun.sample_space.operator import SampleFeatures, SampleOperator
from genfun.sample_space.pairs import PairResponses

TOLERANCE = 1e-9
"""Relative error of the rate that is aimed at."""
BELOW = 1e-13
"""The curvature limit less this part of it counts as stable."""


@dataclass(frozen=True)
class SampleEdge:
    """The mean-square stability edge of data.

    Attributes
    ----------
    learning_rate : float
        The largest stable one, in units of 1/eigenvalue.
    error : float
        Estimated relative error.
    products : float
        Products with the features that it took, of 4 N r^2 operations each.
    curvature_binds : bool
        Whether the noiseless dynamics sets the limit, so that batch noise plays no part.
    """

    learning_rate: float
    error: float
    products: float
    curvature_binds: bool


def starting_space(features: SampleFeatures, pairs: PairResponses, q: float) -> GalerkinSpace:
    """A subspace in which leading vectors have a part: even, by size, and on the most outlying sample.

    Parameters
    ----------
    features : SampleFeatures
    pairs : PairResponses
    q : float
        1 - z, real, right of the poles of the pairs.
    """
    space = GalerkinSpace(features)
    diagonal = SampleOperator(features, pairs).diagonal(q)
    space.halves += 1
    space.add(np.ones(features.size))
    space.add(diagonal)
    worst = np.zeros(features.size)
    worst[int(np.argmax(diagonal))] = 1.0
    space.add(worst)
    return space


def sample_edge(
    features: SampleFeatures,
    method: Method,
    tolerance: float = TOLERANCE,
    space: GalerkinSpace | None = None,
) -> SampleEdge:
    r"""The largest learning rate at which the mean loss of these very data converges.

    .. math:: \alpha_{max} = \min\big(\alpha : \rho(T(\alpha\lambda_{max})) = 1,\quad
              \alpha : \theta_{max}[A(1)] = 1\big)

    found as a leading eigenvector and a rate at once, in a subspace that grows by one product a step.

    **Assumptions.** Batches drawn anew at every step. The leading eigenvalue grows with the rate. Relative accuracy
    about 1e-8; 4e-7 with features in single precision.

    Parameters
    ----------
    features : SampleFeatures
    method : Method
        Its learning rate is ignored; it must be a dataclass.
    tolerance : float
        Relative error aimed at.
    space : GalerkinSpace or None
        A subspace to start from and to enlarge; one of earlier answers for the same features saves products.

    References
    ----------
    The threshold of arXiv 2306.07850 (Mulayoff and Michaeli), matrix-free and for any method with finite memory.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> features = SampleFeatures(np.array([[1.0], [1.0]]), np.ones(1))
    >>> round(sample_edge(features, SGD(1.0, batch_size=1)).learning_rate, 9)  # no noise in two equal samples
    2.0
    """
    lam = features.lam
    gamma = sampling_factor(method.batch_size, features.size, method.replacement)
    top = curvature_limit(LinearProblem([lam.max()], [0.0]), method)
    if gamma == 0.0:
        return SampleEdge(top, 0.0, 0.0, True)

    def pairs(rate: float) -> PairResponses:
        return PairResponses(replace(method, learning_rate=rate), gamma)  # pyright: ignore

    at_most = top * (1.0 - BELOW) if np.isfinite(top) else 1e6 / float(lam.max())
    ones = _ones_edge(pairs, lam, at_most)
    space = starting_space(features, pairs(ones), 0.0) if space is None else space
    before, high, aim = space.halves, float(np.log(at_most)), tolerance

    def weigh(log_rate: float) -> Any:
        return features.weights(pairs(float(np.exp(log_rate))), 0.0)

    start = float(np.log(ones))
    while True:
        found = unit_point(space, weigh, start, -np.inf, high, 1.5, aim)
        rate = float(np.exp(found.point))
        diagonal = SampleOperator(features, pairs(rate)).diagonal(0.0)
        space.halves += 1
        start = found.point
        # No diagonal entry can exceed the leading eigenvalue: a vector on few samples was missed.
        if diagonal.max() <= 1.0 + 1e-6 or not space.add((diagonal == diagonal.max()).astype(float)):
            break
    halves = space.halves - before
    return SampleEdge(rate if found.reached else top, found.error, 0.5 * halves, not found.reached)


def _ones_edge(pairs: Callable[[float], PairResponses], lam: Array, top: float) -> float:
    """The rate at which the quotient of the even vector is 1, an upper bound that needs only a sum over modes."""

    def quotient(log_rate: float) -> float:
        rate = float(np.exp(log_rate))
        p = pairs(rate)
        return float(p.gamma * rate**2 * (lam**2 * p.kick(0.0, rate * lam, rate * lam)).sum())

    high = float(np.log(top))
    if quotient(high) < 1.0:
        return top
    low = high - 60.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if quotient(middle) > 1.0 else (middle, high)
    return float(np.exp(high))
