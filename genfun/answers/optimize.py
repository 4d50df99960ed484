"""Which learning rate, momentum and batch size are best?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.answers.edge import edge
from genfun.answers.predict import predict
from genfun.many import Settings, losses_at
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible
from genfun.problem import Problem

GRID = 19
"""Cells per axis of the first map."""
ZOOM, SHRINK, ROUNDS = 9, 3.0, 7
"""Cells per axis of a closer map, by how much it shrinks, and how often."""
ENOUGH = 9.0
"""What oscillating modes may still add while searching is exp(-9) = 1e-4 of the loss; the answer itself is exact."""
EDGES = 15
"""Momenta at which the stability edge is computed; the search follows it in between."""
MOST_STEPS = 10**12
MARGIN = 0.05
"""The rise of the loss, as a fraction, that the sensitivities stand for."""


@dataclass(frozen=True, repr=False)
class Optimum:
    """The best setting, and how much depends on it.

    Parameters
    ----------
    method : SGD
        Learning rate, momentum and batch size.
    loss : float
        Predicted mean loss at `steps`.
    steps : int
        T.
    at_bound : bool
        Whether the optimum sits on a bound of the search, so that the true one may lie beyond.
    bounds : tuple of str
        Which.
    share_of_edge : float
        Learning rate over the largest stable one at this momentum and batch.
    gain : float
        1 - loss / (least loss with momentum 0): what momentum, of either sign, is worth.
    learning_rate_range, momentum_range : (float, float)
        How far each can move, the other kept, for 5 % more loss.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.optimize(gf.PowerLaw(1.5, 2.0, n_modes=50), batch_size=1, steps=500, momentum=0.0)
    Optimum(loss ... at step 500: learning_rate=..., momentum=0, batch_size=1)
    """

    method: SGD
    loss: float
    steps: int
    at_bound: bool
    bounds: tuple[str, ...]
    share_of_edge: float
    gain: float
    learning_rate_range: tuple[float, float]
    momentum_range: tuple[float, float]

    def __repr__(self) -> str:
        m, sign = self.method, "negative " if self.method.momentum < 0.0 else ""
        size = "full batch" if m.batch_size is None else f"batch_size={m.batch_size}"
        worth = f", {sign}momentum worth {100.0 * self.gain:.2g} %" if self.gain > 0.0 else ""
        bound = f", at a bound: {'; '.join(self.bounds)}" if self.at_bound else ""
        return (
            f"Optimum(loss {self.loss:.6g} at step {self.steps}: learning_rate={m.learning_rate:.4g}, "
            f"momentum={m.momentum:.4g}, {size}{worth}{bound})"
        )


class _Search:
    """Log losses over (logit of the share of the edge, atanh of the momentum) for one batch size and step."""

    def __init__(
        self, problem: Problem, batch: int | None, steps: int, noise: SpectrallyExpressible, momentum: float | None
    ) -> None:
        self.problem, self.batch, self.steps, self.noise = problem, batch, steps, noise
        # Beyond, modes off the real axis outlive the run; short runs are cheap to follow step by step.
        cap = max(0.99, math.exp(-(ENOUGH + 1.0) / steps))
        self.momentum_cap = math.atanh(cap)
        points = np.linspace(-self.momentum_cap, self.momentum_cap, EDGES)
        if momentum is not None:
            points = np.array([math.atanh(momentum)])
        self._points, self._edges = points, np.log([self.edge(math.tanh(y)) for y in points])

    def edge(self, beta: float) -> float:
        """Largest stable learning rate."""
        return edge(self.problem, SGD(1.0, beta, self.batch), self.noise)

    def rate(self, x: Any, y: Any) -> Any:
        """Learning rate: the logistic of x times the edge, interpolated, which only places the points."""
        return np.exp(np.interp(y, self._points, self._edges)) / (1.0 + np.exp(-x))

    def setting(self, x: float, y: float) -> SGD:
        """The setting at a point of the search."""
        return SGD(float(self.rate(x, y)), math.tanh(y), self.batch)

    def __call__(self, x: Array, y: Array) -> Float[Array, "x y"]:
        """Log losses on a grid."""
        rates = self.rate(x[:, None], y).ravel()
        betas = np.broadcast_to(np.tanh(y), (x.size, y.size)).ravel()
        return _losses(self, rates, betas).reshape(x.size, y.size)


X_RANGE = (-9.0, 14.0)


def _closer(
    search: Callable[[Array, Array], Array], x: Array, y: Array, rounds: int = ROUNDS, most: int = 3
) -> tuple[float, float, float]:
    """Map, then ever smaller maps about the best few local minima. Returns (x, y, log loss)."""
    values = search(x, y)
    padded = np.pad(values, 1, constant_values=np.inf)
    around = [padded[1 + i : 1 + i + x.size, 1 + j : 1 + j + y.size] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    minima = np.argwhere(values <= np.min(around, axis=0))
    minima = minima[np.argsort(values[tuple(minima.T)])][:most]
    best = (math.nan, math.nan, math.inf)
    for i, j in minima:
        centre = (float(x[i]), float(y[j]), float(values[i, j]))
        width = (float(x[1] - x[0]), float(y[1] - y[0]) if y.size > 1 else 0.0)
        for _ in range(rounds):
            about = np.linspace(-1.0, 1.0, ZOOM)
            u = np.unique(np.clip(centre[0] + width[0] * about, x[0], x[-1]))
            v = np.unique(np.clip(centre[1] + width[1] * about, y[0], y[-1]))
            table = search(u, v)
            k, m = np.unravel_index(int(table.argmin()), table.shape)
            if table[k, m] < centre[2]:
                centre = (float(u[k]), float(v[m]), float(table[k, m]))
            width = (width[0] / SHRINK, width[1] / SHRINK)
        best = min(best, centre, key=lambda c: c[2])
    return best


def _at_fixed_batch(search: _Search, momentum: float | None, quick: bool = False) -> tuple[float, float, float]:
    size, rounds, most = (11, 3, 1) if quick else (GRID, ROUNDS, 3)
    x, cap = np.linspace(*X_RANGE, size), search.momentum_cap
    y = np.linspace(-cap, cap, size) if momentum is None else np.array([math.atanh(momentum)])
    return _closer(search, x, y, rounds, most)


def optimize(
    problem: Problem,
    batch_size: int | None = None,
    steps: int | None = None,
    momentum: float | None = None,
    noise: SpectrallyExpressible = SpectrallyExpressible(),
    budget: float | None = None,
    step_time: tuple[float, float] | None = None,
) -> Optimum:
    r"""The learning rate and momentum, and under a budget the batch size, of least predicted loss.

    .. math:: \min_{\alpha,\beta}\ L(T)\qquad\text{or}\qquad \min_{\alpha,\beta,b}\ L(T(b)),\qquad
              T(b) = \frac{\text{samples}}{b}\ \text{ or }\ \frac{\text{seconds}}{a + c\,b}

    A map over the whole stable region, then closer maps about its best local minima: a global search, as far as the
    first map resolves.

    **Assumptions.** As for `predict`. The momentum is searched up to 0.99, or exp(-10/T) where that is more.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    batch_size : int or None
        b; None means the full batch, or, with a budget, that it is free.
    steps : int or None
        T >= 1; needed unless there is a budget.
    momentum : float or None
        Fixes beta; None searches it.
    noise : SpectrallyExpressible
        (tau1, tau2).
    budget : float or None
        Samples b T; or seconds, if step_time is given.
    step_time : (float, float) or None
        (a, c): a step of batch size b takes a + c b seconds.

    Returns
    -------
    Optimum

    Raises
    ------
    ValueError
        If neither or both of steps and budget are given, a value is out of range, or no learning rate is stable.

    References
    ----------
    arXiv 2206.11124, section 6.

    Examples
    --------
    >>> import genfun as gf
    >>> o = gf.optimize(gf.PowerLaw(1.5, 0.5, n_modes=300), batch_size=10, steps=1000)
    >>> o.method.momentum > 0.5, o.at_bound
    (True, False)
    """
    if (steps is None) == (budget is None):
        raise ValueError(f"give either steps or budget, got steps={steps!r} and budget={budget!r}")
    if momentum is not None:
        momentum = _check.momentum(momentum)
    if np.isinf(problem.trace) and not (budget is None and batch_size is None):
        raise ValueError("problem has an infinite trace: no learning rate is stable; set n_modes")
    if steps is not None:
        total = _check.integer("steps", steps, 1)
        search = _Search(problem, batch_size, total, noise, momentum)
        return _result(search, _at_fixed_batch(search, momentum), momentum)
    limit = _check.positive("budget", budget)
    a, c = (0.0, 1.0) if step_time is None else (_check.nonnegative("step_time", t) for t in step_time)
    if a + c <= 0.0:
        raise ValueError(f"step_time must have a positive entry, got {step_time!r}")
    if batch_size is not None:
        sizes = [_check.integer("batch_size", batch_size, 1)]
    else:
        largest = min(
            problem.n_samples or MOST_STEPS, int(limit / c - a / c) if c > 0.0 else problem.n_samples or 10**6
        )
        if largest < 1:
            raise ValueError(f"budget must pay for one step of batch size 1, got {limit!r}")
        sizes = sorted({int(b) for b in np.rint(np.geomspace(1, largest, 13))})
    tried: dict[int, tuple[_Search, tuple[float, float, float]]] = {}

    def attempt(b: int) -> float:
        if b not in tried:
            search = _Search(problem, b, max(1, int(limit / (a + c * b))), noise, momentum)
            tried[b] = (search, _at_fixed_batch(search, momentum, quick=True))
        return tried[b][1][2]

    for b in sizes:
        attempt(b)
    while len(sizes) > 1:
        # Halve the gaps (in log b) beside the best until its neighbours are its neighbours.
        known = sorted(tried)
        i = known.index(min(known, key=attempt))
        new = {round(math.sqrt(known[i] * known[j])) for j in (i - 1, i + 1) if 0 <= j < len(known)} - set(known)
        if not new or max(abs(math.log(b / known[i])) for b in new) < 0.03:
            break
        for b in new:
            attempt(b)
    search, _ = tried[min(tried, key=attempt)]
    result = _result(search, _at_fixed_batch(search, momentum), momentum)
    if len(sizes) > 1 and search.batch in (sizes[0], sizes[-1]):
        bound = f"batch size {search.batch}, the {'smallest' if search.batch == sizes[0] else 'largest'} that was tried"
        return replace(result, at_bound=True, bounds=(*result.bounds, bound))
    return result


def _result(search: _Search, found: tuple[float, float, float], momentum: float | None) -> Optimum:
    x, y, log_loss = found
    method = search.setting(x, y)
    loss = float(predict(search.problem, method, search.steps, search.noise).loss)
    gain = 0.0
    if momentum is None and method.momentum != 0.0:
        _, _, without = _closer(search, np.linspace(*X_RANGE, GRID), np.array([0.0]))
        gain = 1.0 - math.exp(log_loss - without)
    bounds = []
    if x >= X_RANGE[1] - 0.1:
        bounds.append("the learning rate reaches the stability edge")
    if x <= X_RANGE[0] + 0.1:
        bounds.append("the learning rate is the smallest that was tried")
    if momentum is None and abs(y) >= search.momentum_cap - 1e-3:
        bounds.append(f"momentum {method.momentum:.4g}, the largest that was tried")
    return Optimum(
        method,
        loss,
        search.steps,
        bool(bounds),
        tuple(bounds),
        method.learning_rate / search.edge(method.momentum),
        gain,
        _rate_range(search, method, log_loss),
        _momentum_range(search, method, log_loss) if momentum is None else (method.momentum, method.momentum),
    )


def _losses(search: _Search, rates: Array, betas: Array) -> Array:
    settings = Settings.heavy_ball(search.problem, rates, betas, search.batch, search.noise, ENOUGH)
    found = losses_at(settings, search.steps)[0].log()
    return np.where(np.isfinite(found), found, np.inf)


def _crossings(values: Array, losses: Array, centre: int, limit: float) -> tuple[float, float]:
    """Where the losses rise above the limit on either side of the centre, interpolated."""

    def side(order: range) -> float:
        previous = centre
        for i in order:
            if losses[i] > limit:
                if not np.isfinite(losses[i]):
                    return float(values[previous])
                part = (limit - losses[previous]) / (losses[i] - losses[previous])
                return float(values[previous] + part * (values[i] - values[previous]))
            previous = i
        return float(values[previous])

    return side(range(centre - 1, -1, -1)), side(range(centre + 1, values.size))


def _rate_range(search: _Search, method: SGD, log_loss: float) -> tuple[float, float]:
    top = search.edge(method.momentum)
    low = method.learning_rate * np.geomspace(0.02, 1.0, 40)
    high = method.learning_rate + (top - method.learning_rate) * np.linspace(0.0, 1.0, 41)[1:-1] ** 2
    rates = np.concatenate((low, high))
    losses = _losses(search, rates, np.full(rates.size, method.momentum))
    return _crossings(rates, losses, 39, log_loss + math.log1p(MARGIN))


def _momentum_range(search: _Search, method: SGD, log_loss: float) -> tuple[float, float]:
    y = math.atanh(method.momentum)
    cap = search.momentum_cap
    points = np.concatenate(
        (y - (y + cap) * np.linspace(1.0, 0.0, 31)[:-1] ** 2, [y], y + (cap - y) * np.linspace(0.0, 1.0, 31)[1:] ** 2)
    )
    betas = np.tanh(points)
    losses = _losses(search, np.full(betas.size, method.learning_rate), betas)
    return _crossings(betas, losses, 30, log_loss + math.log1p(MARGIN))
