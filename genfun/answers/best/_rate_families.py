"""The families of learning rates that a free optimum is compared with, and the free optimum itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.adjoint import RateGradient
from genfun.schedules import Cosine, Piecewise, Table
from genfun.schedules.trapezoid import HoldThenLinear

KNOTS = 24
"""Rates are free at so many steps and geometric in between: .01 % above a free rate at every step."""
LEAST_SHARE = 1e-4
"""Of the cap: free rates go no lower."""
ROOT_TIME = 0.1
"""Share of the steps after which the inverse square root has fallen to 1/sqrt(2)."""
PEAKS, HOLDS = 9, 7
"""Points of the first grids."""
MOST_STEPS_DOWN, FLAT = 80, 1e-6
"""Of a local search: its length, and the relative gain below which it ends."""


def _halving(peak: float, steps: int) -> Any:
    edges = sorted({steps - max(steps >> i, 1) for i in range(1, 12)} - {0})
    return Piecewise(tuple(peak * 0.5**i for i in range(len(edges) + 1)), tuple(edges))


def _root(peak: float, steps: int) -> Any:
    return Table(peak / np.sqrt(1.0 + np.arange(steps) / (ROOT_TIME * steps)))


FAMILIES: dict[str, Callable[[float, int], Any]] = {
    "constant": lambda peak, steps: HoldThenLinear(peak, 1.0, steps),
    "linear": lambda peak, steps: HoldThenLinear(peak, 0.0, steps),
    "cosine": lambda peak, steps: Cosine(peak, steps),
    "wsd": lambda peak, steps: HoldThenLinear(peak, 0.8, steps),
    "inverse sqrt": _root,
    "halving": _halving,
}
"""Peak and number of steps to a schedule; "hold then linear" has a share as well and is searched apart."""


def knots(steps: int, count: int = KNOTS) -> Float[Array, " knots"]:
    """Where rates are free: half of the knots geometric from the first step, half from the last.

    Parameters
    ----------
    steps : int
        T.
    count : int
    """
    last = steps - 1.0
    if steps <= count:
        return np.arange(float(steps))
    half = np.geomspace(1.0, 0.5 * last, count // 2 - 1)
    return np.unique(np.concatenate(([0.0], half, last - half, [last])))


def interpolation(steps: int, places: Array) -> Float[Array, "T knots"]:
    """The matrix from values at knots to values at all steps, linear in between.

    Parameters
    ----------
    steps : int
    places : array, shape (knots,)
        Ascending.
    """
    every = np.arange(float(steps))
    columns = [np.interp(every, places, row) for row in np.eye(places.size)]
    return np.stack(columns, axis=1)


def free_rates(engine: RateGradient, cap: float, steps: int, starts: list[Array]) -> tuple[Float[Array, " T"], float]:
    r"""The rates below a cap with the least last loss, and its excess over the label noise.

    .. math:: \min_{x \le 0} \log\left(L(T) - \tfrac12\sigma^2\right),\qquad \alpha_t = \text{cap}\cdot e^{(Px)_t}

    Parameters
    ----------
    engine : RateGradient
    cap : float
        The largest learning rate.
    steps : int
    starts : list of arrays, each of shape (T,)
        Rates to begin from.
    """
    from scipy.optimize import minimize  # on first use: importing it takes longer than the package

    places = knots(steps)
    spread = interpolation(steps, places)
    least = np.log(LEAST_SHARE)

    def objective(x: Array) -> tuple[float, Array]:
        rates = cap * np.exp(spread @ x)
        excess, slope = engine.slopes(rates)
        excess = max(excess, 1e-300)
        return float(np.log(excess)), spread.T @ (slope * rates) / excess

    best: tuple[Array, float] = (starts[0], np.inf)
    for start in starts:
        x = np.clip(np.log(np.maximum(start[places.astype(np.int64)], 1e-300) / cap), least, 0.0)
        bounds, options = [(least, 0.0)] * x.size, {"maxiter": MOST_STEPS_DOWN, "ftol": FLAT}
        found: Any = minimize(objective, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if found.fun < best[1]:
            best = (cap * np.exp(spread @ found.x), float(found.fun))
    return best[0], float(np.exp(best[1]))


def best_peak(excess: Callable[[float], float], cap: float) -> tuple[float, float]:
    """The best peak at or below a cap, and its value.

    Parameters
    ----------
    excess : callable
        Of the peak.
    cap : float
    """
    from scipy.optimize import minimize_scalar

    grid = np.log(cap) + np.linspace(np.log(1e-3), 0.0, PEAKS)
    values = np.array([excess(float(np.exp(x))) for x in grid])
    i = int(values.argmin())
    low, high = grid[max(i - 1, 0)], grid[min(i + 1, PEAKS - 1)]
    found: Any = minimize_scalar(
        lambda x: excess(float(np.exp(x))), bounds=(low, high), method="bounded", options={"xatol": 3e-3}
    )
    inside, rounded = (float(np.exp(found.x)), float(found.fun)), (float(np.exp(grid[i])), float(values[i]))
    # The cap itself, where the search ends short of it.
    return min(inside, (cap, float(values[-1])), rounded, key=lambda pair: pair[1])


def hold_then_linear(excess: Callable[[Any], float], cap: float, steps: int) -> tuple[HoldThenLinear, float]:
    """The best peak and share of "hold, then linear", and its excess.

    Parameters
    ----------
    excess : callable
        Of a schedule.
    cap : float
    steps : int
    """
    from scipy.optimize import minimize_scalar

    def at(hold: float) -> tuple[float, float]:
        return best_peak(lambda peak: excess(HoldThenLinear(peak, hold, steps)), cap)

    # 1 - h in geometric steps, with both ends: for signal-dominated problems the best fall is a few per cent.
    falls = np.concatenate(([0.0], np.geomspace(0.01, 1.0, HOLDS)))
    values = [at(1.0 - f)[1] for f in falls]
    i = int(np.argmin(values))
    low, high = falls[max(i - 1, 0)], falls[min(i + 1, falls.size - 1)]
    found: Any = minimize_scalar(
        lambda f: at(1.0 - f)[1], bounds=(low, high), method="bounded", options={"xatol": 3e-3, "maxiter": 8}
    )
    fall = float(found.x) if found.fun < values[i] else float(falls[i])
    peak, value = at(1.0 - fall)
    return HoldThenLinear(peak, 1.0 - fall, steps), value
