"""One family of K(b) at its best fit to measured points, its noise level, and refits to points drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genfun._typing import Array
from genfun.answers.batch.step_families import Fits, StepFamily, fit_family, polish

ROUNDS = 12
FLOOR = 1e-6
"""Least variance of log K: points that a family meets exactly are still no better than a part in a thousand."""
SETTLED = 1e-14
"""Relative change of the variance below which it is found."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """One family at its best fit to all points.

    Parameters
    ----------
    family : StepFamily
    level, exponent, shape
        c, q, r.
    critical : float
        The b of least samples.
    residual : array, shape (n,)
        Of log K.
    variance : float
        s^2.
    weights : array, shape (n,)
        Inverse variances, rounding included.
    bic : float
        Bayesian information criterion.
    """

    family: StepFamily
    level: float
    exponent: float
    shape: Array
    critical: float
    residual: Array
    variance: float
    weights: Array
    bic: float

    def log_steps(self, b: Array) -> Array:
        """log K at batch sizes.

        Parameters
        ----------
        b : array
        """
        return self.family.log_steps(b, self.level, self.exponent, self.shape)

    def draw(self, count: int, b: Array, rounding: Array, rng: np.random.Generator) -> Fits:
        """Refits to points drawn from this fit, its noise level as uncertain as it is.

        Parameters
        ----------
        count : int
            How many.
        b, rounding : array, shape (n,)
            Batch sizes, and the variance that rounding adds to log K.
        rng : numpy Generator
        """
        freedom = max(b.size - len(self.family.parameters), 1)
        variance = self.variance * freedom / rng.chisquare(freedom, (count, 1))
        points = self.log_steps(b) + rng.standard_normal((count, b.size)) * np.sqrt(variance + rounding)
        return fit_family(self.family, b, points, self.weights * rng.exponential(size=points.shape))


def fit(family: StepFamily, b: Array, log_steps: Array, rounding: Array) -> Fitted:
    """The best fit; the noise level s^2 is what makes the weighted residuals as large as their degrees of freedom.

    Parameters
    ----------
    family : StepFamily
    b, log_steps, rounding : array, shape (n,)
        Batch sizes, log K, and the variance that rounding adds to it.
    """
    n, p = b.size, len(family.parameters)
    variance = 0.01
    found: Fits | None = None
    for _ in range(ROUNDS):
        weights = 1.0 / (variance + rounding)
        found = fit_family(family, b, log_steps[None], weights[None])
        before, variance = variance, max(FLOOR, variance * float(found.misfit[0]) / (n - p))
        # Without rounding all points weigh alike, whatever the variance.
        if abs(variance - before) <= SETTLED * before:
            break
    assert found is not None
    found = polish(family, b, log_steps, 1.0 / (variance + rounding), found.shape[0])
    variance = max(FLOOR, variance * float(found.misfit[0]) / (n - p))
    level, exponent, shape = float(found.level[0]), float(found.exponent[0]), found.shape[0]
    residual = log_steps - family.log_steps(b, level, exponent, shape)
    likely = max(FLOOR, variance * (n - p) / n) + rounding
    deviance = float(np.sum(residual**2 / likely) + np.sum(np.log(2.0 * np.pi * likely)))
    weights = 1.0 / (variance + rounding)
    bic = deviance + (p + 1) * math.log(n)
    return Fitted(family, level, exponent, shape, float(found.critical[0]), residual, variance, weights, bic)
