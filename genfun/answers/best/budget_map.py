"""Large batches or many steps: the loss over both, each at its best learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float, Int
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import edge
from genfun.engine.many import losses_at
from genfun.engine.settings import Settings
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.noise import NoiseModel, sampling_factor
from genfun.problems.problem import Problem

FIRST, LAST, COARSE = -7.0, 9.0, 41
"""The search over learning rates: the logit of their share of the edge, from 0.1 % to 99.99 %."""
FINE, ROUNDS = 9, 3
"""Then ever closer about every minimum of the first search that is below CLOSE times the least."""
CLOSE, TRUST = 4.0, 1e-3
"""Losses are believed where their estimated error is below TRUST."""
OSCILLATE, MOST = 16.0, 400
"""Steps, in units of 1/(1 - beta), within which oscillations of the loss matter, and the most rates for them."""
ENOUGH = 9.0
"""What oscillating modes may still add while searching is exp(-9) = 1e-4 of the loss."""


@dataclass(frozen=True, eq=False, repr=False)
class BudgetMap(Displayed):
    """Least loss over the learning rate, for batch sizes and steps.

    Parameters
    ----------
    batch_sizes : integer array, shape (b,)
        Ascending.
    steps : integer array, shape (t,)
        T, ascending.
    log_loss : array, shape (b, t)
        Natural logarithm of the mean loss at step T, at the best learning rate.
    learning_rates : array, shape (b, t)
        The best ones.
    momentum : float
        beta, fixed.
    n_samples : int or None
        N of the problem.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers.best.budget_map import budget_map
    >>> budget_map(gf.PowerLaw(1.5, 0.5, n_modes=100), [1, 10], [100, 1000])
    BudgetMap(2 batch sizes x 2 steps at momentum 0: loss 0.00... with batch size 10 after 1000 steps)
    """

    batch_sizes: Int[Array, " b"]
    steps: Int[Array, " t"]
    log_loss: Float[Array, "b t"]
    learning_rates: Float[Array, "b t"]
    momentum: float
    n_samples: int | None

    def __repr__(self) -> str:
        return (
            f"BudgetMap({self.batch_sizes.size} batch sizes x {self.steps.size} steps at momentum {self.momentum:.4g}: "
            f"loss {np.exp(self.log_loss[-1, -1]):.3g} with batch size {self.batch_sizes[-1]} "
            f"after {self.steps[-1]} steps)"
        )

    def along(self, samples: float) -> tuple[Int[Array, " k"], Float[Array, " k"]]:
        """Batch sizes of the map that spend a budget of samples b T within its steps, and their log losses.

        **Assumptions.** The loss is interpolated between the steps of the map, linearly in both logarithms.

        Parameters
        ----------
        samples : float
            b T.

        Returns
        -------
        (array, array)
            b, and the natural logarithm of the least loss at T = samples/b.
        """
        t = samples / self.batch_sizes
        inside = np.flatnonzero((t >= self.steps[0] * (1 - 1e-9)) & (t <= self.steps[-1] * (1 + 1e-9)))
        x = np.log(self.steps)
        losses = np.array([np.interp(np.log(t[i]), x, self.log_loss[i]) for i in inside])
        return self.batch_sizes[inside], losses


def budget_map(
    problem: Problem | LinearData,
    batch_sizes: Any,
    steps: Any,
    momentum: float = 0.0,
    noise: NoiseChoice = None,
    method: Method | None = None,
) -> BudgetMap:
    r"""The least loss over the learning rate, for every batch size and number of steps.

    .. math:: \min_\alpha L(T;\ \alpha, \beta, b)

    **Assumptions.** As for `predict`. A global search over 41 rates up to the edge of stability, and over more where
    momentum makes the loss of a short run oscillate, then closer ones about its minima.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum, with a finite trace.
    batch_sizes : integers, shape (b,)
        Each in 1..n_samples.
    steps : integers, shape (t,)
        T >= 1.
    momentum : float
        beta in (-1, 1).
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    method : Method or None
        A method whose class and other hyperparameters are kept; None is heavy-ball SGD.

    Returns
    -------
    BudgetMap

    Raises
    ------
    ValueError
        If a value is out of range, or no learning rate is stable.

    References
    ----------
    arXiv 2206.11124, section 6; budgets of samples: arXiv 2402.15344.

    Examples
    --------
    >>> import genfun as gf
    >>> m = budget_map(gf.LinearProblem([1.0], [2.0]), [1], [2])
    >>> round(float(m.learning_rates[0, 0]), 2)  # one mode: (1 - a)^2 a step at gamma tau2 = 1
    1.0
    """
    sizes = np.unique([_check.integer("batch_sizes", b, 1) for b in np.ravel(batch_sizes)])
    times = np.unique(_check.steps(steps))
    if times[0] < 1:
        raise ValueError(f"steps must be at least 1, got {times[0]}; nothing is learned before the first step")
    beta = _check.momentum(momentum)
    case, family = Case.of(problem, noise=noise), Family() if method is None else Family(method)
    if not case.has_finite_trace:
        raise ValueError("problem has an infinite trace: no learning rate is stable; set n_modes")
    search = _Search(case.problem, family, sizes, beta, case.noise)
    found = [search.best(int(step)) for step in times]
    log_loss, best = (np.stack(column, axis=1) for column in zip(*found, strict=True))
    return BudgetMap(sizes, times, log_loss, best, beta, case.problem.n_samples)


class _Search:
    """The best learning rate of every batch size, at one step at a time."""

    def __init__(self, problem: Problem, family: Family, sizes: Array, beta: float, noise: NoiseModel) -> None:
        self.problem, self.family, self.sizes, self.beta, self.noise = problem, family, sizes, beta, noise
        drawn = family.template.replacement
        self.gammas = np.array([sampling_factor(int(b), problem.n_samples, drawn) for b in sizes])
        self.edges = np.array([edge(problem, family.at(1.0, beta, int(b)), noise) for b in sizes])

    def rates(self, x: Array, which: Array) -> Array:
        """Learning rates where x is the logit of the share of the edge, for batch sizes by index."""
        return self.edges[which] / (1.0 + np.exp(-x))

    def losses(self, x: Array, which: Array, step: int) -> Array:
        """Log losses, of the shape of x and `which`."""
        rates, index = self.rates(x, which).ravel(), which.ravel()
        settings = Settings(
            self.problem,
            self.family.kind,
            rates,
            self.family.hyper(np.full(rates.size, self.beta)),
            self.gammas[index],
            self.noise,
            lambda a, h, i: self.family.at(a, self.beta, int(self.sizes[index[i]])),
            ENOUGH,
        )
        scaled, error = losses_at(settings, step)
        found = np.where(error <= TRUST, scaled.log(), np.inf)
        return np.where(np.isnan(found), np.inf, found).reshape(x.shape)

    def first(self, step: int) -> Array:
        """Logits of the first search; more of them where momentum makes the loss of a short run oscillate.

        A mode turns by about sqrt(alpha lambda) a step, up to pi, and fades within a few 1/(1 - beta) steps: 6 points
        for each of at most T turns, evenly spaced in sqrt(alpha).
        """
        even = np.linspace(FIRST, LAST, COARSE)
        memory = 1.0 / (1.0 - self.beta)
        if self.beta <= 0.0 or step > OSCILLATE * memory:
            return even
        count = min(6 * step, MOST)
        share = (np.arange(1, count) / count) ** 2
        return np.unique(np.concatenate((even, np.clip(np.log(share / (1.0 - share)), FIRST, LAST))))

    def best(self, step: int) -> tuple[Array, Array]:
        """Least log loss and its learning rate for every batch size."""
        count = self.sizes.size
        x, each = np.broadcast_arrays(self.first(step), np.arange(count)[:, None])
        first = self.losses(x, each, step)
        padded = np.pad(first, ((0, 0), (1, 1)), constant_values=np.inf)
        minima = (first <= padded[:, :-2]) & (first <= padded[:, 2:])
        minima &= first <= first.min(axis=1, keepdims=True) + np.log(CLOSE)
        which, place = np.nonzero(minima)
        centre, least = x[which, place], first[which, place]
        gaps = np.diff(x[0])
        width = np.maximum(gaps[np.maximum(place - 1, 0)], gaps[np.minimum(place, gaps.size - 1)])[:, None]
        for _ in range(ROUNDS):
            around = np.clip(centre[:, None] + width * np.linspace(-1.0, 1.0, FINE), FIRST, LAST)
            found = self.losses(around, np.broadcast_to(which[:, None], around.shape), step)
            rows, i = np.arange(which.size), found.argmin(axis=1)
            centre, least = around[rows, i], found[rows, i]
            width = width * (2.0 / (FINE - 1))
        order = np.lexsort((least, which))
        chosen = order[np.unique(which[order], return_index=True)[1]]
        return least[chosen], self.rates(centre[chosen], which[chosen])
