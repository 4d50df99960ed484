"""How many steps until SGD has left an unstable minimum?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array
from genfun.answers.predict import predict
from genfun.answers.stability import stability
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import curvature_limit
from genfun.engine.singularity import SECTIONS
from genfun.methods.base import Method
from genfun.noise import NoiseModel
from genfun.problems.problem import Problem

Outcome = Literal["stable", "marginal", "escapes", "diverges"]
ONE_BY_ONE = 2_048
"""Up to this step every one is looked at; beyond, a grid of ratio RATIO and then sections between its points."""
RATIO = 1.05
LAST_STEP = 10**15


@dataclass(frozen=True, repr=False)
class EscapeSteps(Displayed):
    """How fast an unstable minimum is left.

    Parameters
    ----------
    status : str
        "stable" (the mean loss converges), "marginal" (on the edge to 1e-9), "escapes" (only noise drives it
        out: U~(1) > 1) or "diverges" (full-batch descent diverges too).
    steps : float
        First step at which the mean loss is `factor` times the initial one; inf unless it escapes or diverges, and
        above 10^15.
    by_rate : float
        ln(factor)/growth rate: the same without the transient; inf where the growth rate is not positive.
    growth_rate : float
        Late-time d log(mean loss)/d step, -ln z*.
    noise_gain : float
        U~(1).
    factor : float
        As asked.

    Examples
    --------
    >>> import genfun as gf
    >>> escape_steps(gf.LinearProblem([1.0] * 8, [1.0] * 8), gf.SGD(0.5, batch_size=2), factor=100.0)
    EscapeSteps(escapes: mean loss x 100 at step 40, growth rate 0.1178 per step, noise gain 1.14286)
    """

    status: Outcome
    steps: float
    by_rate: float
    growth_rate: float
    noise_gain: float
    factor: float

    def __repr__(self) -> str:
        when = f"mean loss x {self.factor:g} at step {self.steps:.6g}, " if math.isfinite(self.steps) else ""
        return (
            f"EscapeSteps({self.status}: {when}growth rate {self.growth_rate:.4g} per step, "
            f"noise gain {self.noise_gain:.6g})"
        )


def escape_steps(
    problem: Problem | LinearData,
    method: Method,
    factor: float = 10.0,
    noise: NoiseChoice = None,
) -> EscapeSteps:
    r"""Steps until the mean loss about an unstable minimum has grown by a factor.

    .. math:: K = \min\{t : L(t) \ge F L(0)\} \approx \frac{\ln F}{-\ln z_*},\qquad z_*\tilde U(z_*) = 1

    The problem is the model linearised at the minimum: the Hessian's eigenvalues there, and the signal of the initial
    displacement.

    **Assumptions.** Those of `stability`; the run is still so close to the minimum that the model is linear. The mean
    is meant: near the edge it is carried by rare runs, and most runs leave later, or not at all. A stable run whose
    loss rises to the floor of label noise has not left.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum at the minimum.
    method : Method
        The setting, e.g. `SGD(0.5, 0.9, 10)`.
    factor : float
        F > 1, by which the mean loss grows.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    EscapeSteps

    Raises
    ------
    ValueError
        If factor <= 1, the initial loss is 0, or the batch is larger than the training set.

    References
    ----------
    arXiv 2206.11124, section 4; sharp minima are left, flat ones kept: arXiv 1812.00542.

    Examples
    --------
    >>> import genfun as gf
    >>> minimum = gf.LinearProblem([1.0] * 8, [1.0] * 8)
    >>> escape_steps(minimum, gf.SGD(0.4, batch_size=2)).status
    'stable'
    """
    growth = _check.number("factor", factor, "pass by how much the mean loss grows, e.g. 10.0")
    if growth <= 1.0:
        raise ValueError(f"factor must be above 1, got {growth!r}; pass by how much the mean loss grows, e.g. 10.0")
    case = Case.of(problem, method, noise)
    problem, model = case.problem, case.noise
    if case.initial_loss == 0.0:
        raise ValueError("problem has no initial loss, which could grow; give it a little signal, e.g. signal=[1e-6]")
    found = stability(problem, method, model)
    if found.status != "diverges":
        status: Outcome = "stable" if found.status == "converges" else "marginal"
        return EscapeSteps(status, math.inf, math.inf, found.growth_rate, found.noise_gain, growth)
    status = "escapes" if method.learning_rate < curvature_limit(problem, method) else "diverges"
    by_rate = math.log(growth) / found.growth_rate if found.growth_rate > 0.0 else math.inf
    steps = _first_above(problem, method, model, math.log(growth), by_rate)
    return EscapeSteps(status, steps, by_rate, found.growth_rate, found.noise_gain, growth)


def _first_above(problem: Problem, method: Method, noise: NoiseModel, rise: float, guess: float) -> float:
    """First step at which log(L/L(0)) is at least the rise."""
    start = math.log(0.5 * (problem.signal_total + problem.noise_variance))

    def above(steps: Array) -> Array:
        return np.flatnonzero(predict(problem, method, steps, noise).log_loss - start >= rise)

    first = np.arange(1, int(min(max(4.0 * guess, 16.0), ONE_BY_ONE)) + 1)
    hit = above(first)
    if hit.size:
        return float(first[hit[0]])
    low, high = int(first[-1]), int(first[-1])
    while high < LAST_STEP:
        low, high = high, min(8 * high, LAST_STEP)
        count = math.ceil(math.log(high / low) / math.log(RATIO)) + 1
        grid = np.unique(np.rint(np.geomspace(low, high, count)).astype(np.int64))
        hit = above(grid)
        if hit.size:
            i = int(hit[0])
            return _between(above, int(grid[max(i - 1, 0)]), int(grid[i]))
    return math.inf


def _between(above: Callable[[Array], Array], low: int, high: int) -> float:
    """The first step of (low, high] that is above, low being below and high above.

    The ends are not asked again: near the crossing another call may differ by its rounding error.
    """
    while high - low > 1:
        steps = np.unique(np.linspace(low, high, SECTIONS).astype(np.int64))
        inside = steps[1:-1]
        hit = above(inside)
        i = int(hit[0]) + 1 if hit.size else steps.size - 1
        low, high = int(steps[i - 1]), int(steps[i])
    return float(high)
