"""A momentum that rises after the start and falls before the end, with the rate at a share of its edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.answers.best._rate_families import FLAT, LEAST_SHARE, MOST_STEPS_DOWN, interpolation, knots
from genfun.engine.adjoint import RateGradient

LEAST_GAP = 0.01
"""The least 1 - beta."""
GAPS = (1.0, 0.7, 0.5, 0.35, 0.2, 0.14, 0.1, 0.07, 0.05, 0.035, 0.02, 0.014, LEAST_GAP)
"""1 - beta, where edges are found, and constant momenta are tried."""
MOST_GAP = 0.999
"""The most 1 - beta of a momentum that moves: at exactly 0, torch forgets its buffer."""
MOST_SHARE = 0.5
"""Of the edge, for rates under a momentum that moves: with it, a fault in the noise costs more."""


@dataclass(frozen=True, eq=False)
class Edges:
    """The largest stable rate at any momentum of a range: its logarithm by a spline in log(1 - beta).

    Parameters
    ----------
    limits : array
        Edges at the momenta 1 - GAPS.
    """

    limits: Float[Array, " gaps"]

    def __post_init__(self) -> None:
        from scipy.interpolate import PchipInterpolator

        x, y = np.log(GAPS[::-1]), np.log(self.limits[::-1])
        object.__setattr__(self, "log_edge", PchipInterpolator(x, y))
        object.__setattr__(self, "slope", PchipInterpolator(x, y).derivative())

    log_edge: Any = None
    slope: Any = None

    def __call__(self, momenta: Any) -> Any:
        """Edges at momenta from 0 to 1 - LEAST_GAP."""
        return np.exp(self.log_edge(np.log(1.0 - momenta)))


def rise_and_fall(steps: int, k1: float, k2: float) -> Float[Array, " T"]:
    r"""Momenta with :math:`1-\beta_t = \max(0.01, k_1/(t+k_1), k_2/(T-t+k_2))`.

    Parameters
    ----------
    steps : int
        T.
    k1, k2 : float
        Steps in which the momentum rises to 1/2, and falls from it.
    """
    t = np.arange(float(steps))
    gap = np.maximum(k1 / (t + k1), k2 / (steps - t + k2))
    return 1.0 - np.clip(gap, LEAST_GAP, MOST_GAP)


def moving(engine: RateGradient, edges: Edges, steps: int, most: float) -> tuple[tuple[Array, Array], float]:
    """Rates, momenta and excess of the best member of the form: a share of the edge, then linear to 0.

    Parameters
    ----------
    engine : RateGradient
    edges : Edges
    steps : int
    most : float
        The largest share of the edge.
    """
    from scipy.optimize import minimize

    left = 1.0 - np.arange(steps) / steps

    def member(x: Array) -> tuple[Array, Array]:
        momenta = rise_and_fall(steps, *np.exp(np.clip(x[:2], np.log(1e-3), np.log(100.0 * steps))))
        fall = float(np.clip(x[2], 1e-3, 1.0))
        share = most * np.exp(min(float(x[3]), 0.0))
        return share * edges(momenta) * np.minimum(1.0, left / fall), momenta

    def value(x: Array) -> float:
        excess = engine.excess(*member(x))
        return float(np.log(max(excess, 1e-300))) if np.isfinite(excess) else 1e3

    best: Any = None
    for k in (2.0, 0.05 * steps):
        start = np.array([np.log(k), np.log(max(0.1 * steps, 1.0)), 0.4, -0.3])
        simplex = np.vstack((start, start + np.diag([2.0, 2.0, 0.4, -0.7])))
        options = {"initial_simplex": simplex, "xatol": 5e-3, "fatol": 1e-4, "maxfev": 160}
        found: Any = minimize(value, start, method="Nelder-Mead", options=options)
        best = found if best is None or found.fun < best.fun else best
    return member(best.x), float(np.exp(best.fun))


def free_settings(
    engine: RateGradient, edges: Edges, share: float, steps: int, starts: list[tuple[Array, Array]]
) -> tuple[tuple[Float[Array, " T"], Float[Array, " T"]], float]:
    r"""Rates and momenta, both free at every knot, of the least last loss.

    .. math:: \alpha_t = e^{(Px)_t}\,c\,\alpha_{edge}(\beta_t),\qquad 1-\beta_t = e^{(Py)_t},\qquad x \le 0

    Parameters
    ----------
    engine : RateGradient
    edges : Edges
    share : float
        c, of the edge at the momentum of the step.
    steps : int
    starts : list of pairs of arrays, each of shape (T,)
        Rates and momenta to begin from.
    """
    from scipy.optimize import minimize

    places = knots(steps)
    spread, n = interpolation(steps, places), places.size
    least, widest = [np.log(LEAST_SHARE), np.log(LEAST_GAP)], np.log(MOST_GAP)

    def setting(x: Array) -> tuple[Array, Array, Array]:
        log_gap = spread @ x[n:]
        momenta = -np.expm1(log_gap)
        return share * np.exp(spread @ x[:n] + edges.log_edge(log_gap)), momenta, log_gap

    def objective(x: Array) -> tuple[float, Array]:
        rates, momenta, log_gap = setting(x)
        excess, by_rate, by_momentum = engine.slopes(rates, momenta)
        if not np.isfinite(excess):
            return 1e3, np.zeros_like(x)
        excess = max(excess, 1e-300)
        by_gap = by_rate * rates * edges.slope(log_gap) - by_momentum * (1.0 - momenta)
        return float(np.log(excess)), np.concatenate((spread.T @ (by_rate * rates), spread.T @ by_gap)) / excess

    best: tuple[Array, Array, float] = (*starts[0], np.inf)
    at = places.astype(np.int64)
    for rates, momenta in starts:
        gap = np.clip(np.log1p(-momenta[at]), least[1], widest)
        x = np.log(np.maximum(rates[at], 1e-300) / share) - edges.log_edge(gap)
        x = np.concatenate((np.clip(x, least[0], 0.0), gap))
        bounds = [(least[0], 0.0)] * n + [(least[1], widest)] * n
        options = {"maxiter": MOST_STEPS_DOWN, "ftol": FLAT}
        found: Any = minimize(objective, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if found.fun < best[2]:
            best = (*setting(found.x)[:2], float(found.fun))
    return best[:2], float(np.exp(best[2]))


def best_constant(value: Callable[[float, float], float], edges: Edges, share: float) -> float:
    """The best constant momentum: the best of a few, and then between its neighbours.

    Parameters
    ----------
    value : callable
        (momentum, largest rate) to an excess loss.
    edges : Edges
    share : float
        Of the edge, for every rate.
    """
    from scipy.optimize import minimize_scalar

    def of(log_gap: float) -> float:
        beta = -float(np.expm1(log_gap))
        return value(beta, share * float(edges(np.array(beta))))

    grid = np.log(GAPS)
    found = [of(x) for x in grid]
    i = int(np.argmin(found))
    ends = (grid[min(i + 1, grid.size - 1)], grid[max(i - 1, 0)])
    inner: Any = minimize_scalar(of, bounds=ends, method="bounded", options={"xatol": 0.02, "maxiter": 8})
    return -float(np.expm1(inner.x if inner.fun < found[i] else grid[i]))
