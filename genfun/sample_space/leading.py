"""Where the leading eigenvalue of the operator is 1: the stability edge, or the dominant singular point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.sample_space.galerkin import GalerkinSpace, RitzPair

RESIDUAL = 1e-5
"""Relative residual above which no eigenvector is believed: a second eigenvalue close below (one-hot tables) lets the
error look small long before."""
MOST = 200
"""Vectors added at most."""
ROUNDS = 40
"""Evaluations at most in one subspace."""
LEAST = 1e-100
"""Values below it count as it."""


@dataclass(frozen=True)
class Leading:
    """The leading eigenvalue and eigenvector of the operator.

    Attributes
    ----------
    value : float
        theta, to the relative error: a lower bound.
    vector : array, shape (N,)
        Unit eigenvector.
    residual : float
        norm(A x - theta x)/theta.
    error : float
        Estimated relative error of theta, res^2 / max(1 - theta_2/theta, res).
    """

    value: float
    vector: Float[Array, " N"]
    residual: float
    error: float


@dataclass(frozen=True)
class UnitPoint:
    """Where the leading eigenvalue is 1.

    Attributes
    ----------
    point : float
        The parameter; the end of the range if the eigenvalue stays below 1 up to it.
    slope : float
        d log theta / d point, 0 if it was never needed.
    error : float
        Estimated absolute error of the point.
    reached : bool
        Whether theta = 1 was found inside the range.
    """

    point: float
    slope: float
    error: float
    reached: bool


def judged(space: GalerkinSpace, weights: Any, pair: RitzPair) -> tuple[Float[Array, " N"], float, float]:
    """The residual vector of a Ritz pair, its norm relative to the value, and the error estimate of the value."""
    rest = space.apply(weights, pair.coordinates) - pair.value * (space.vectors.T @ pair.coordinates)
    value = max(pair.value, LEAST)  # samples that are all alike have no noise, and the operator is 0
    size = min(float(np.linalg.norm(rest)) / value, 1.0 / LEAST)
    return rest, size, size**2 / max(1.0 - pair.second / value, size, LEAST)


def leading(space: GalerkinSpace, weights: Any, tolerance: float) -> Leading:
    """The leading eigenvalue at given weights; the subspace grows by the residuals, as in Lanczos' method.

    Parameters
    ----------
    space : GalerkinSpace
        Not empty.
    weights : array, shape (r (r + 1)/2,)
        Real and positive.
    tolerance : float
        Relative error.
    """
    last, at = len(space) + MOST, space.seen(weights)
    while True:
        pair = at.leading()
        vector = space.vectors.T @ pair.coordinates
        rest, size, error = judged(space, weights, pair)
        if (error <= tolerance and size <= RESIDUAL) or len(space) >= last or not space.add(rest):
            return Leading(pair.value, vector, size, error)


def unit_point(
    space: GalerkinSpace,
    weigh: Callable[[float], Any],
    start: float,
    low: float,
    high: float,
    slope: float,
    tolerance: float,
) -> UnitPoint:
    r"""The point s at which theta(s) = 1, theta(s) monotone, by a secant on log theta in a growing subspace.

    .. math:: s \leftarrow s - \log\theta / (d\log\theta/ds)

    Each round finds the point in the subspace, where an evaluation needs no product, applies the operator there, and
    adds the residual to the subspace. On a subspace theta is too small, so that points err to one side only.

    Parameters
    ----------
    space : GalerkinSpace
        Not empty.
    weigh : callable
        Weights of the operator at s, as `SampleFeatures.weights`.
    start : float
        First guess.
    low, high : float
        s stays between them; either may be infinite.
    slope : float
        First guess of d log theta / ds; its sign is that of the true one.
    tolerance : float
        Absolute error of s.
    """
    point, error, last, whole = min(max(start, low), high), np.inf, len(space) + MOST, False
    while True:
        near, far = low, high
        before: tuple[float, float] | None = None
        rounds = 0
        while True:
            weights = weigh(point)
            pair = space.leading(weights)
            height = float(np.log(max(pair.value, LEAST)))
            if before is not None and abs(point - before[0]) > 1e-9:
                found = (height - before[1]) / (point - before[0])
                slope = found if found * slope > 0.0 else slope
            # Beyond the root of a rising function, or before that of a falling one, the point is an upper bound.
            if height * slope > 0.0:
                far = point
            else:
                near = point
            target = _inside(point - height / slope, (near, far), (low, high), point)
            move = abs(target - point)
            rounds += 1
            if move <= max(0.1 * tolerance, 0.0 if whole else 1e-3 * min(error, 1.0)) or rounds == ROUNDS:
                break
            before, point = (point, height), target
        rest, size, relative = judged(space, weights, pair)
        error = relative / abs(slope)
        settled = move + error <= tolerance and size <= RESIDUAL
        if not settled and len(space) < last and space.add(rest):
            continue
        if settled or whole or move <= 0.1 * tolerance:
            reached = abs(height / slope) <= 10.0 * max(tolerance, error)
            return UnitPoint(target if reached else point, slope, error, reached)
        # No vector is missing any more (few samples, or few that differ), but the point is: once more, to the end.
        whole = True


def _inside(target: float, bracket: tuple[float, float], limits: tuple[float, float], point: float) -> float:
    """The target, at most 2 away; where it leaves the bracket, the limit if that was not tried yet, else the middle."""
    target = min(max(target, point - 2.0), point + 2.0)
    if bracket[0] <= target <= bracket[1]:
        return target
    side = int(target > bracket[1])
    return bracket[side] if bracket[side] == limits[side] else 0.5 * (bracket[0] + bracket[1])
