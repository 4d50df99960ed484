"""Which parameters of a family of schedules are best?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array
from genfun.answers.predict import predict
from genfun.case import NoiseChoice
from genfun.data.linear import LinearData
from genfun.problems.problem import Problem
from genfun.schedules.kernel import kernel
from genfun.schedules.scheduled_sgd import ScheduledSGD

CELLS, MOST_CELLS = 9, 200
"""Points per axis of the first map, fewer where their number would exceed the second."""
STARTS = 3
"""Local minima of the map that are polished."""
TOLERANCE = 1e-5
NEAR = 1e-3
"""An optimum this near a bound, as a share of its range, sits on it."""


@dataclass(frozen=True, repr=False)
class ScheduleOptimum(Displayed):
    """The best member of a family of schedules.

    Attributes
    ----------
    method : ScheduledSGD
        The schedule, which says by its `convention` whose momentum it has.
    parameters : tuple of float
        What the family takes.
    loss : float
        Predicted mean loss at `steps`.
    steps : int
        T.
    at_bound : bool
        Whether a parameter sits on its bound, so that better ones may lie beyond.
    bounds : tuple of str
        Which.
    evaluations : int
        Schedules that were predicted.

    Examples
    --------
    >>> import genfun as gf
    >>> family = lambda rate: ScheduledSGD(rate, 0.0, 1)
    >>> optimize_schedule(gf.LinearProblem([1.0], [2.0], noise_variance=0.5), family, [(0.1, 1.5)], steps=3)
    ScheduleOptimum(loss ... at step 3: parameters ..., ... schedules tried)
    """

    method: ScheduledSGD
    parameters: tuple[float, ...]
    loss: float
    steps: int
    at_bound: bool
    bounds: tuple[str, ...]
    evaluations: int

    def __repr__(self) -> str:
        values = ", ".join(f"{x:.4g}" for x in self.parameters)
        momentum = self.method.momentum
        whose = "" if not callable(momentum) and momentum == 0.0 else f"{self.method.convention}'s momentum, "
        bound = f", at a bound: {'; '.join(self.bounds)}" if self.at_bound else ""
        return (
            f"ScheduleOptimum(loss {self.loss:.6g} at step {self.steps}: parameters {values}, {whose}"
            f"{self.evaluations} schedules tried{bound})"
        )


def optimize_schedule(
    problem: Problem | LinearData,
    family: Callable[..., ScheduledSGD],
    bounds: Sequence[tuple[float, float]],
    steps: int,
    noise: NoiseChoice = None,
) -> ScheduleOptimum:
    r"""The parameters of a family of schedules with the least predicted loss.

    .. math:: \min_{\theta}\ L_{\text{family}(\theta)}(T)

    A map over the bounds, then a simplex search (Nelder and Mead) from its best local minima. Ranges of positive
    numbers over a factor of 10 or more are searched in their logarithm.

    **Assumptions.** Those of `predict` under a schedule. A few hundred predictions of T steps: seconds for T = 10^4
    with numba. Global only as far as the map resolves.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    family : callable
        (theta_1, theta_2, ...) -> ScheduledSGD, e.g. `lambda rate: ScheduledSGD(Cosine(rate, 1000), 0.9, 8)`. Its
        momentum is that of torch unless it says convention="keras", and the best rates of one are not those of the
        other.
    bounds : sequence of (float, float)
        Least and greatest value of every parameter.
    steps : int
        T >= 1.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    ScheduleOptimum

    Raises
    ------
    ValueError
        If bounds are empty or reversed, steps < 1, or every schedule of the family diverges.
    TypeError
        If the family does not return a ScheduledSGD.

    References
    ----------
    arXiv 2206.11124, eq. (8) (the recursion that is minimised).

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.schedules import Polynomial
    >>> problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    >>> family = lambda rate, power: ScheduledSGD(Polynomial(rate, power, 10), 0.0, 1)
    >>> found = optimize_schedule(problem, family, [(0.01, 1.5), (0.0, 1.0)], steps=50)
    >>> best = gf.optimize(problem, batch_size=1, steps=50, momentum=0.0)  # the same without decay
    >>> found.parameters[1] > 0.2, found.loss < 0.98 * best.loss
    (True, True)
    """
    from scipy.optimize import minimize  # on first use: importing it takes longer than the package

    last = _check.step("steps", steps, 1)
    limits = [_limits(i, pair) for i, pair in enumerate(bounds)]
    if not limits:
        raise ValueError("bounds is empty; pass a pair (least, greatest) for every parameter of the family")
    logarithmic = np.array([low > 0.0 and high >= 10.0 * low for low, high in limits])
    ends = np.array(limits)
    ends[logarithmic] = np.log(ends[logarithmic])
    span = ends[:, 1] - ends[:, 0]
    tried = 0

    def parameters(u: Array) -> tuple[float, ...]:
        x = ends[:, 0] + span * np.clip(u, 0.0, 1.0)
        values = np.where(logarithmic, np.exp(np.where(logarithmic, x, 0.0)), x)
        # Rounding must not leave the bounds.
        return tuple(float(min(max(v, low), high)) for v, (low, high) in zip(values, limits, strict=True))

    def method(u: Array) -> ScheduledSGD:
        made = family(*parameters(u))
        if not isinstance(made, ScheduledSGD):
            raise TypeError(f"family must return a ScheduledSGD, got {type(made).__name__}")
        return made

    def log_loss(u: Any) -> float:
        nonlocal tried
        tried += 1
        found = float(predict(problem, method(u), last, noise).log_loss)
        # Outside the bounds the loss rises, so that the search comes back.
        return min(max(found, -1e4), 1e4) + 10.0 * float(np.abs(u - np.clip(u, 0.0, 1.0)).sum())

    count = max(3, min(CELLS, int(MOST_CELLS ** (1.0 / len(limits)))))
    axis = np.linspace(0.0, 1.0, count)
    grid = np.array(list(itertools.product(axis, repeat=len(limits))))
    kernel(last * len(grid))  # worth compiling for all of them together
    values = np.array([log_loss(u) for u in grid]).reshape((count,) * len(limits))
    if not (values < 1e4).any():
        raise ValueError("bounds hold no schedule with a finite loss; lower the learning rates")
    best_u, best = grid[int(values.argmin())], float(values.min())
    for start in grid[_minima(values)]:
        simplex = np.vstack((start, start + (0.5 / count) * np.where(start > 0.5, -1.0, 1.0) * np.eye(start.size)))
        options = {"initial_simplex": simplex, "xatol": TOLERANCE, "fatol": TOLERANCE, "maxfev": 150 * start.size}
        polished: Any = minimize(log_loss, start, method="Nelder-Mead", options=options)
        if polished.fun < best:
            best_u, best = np.clip(polished.x, 0.0, 1.0), float(polished.fun)
    sides = [
        f"parameter {i} at {parameters(best_u)[i]:.4g}, its {'least' if u < 0.5 else 'greatest'}"
        for i, u in enumerate(best_u)
        if span[i] > 0.0 and min(u, 1.0 - u) < NEAR
    ]
    loss = float(predict(problem, method(best_u), last, noise).loss)
    return ScheduleOptimum(method(best_u), parameters(best_u), loss, last, bool(sides), tuple(sides), tried)


def _limits(index: int, pair: Any) -> tuple[float, float]:
    low, high = (_check.number(f"bounds[{index}]", x) for x in pair)
    if high < low:
        raise ValueError(f"bounds[{index}] must ascend, got {(low, high)!r}; pass (least, greatest)")
    return low, high


def _minima(values: Array) -> Array:
    """Flat indices of the best few local minima of a map."""
    padded = np.pad(values, 1, constant_values=math.inf)
    lowest = np.ones(values.shape, dtype=bool)
    for axis, move in itertools.product(range(values.ndim), (-1, 1)):
        window = [slice(1, -1)] * values.ndim
        window[axis] = slice(1 + move, padded.shape[axis] - 1 + move)
        lowest &= values <= padded[tuple(window)]
    found = np.flatnonzero(lowest.ravel() & (values.ravel() < 1e4))
    return found[np.argsort(values.ravel()[found])][:STARTS]
