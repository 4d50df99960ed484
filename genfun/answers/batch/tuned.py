"""The fewest steps to a loss, with the learning rate, or learning rate and momentum, tuned for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array
from genfun.answers.best._search import ENOUGH, SHRINK, ZOOM, Region
from genfun.answers.steps_to_loss import steps_to_loss
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.many import losses_at
from genfun.engine.settings import Settings
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.noise import NoiseModel
from genfun.problems.problem import Problem

GRID = (24, 15)
"""Learning rates and momenta of the first map."""
ROUNDS = 5
"""Closer maps about its minimum."""
CAP = 0.99
"""Largest momentum of either sign that is tried."""
HOPEFUL = 0.5
"""A map whose least log loss is this much above the target is not looked at more closely."""
CLOSE = 1e-3
"""Relative accuracy of the number of steps before the last, exact count."""
MOST_STEPS = 10**9


@dataclass(frozen=True)
class Tuned:
    """A method with the best learning rate for every batch size, and the best momentum unless it is given.

    Parameters
    ----------
    momentum : float or None
        beta in (-1, 1), dimensionless; None tunes it too, between -0.99 and 0.99.
    method : Method or None
        A method whose class and other hyperparameters are kept; None is heavy-ball SGD.

    Raises
    ------
    ValueError
        If abs(momentum) >= 1.

    Examples
    --------
    >>> Tuned(momentum=0.0)
    Tuned(momentum=0.0)
    """

    momentum: float | None = 0.0
    method: Method | None = None

    def __post_init__(self) -> None:
        if self.momentum is not None:
            object.__setattr__(self, "momentum", _check.momentum(self.momentum))
        _ = self.family  # refuses what cannot be tuned

    def __repr__(self) -> str:
        return f"Tuned(momentum={self.momentum!r}{'' if self.method is None else f', method={self.method!r}'})"

    @property
    def family(self) -> Family:
        """The settings among which it is tuned."""
        return Family() if self.method is None else Family(self.method)


class _Reach:
    """Whether a loss can be reached in T steps, and with which setting."""

    def __init__(self, problem: Problem, batch: int | None, log_target: float, tuned: Tuned, noise: NoiseModel) -> None:
        self.region = Region(problem, batch, noise, tuned.momentum, CAP, tuned.family)
        self.problem, self.batch, self.log_target = problem, batch, log_target
        x, y = self.region.axes(GRID)
        self.centre = (float("nan"), float("nan"))
        self._wide = (x, y)

    def _map(self, x: Array, y: Array, steps: int) -> Array:
        rates, betas = self.region.settings(*np.broadcast_arrays(x[:, None], y))
        settings = Settings.of(self.problem, self.region.family, rates, betas, self.batch, self.region.quick, ENOUGH)
        found, error = losses_at(settings, steps)
        logs = found.log()
        return np.where(np.isfinite(logs) & (error < 0.1), logs, np.inf).reshape(x.size, y.size)

    def excess(self, steps: int) -> float:
        """How much the least log loss is above the target, or any at or below it."""
        return self.best(steps, enough=True) - self.log_target

    def best(self, steps: int, enough: bool) -> float:
        """Least log loss, or any at or below the target if that is enough; leaves its place in `centre`."""
        x, y = self._wide
        width = (float(x[1] - x[0]), float(y[1] - y[0]) if y.size > 1 else 0.0)
        least = math.inf
        for _ in range(ROUNDS + 1):
            table = self._map(x, y, steps)
            i, k = np.unravel_index(int(table.argmin()), table.shape)
            if table[i, k] < least:
                least, self.centre = float(table[i, k]), (float(x[i]), float(y[k]))
            if not math.isfinite(least) or (enough and not self.log_target < least < self.log_target + HOPEFUL):
                break
            about = np.linspace(-1.0, 1.0, ZOOM)
            x = self.centre[0] + width[0] * about
            y = np.unique(np.clip(self.centre[1] + width[1] * about, -self.region.cap, self.region.cap))
            width = (width[0] / SHRINK, width[1] / SHRINK)
        if math.isfinite(least) and least <= self.log_target:
            self._narrow()
        return least

    def _narrow(self) -> None:
        """From the first success on, maps begin near it: the best setting moves little with the number of steps."""
        whole_x, whole_y = self.region.axes(GRID)
        about = np.linspace(-3.0, 3.0, ZOOM)
        x = self.centre[0] + about * (whole_x[1] - whole_x[0])
        y = whole_y
        if y.size > 1:
            y = np.unique(np.clip(self.centre[1] + about * (y[1] - y[0]), -self.region.cap, self.region.cap))
        self._wide = (x, y)


def _between(low: int, high: int, above: float, below: float, slow: int) -> int:
    """Where log loss - log target, above 0 at one step and at or below it at a later one, is 0 on a power law.

    After a try that did not halve the steps between (slow = 1) it is twice as far from the nearer end, to come to the
    other side; then by bisection. It keeps from either end half of what is to be left.
    """
    if low < 8:
        return (low + high) // 2
    share = above / (above - below) if math.isfinite(above) and slow < 2 else 0.5
    if slow == 1:
        share = min(max(2.0 * share if share < 0.5 else 2.0 * share - 1.0, 0.0), 1.0)
    beside = max(1, int(0.5 * CLOSE * high))
    return min(max(round(low * (high / low) ** share), low + beside), high - beside)


def tuned_steps(
    problem: Problem | LinearData,
    batch_size: int | None,
    loss: float,
    tuned: Tuned = Tuned(),
    noise: NoiseChoice = None,
) -> tuple[float, Any]:
    r"""The fewest steps to a loss over learning rates (and momenta), and the setting.

    .. math:: K(b) = \min_{\alpha}\ \min\{t : E\,L(t) \le \ell\}

    by interpolation over log t, or bisection where that narrows little, with a map of settings at every t.

    **Assumptions.** Those of `predict`; the least loss over settings falls with t. At most 10^9 steps.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    batch_size : int or None
        b; None means the full batch.
    loss : float
        The target, > 0.
    tuned : Tuned
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    (float, Method or None)
        K, counted exactly at the setting found; (inf, None) if the loss is not reached.

    Examples
    --------
    >>> import genfun as gf
    >>> steps, setting = tuned_steps(gf.LinearProblem([1.0], [2.0]), 1, 0.1)
    >>> steps  # one mode, gamma tau2 = 1: (1 - a)^2 + a^2 - a^2 a step, least at a = 1
    1.0
    """
    case = Case.of(problem, noise=noise)
    if case.initial_loss <= loss:
        return 0.0, None
    if loss < case.label_noise or not (case.has_finite_trace or batch_size is None):
        return np.inf, None
    reach = _Reach(case.problem, batch_size, math.log(loss), tuned, case.noise)
    (low, above), high = (0, math.inf), 1
    while (below := reach.excess(high)) > 0.0:
        if high >= MOST_STEPS:
            return np.inf, None
        (low, above), high = (high, below), 4 * high
    slow = 0
    while high - low > max(1, CLOSE * high):
        before, middle = high - low, _between(low, high, above, below, slow)
        excess = reach.excess(middle)
        if excess <= 0.0:
            high, below = middle, excess
        else:
            low, above = middle, excess
        slow = slow + 1 if high - low > 0.5 * before else 0
    reach.best(high, enough=False)
    setting = reach.region.setting(*reach.centre)
    return steps_to_loss(case.problem, setting, loss, case.noise), setting
