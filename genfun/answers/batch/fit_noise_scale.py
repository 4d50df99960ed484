"""The gradient noise scale from measured norms of mini-batch gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed

ROUNDS = 50
LEAST = 0.1
"""Least relative error of a measurement, in units of that of pure noise."""

WIDEST = 1e12
"""Largest ratio of two values: beyond, rounding of the largest is as large as the smallest, which are then not seen."""


@dataclass(frozen=True, repr=False)
class NoiseScaleFit(Displayed):
    """The batch size at which noise and gradient are equally large, from measurements.

    Parameters
    ----------
    noise_scale : float
        B_noise = Tr Sigma/|G|^2, in samples; inf where the gradient is not told from 0.
    interval : (float, float)
        Of B_noise; an end may be inf, and both are nan for two points, which leave nothing to judge by.
    level : float
        Its nominal coverage.
    gradient_squared : float
        |G|^2, the squared norm of the gradient of the mean loss.
    trace : float
        Tr Sigma, the variance of the gradient of one sample, added up over its components.
    scatter : float
        Root mean square of (measured - fitted)/measured.
    notes : tuple of str
        What limits the answer.

    Examples
    --------
    >>> fit_noise_scale([1, 10, 100], [21.1, 3.0, 1.2])
    NoiseScaleFit(20.09 samples [19.65, 20.54], |G|^2 0.999, Tr Sigma 20.07)
    """

    noise_scale: float
    interval: tuple[float, float]
    level: float
    gradient_squared: float
    trace: float
    scatter: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"NoiseScaleFit({self.noise_scale:.4g} samples [{low:.4g}, {high:.4g}], "
            f"|G|^2 {self.gradient_squared:.4g}, Tr Sigma {self.trace:.4g})"
        )


def fit_noise_scale(batch_sizes: Any, squared_norms: Any, level: float = 0.9) -> NoiseScaleFit:
    r"""B_noise from the mean squared norm of the gradient at two or more batch sizes.

    .. math:: E|g_b|^2 = |G|^2 + \frac{\mathrm{Tr}\,\Sigma}{b},\qquad B_{noise} = \frac{\mathrm{Tr}\,\Sigma}{|G|^2}

    A straight line in 1/b. The variance of a measurement is in proportion to (E|g_b|^2)^2 - |G|^4, as for normal noise
    of equal variance in all directions, but at least a hundredth of (E|g_b|^2)^2. The interval is Fieller's for the
    ratio of the two coefficients, with Student's quantile for n - 2 degrees of freedom.

    **Assumptions.** All gradients at one place, of batches drawn with replacement or from a stream; independent errors,
    small enough to be taken for normal: average over several batches, as many at every size. At two points (the simple
    estimator of the paper) there is no interval.

    Parameters
    ----------
    batch_sizes : array, shape (n,)
        b > 0, at least two different ones; repeated ones are repeated measurements.
    squared_norms : array, shape (n,)
        |g_b|^2 > 0, of one batch or the mean of several.
    level : float
        Nominal coverage of the interval, in (0, 1).

    Returns
    -------
    NoiseScaleFit

    Raises
    ------
    ValueError
        If the lengths differ, a value is not positive, values differ by a factor above 1e12, or there is only one batch
        size.

    References
    ----------
    arXiv 1812.06162, appendix A.1; the ratio: Fieller (1954).

    Examples
    --------
    >>> import numpy as np
    >>> b = np.array([4, 8, 16, 32, 64])
    >>> round(fit_noise_scale(b, 2.0 + 60.0 / b).noise_scale, 6)
    30.0
    """
    b, y = _check.vector("batch_sizes", batch_sizes), _check.vector("squared_norms", squared_norms)
    if b.size != y.size:
        raise ValueError(f"batch_sizes and squared_norms must be of one length, got {b.size} and {y.size}")
    for name, values in (("batch_sizes", b), ("squared_norms", y)):
        if values.min() <= 0.0:
            raise ValueError(f"{name} must be positive, got {values.min():g}; leave such measurements out")
        if float(np.log(values.max()) - np.log(values.min())) > math.log(WIDEST):
            raise ValueError(
                f"{name} must lie within a factor of {WIDEST:.0e} of each other, got {values.min():g} to "
                f"{values.max():g}, of which doubles hold no line; leave those out that are no measurements"
            )
    if np.unique(b).size < 2:
        raise ValueError(f"batch_sizes must hold at least 2 different values, got {b[0]:g} only; measure another")
    if not 0.0 < _check.number("level", level) < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")

    # In units in which both columns and the data are of order 1.
    unit, size = float(np.exp(np.log(y).mean())), float(np.exp(np.log(b).mean()))
    columns, target = np.stack((np.ones(b.size), size / b), axis=1), y / unit
    spread, coefficients = target, np.zeros(2)
    for _ in range(ROUNDS):
        coefficients = np.linalg.lstsq(columns / spread[:, None], target / spread, rcond=None)[0]
        # A fitted norm below a thousandth of the measured one is a line through 0: the weight stays finite.
        fitted = np.maximum(columns @ coefficients, 1e-3 * target)
        spread = np.sqrt(np.maximum(fitted**2 - max(float(coefficients[0]), 0.0) ** 2, (LEAST * fitted) ** 2))
    freedom = b.size - 2
    residual, scaled = target - columns @ coefficients, columns / spread[:, None]
    variance = float(((residual / spread) ** 2).sum()) / freedom if freedom else math.nan
    covariance = variance * np.linalg.inv(scaled.T @ scaled)
    gradient, trace = (float(c) for c in coefficients)
    ratio = math.inf if gradient <= 0.0 else max(trace, 0.0) / gradient
    low, high = _fieller(trace, gradient, covariance, freedom, level) if freedom else (math.nan, math.nan)
    notes = []
    if not freedom:
        notes.append("two points: no interval; measure at a third batch size")
    if gradient <= 0.0 or math.isinf(high):
        notes.append("the gradient is not told from 0: measure at larger batch sizes, or average over more batches")
    if trace <= 0.0:
        notes.append("the noise is not told from 0: measure at smaller batch sizes, or average over more batches")
    elif not b.min() <= ratio * size <= b.max():
        notes.append(f"the noise scale lies outside the measured batch sizes {b.min():g} .. {b.max():g}")
    return NoiseScaleFit(
        ratio * size,
        (low * size, high * size),
        float(level),
        gradient * unit,
        trace * unit * size,
        float(np.sqrt(np.mean((residual / target) ** 2))),
        tuple(notes),
    )


def _fieller(top: float, bottom: float, covariance: Any, freedom: int, level: float) -> tuple[float, float]:
    """All r >= 0 with (top - r bottom)^2 <= t^2 Var(top - r bottom); up to inf where bottom may be 0."""
    from scipy.special import stdtrit

    t2 = float(stdtrit(freedom, 0.5 + 0.5 * level)) ** 2
    a = bottom**2 - t2 * float(covariance[0, 0])
    half = top * bottom - t2 * float(covariance[0, 1])
    c = top**2 - t2 * float(covariance[1, 1])
    root = math.sqrt(max(half * half - a * c, 0.0))
    if a > 0.0 and bottom > 0.0:
        return max((half - root) / a, 0.0), max((half + root) / a, 0.0)
    # The bottom may be 0: what is left is a lower end, the positive root where there is one.
    low = (half - root) / a if a != 0.0 else c / (2.0 * half) if half > 0.0 else 0.0
    return (max(low, 0.0) if c > 0.0 else 0.0), math.inf
