"""The linear system of the second moments at a complex point, solved in a subspace that all points share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun._typing import Array, Shaped
from genfun.sample_space.galerkin import Reduced

TOLERANCE = 1e-8
"""Residual relative to the source at which a point counts as solved; the sum over samples is better by far."""
ROUNDING = 1e-14
"""Residual relative to the solution that rounding leaves."""
PATIENCE = 12
"""Rounds without progress after which the residual is left as it is."""


@dataclass(frozen=True)
class Solution:
    """Second moments of the residuals at one point.

    Attributes
    ----------
    coordinates : array, shape (m,)
        In the subspace.
    total : complex
        Sum over samples.
    residual : float
        Norm of what is left of the equation, relative to the source.
    """

    coordinates: Shaped[Array, " m"]
    total: complex
    residual: float


def solve(operator: Reduced, z: complex, source: Shaped[Array, " N"], tolerance: float = TOLERANCE) -> Solution:
    r"""(I - z A) p = b by Galerkin's method; the subspace takes in residuals until the residual is small.

    .. math:: (I - z X^T A X)\,y = X^T b,\qquad p \approx X y

    Residuals are orthogonal to the subspace, which holds the even vector, so that the error of the sum over samples
    is of second order in the residual. Recycling is automatic: what was added for one point serves the others.

    **Assumptions.** 1 is no eigenvalue of z A.

    Parameters
    ----------
    operator : Reduced
        A(z) on a subspace, which grows. Several sources at one point share it.
    z : float or complex
    source : array, shape (N,)
        b.
    tolerance : float
        Residual relative to the source; of a source of zeros the solution is zero.
    """
    space, weights = operator.space, operator.weights
    scale = float(np.abs(source).max())
    if scale == 0.0:
        return Solution(np.zeros(len(space)), 0.0, 0.0)
    # Squares of tiny targets are tinier still, and those of their squares underflow.
    source = source / scale
    size, best, stuck = float(np.linalg.norm(source)), np.inf, 0
    while True:
        y = np.linalg.solve(np.eye(len(space)) - z * operator.matrix(), space.vectors @ source)
        p = y @ space.vectors
        rest = source - p + z * space.apply(weights, y)
        left = float(np.linalg.norm(rest))
        stuck = 0 if left < 0.7 * best else stuck + 1
        best = min(best, left)
        small = left <= max(tolerance * size, ROUNDING * float(np.linalg.norm(p)))
        # Both are to be added, so no `or` that stops at the first.
        if small or stuck > PATIENCE or not any([space.add(rest.real), np.iscomplexobj(rest) and space.add(rest.imag)]):
            return Solution(scale * y, complex(scale * p.sum()), left / size)
