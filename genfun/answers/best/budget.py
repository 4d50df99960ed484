"""What a step costs, and how many steps of each batch size a budget pays for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float

CONFIDENCE = 0.95
HUBER = 1.345
"""Residuals beyond this many standard deviations count linearly: 95 % efficiency for normal errors."""
SWEEPS = 50
MOST_SAMPLES = 10**6
"""Largest batch size that is tried where neither the data nor the budget limits it."""


@dataclass(frozen=True, repr=False)
class StepTime(Displayed):
    r"""Seconds a step as a function of the batch size, a + c b.

    Parameters
    ----------
    fixed : float
        a >= 0, seconds a step whatever the batch.
    per_sample : float
        c >= 0, seconds a sample.
    fixed_interval, per_sample_interval : (float, float)
        95 % intervals; a point if the numbers were given and not fitted.

    Raises
    ------
    ValueError
        If a number is negative, or both are 0.

    Examples
    --------
    >>> t = StepTime(0.001, 2e-5)
    >>> round(t.seconds(100), 6)
    0.003
    """

    fixed: float
    per_sample: float
    fixed_interval: tuple[float, float] = (math.nan, math.nan)
    per_sample_interval: tuple[float, float] = (math.nan, math.nan)

    def __post_init__(self) -> None:
        for name in ("fixed", "per_sample"):
            value = _check.nonnegative("step_time", getattr(self, name), "seconds a step and seconds a sample")
            object.__setattr__(self, name, value)
            if math.isnan(getattr(self, f"{name}_interval")[0]):
                object.__setattr__(self, f"{name}_interval", (value, value))
        if self.fixed + self.per_sample == 0.0:
            raise ValueError("step_time must have a positive entry, got (0, 0); give seconds a step or a sample")

    def __repr__(self) -> str:
        (a, b), (c, d) = self.fixed_interval, self.per_sample_interval
        return (
            f"StepTime({self.fixed:.3g} s a step ({a:.3g} .. {b:.3g}) "
            f"+ {self.per_sample:.3g} s a sample ({c:.3g} .. {d:.3g}))"
        )

    def seconds(self, batch_size: Any) -> Any:
        """Time of one step.

        Parameters
        ----------
        batch_size : int or array
            b.
        """
        return self.fixed + self.per_sample * batch_size

    def steps(self, budget: float, batch_size: int) -> int:
        """Whole steps that a budget pays for, at least one.

        Parameters
        ----------
        budget : float
            Seconds.
        batch_size : int
            b.
        """
        # A budget that is a whole number of steps must not lose one to rounding.
        return max(1, int(budget / self.seconds(batch_size) * (1.0 + 1e-12)))

    def largest_batch(self, budget: float, n_samples: int | None) -> int:
        """The largest batch size of which the budget pays for one step; 0 if it pays for none.

        Parameters
        ----------
        budget : float
            Seconds.
        n_samples : int or None
            N.
        """
        most = MOST_SAMPLES if n_samples is None else n_samples
        if self.per_sample == 0.0:
            return most if budget >= self.fixed else 0
        affordable = (budget - self.fixed) / self.per_sample * (1.0 + 1e-12)
        limit = 10**12 if n_samples is None else n_samples
        return int(max(0.0, min(affordable, limit)))


SAMPLES = StepTime(0.0, 1.0)
"""Cost counted in samples: a budget is b T."""


def fit_step_time(batch_sizes: Any, seconds: Any) -> StepTime:
    r"""Fit the time of a step to measured times.

    .. math:: t(b) = a + c\,b,\qquad \min_{a,c\ge 0}\ \sum_i \rho\Big(\frac{t_i - a - c b_i}{a + c b_i}\Big)

    with Huber's rho, so that a few slow steps (a first step that compiles, another job on the machine) do not move it.

    **Assumptions.** Relative errors of one size, independent. The intervals are a +- t_{n-2} standard errors of the
    weighted fit, cut at 0; with two measurements they cannot be known and run from 0 to inf.

    Parameters
    ----------
    batch_sizes : array, shape (n,)
        b >= 1, at least two different ones.
    seconds : array, shape (n,)
        Seconds a step > 0, aligned with the batch sizes.

    Returns
    -------
    StepTime

    Raises
    ------
    ValueError
        If lengths differ, a number is out of range, or all batch sizes are one.

    References
    ----------
    Huber, Robust Statistics (1981), chapter 7 (reweighting).

    Examples
    --------
    >>> fit_step_time([1, 10, 100, 1000], [0.0102, 0.0109, 0.0201, 0.1099])
    StepTime(0.01 s a step (0.00971 .. 0.0103) + 0.0001 s a sample (9.57e-05 .. 0.000104))
    """
    from scipy.stats import t as student  # on first use: importing scipy takes longer than the rest of the package

    b, y = _check.vector("batch_sizes", batch_sizes), _check.vector("seconds", seconds)
    if b.size != y.size:
        raise ValueError(f"batch_sizes and seconds must have one length, got {b.size} and {y.size}")
    if b.min() < 1.0:
        raise ValueError(f"batch_sizes must be at least 1, got {float(b.min())!r}")
    if y.min() <= 0.0:
        raise ValueError(f"seconds must be positive, got {float(y.min())!r}; time more steps together")
    if np.unique(b).size < 2:
        raise ValueError(f"batch_sizes must differ, got only {float(b[0])!r}; time a second batch size")
    columns = np.stack([np.ones_like(b), b], axis=1)
    found, spread = _robust(columns, y)
    fixed, per_sample = found.tolist()
    free = b.size - 2
    if free == 0:
        return StepTime(fixed, per_sample, (0.0, math.inf), (0.0, math.inf))
    relative = columns / (columns @ found)[:, None]
    misfit = np.abs(y / (columns @ found) - 1.0) / spread
    # Huber's covariance: mean square of the clipped misfits over the squared share of those not clipped.
    share = float(np.mean(misfit <= HUBER))
    variance = spread**2 * float((np.minimum(misfit, HUBER) ** 2).sum()) / (free * share**2)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(relative.T @ relative)))
    reach = float(student.ppf(0.5 + 0.5 * CONFIDENCE, free)) * errors
    low, high = np.maximum(found - reach, 0.0).tolist(), (found + reach).tolist()
    return StepTime(fixed, per_sample, (low[0], high[0]), (low[1], high[1]))


def _robust(columns: Float[Array, "n 2"], y: Float[Array, " n"]) -> tuple[Float[Array, "2"], float]:
    """Huber's fit with relative errors and coefficients >= 0, by reweighting; and the spread of the misfits."""
    from scipy.optimize import nnls  # on first use: importing scipy takes longer than the rest of the package

    scale, weights, found, spread = y, np.ones_like(y), np.zeros(2), 0.0
    for _ in range(SWEEPS):
        factor = np.sqrt(weights) / scale
        before, (found, _) = found, nnls(columns * factor[:, None], y * factor)
        scale = columns @ found
        misfit = np.abs(y / scale - 1.0)
        # Two of n misfits are used up by the fit: the median of the others is what measures the spread.
        spread = max(1.4826 * float(np.median(np.sort(misfit)[2:] if y.size > 2 else misfit)), 1e-12)
        weights = np.minimum(1.0, HUBER * spread / np.maximum(misfit, 1e-300))
        if np.allclose(found, before, rtol=1e-12, atol=0.0):
            break
    return found, spread
