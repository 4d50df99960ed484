"""The families of learning rates that a free optimum is compared with, and the free optimum itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.adjoint import RateGradient
from genfun.engine.tail_average import tail_excess
from genfun.schedules import Cosine, Piecewise, Table, Warmup
from genfun.schedules.trapezoid import HoldThenLinear

KNOTS = 24
"""Rates are free at so many steps and geometric in between: .01 % above a free rate at every step."""
LEAST_SHARE = 1e-4
"""Of the cap: free rates go no lower."""
ROOT_TIME = 0.1
"""Share of the steps after which the inverse square root has fallen to 1/sqrt(2)."""
WIDER = 1.5
"""Factor by which a search goes beyond the peaks between which the best is expected."""
PEAKS, HOLDS = 9, 7
"""Points of the first grids."""
AGREE = 0.02
"""How near a loss on few nodes is to that on all, for a search on few to serve."""
MOST_STEPS_DOWN, FLAT = 80, 1e-7
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
"""Peak and number of steps to a schedule; families of one number more are searched apart."""


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
        excess, slope, _ = engine.slopes(rates)
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


def searched(
    search: Callable[[RateGradient], dict[str, tuple[Any, float]]],
    engine: RateGradient,
    excess: Callable[[Any], float],
) -> dict[str, tuple[Any, float]]:
    """What a search on few nodes finds, with its excess on all of them; what one on all finds where the two disagree.

    Parameters
    ----------
    search : callable
        Of an engine; settings and their excess, by name.
    engine : RateGradient
        That of all nodes.
    excess : callable
        Of a setting, by that engine.
    """
    rough = engine.coarser()
    found = search(rough)
    if rough is engine:
        return found
    known = {name: (setting, excess(setting)) for name, (setting, _) in found.items()}
    pairs = [(value, known[name][1]) for name, (_, value) in found.items()]
    return known if all(math.isclose(*pair, rel_tol=AGREE) for pair in pairs) else search(engine)


def polished(
    descend: Callable[[RateGradient, list[Any]], tuple[Any, float]], engine: RateGradient, starts: list[Any]
) -> tuple[Any, float]:
    """The best that a descent finds from several starts: on few nodes, and from there on all.

    Parameters
    ----------
    descend : callable
        Of an engine and starts; a setting and its excess.
    engine : RateGradient
        That of all nodes.
    starts : list
    """
    rough = engine.coarser()
    return descend(engine, starts if rough is engine else [descend(rough, starts)[0]])


def best_families(excess: Callable[[Any], float], cap: float, steps: int) -> dict[str, tuple[Any, float]]:
    """The best member of every family and its excess, by name.

    Parameters
    ----------
    excess : callable
        Of a schedule.
    cap : float
    steps : int
    """
    found: dict[str, tuple[Any, float]] = {}
    for name, make in FAMILIES.items():
        value = _of_peak(excess, make, steps)
        known = [float(found[other][0].initial) for other in ("constant", "linear") if other in found]
        peak, least = near_peak(value, cap, (known[0], known[1])) if len(known) == 2 else best_peak(value, cap)
        found[name] = make(peak, steps), least
    around = (float(found["constant"][0].initial), float(found["linear"][0].initial))
    flat, _ = found["hold then linear"] = hold_then_linear(excess, cap, steps, around)

    def risen(peak: float, share: float) -> Any:
        rise = min(max(round(share * steps), 1), steps - 1)
        # The fall ends with the steps, and takes as many of them as it did.
        left = steps - rise
        return Warmup(rise, then=HoldThenLinear(peak, max(1.0 - (1.0 - flat.hold) * steps / left, 0.0), left))

    def inverse(peak: float, share: float) -> Any:
        return Table(peak / (1.0 + np.arange(steps) / (share * steps)))

    near = (flat.initial, flat.initial)
    found["warm-up, hold, linear"] = shaped(risen, np.geomspace(0.01, 0.9, HOLDS), excess, cap, near)
    found["inverse time"] = shaped(inverse, np.geomspace(1e-3, 1.0, HOLDS), excess, cap, (around[0], cap))
    return found


def _of_peak(excess: Callable[[Any], float], make: Callable[[float, int], Any], steps: int) -> Callable[[float], float]:
    return lambda peak: excess(make(peak, steps))


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


def near_peak(excess: Callable[[float], float], cap: float, around: tuple[float, float]) -> tuple[float, float]:
    """As `best_peak`, where the best is expected between two peaks; looked for everywhere if it is not there.

    Parameters
    ----------
    excess : callable
        Of the peak.
    cap : float
    around : (float, float)
        Peaks of neighbouring schedules.
    """
    from scipy.optimize import minimize_scalar

    low, high = np.log(min(around) / WIDER), np.log(min(max(around) * WIDER, cap))
    options = {"xatol": 1e-2, "maxiter": 9}
    found: Any = minimize_scalar(
        lambda x: excess(float(np.exp(x))), bounds=(low, high), method="bounded", options=options
    )
    at_cap = high >= np.log(cap)
    if found.x < low + 0.05 or (found.x > high - 0.05 and not at_cap):
        return best_peak(excess, cap)
    inside = float(np.exp(found.x)), float(found.fun)
    # The cap itself, where the search ends short of it.
    return min(inside, (cap, excess(cap)), key=lambda pair: pair[1]) if at_cap else inside


def tail_average(engine: RateGradient, cap: float, steps: int, around: tuple[float, float]) -> tuple[float, int, float]:
    """The best constant rate, the step after which its weights are averaged, and the excess of their average.

    Parameters
    ----------
    engine : RateGradient
    cap : float
    steps : int
    around : (float, float)
        Peaks of neighbouring schedules.
    """
    rate, value = near_peak(lambda peak: float(tail_excess(engine, peak, steps).min()), cap, around)
    return rate, int(tail_excess(engine, rate, steps).argmin()), value


def hold_then_linear(
    excess: Callable[[Any], float], cap: float, steps: int, around: tuple[float, float]
) -> tuple[HoldThenLinear, float]:
    """The best peak and share of "hold, then linear", and its excess.

    Parameters
    ----------
    excess : callable
        Of a schedule.
    cap : float
    steps : int
    around : (float, float)
        The best peaks at a share of 1 and of 0.
    """
    # 1 - h in geometric steps, with both ends: for signal-dominated problems the best fall is a few per cent.
    falls = np.concatenate(([0.0], np.geomspace(0.01, 1.0, HOLDS)))
    return shaped(lambda peak, fall: HoldThenLinear(peak, 1.0 - fall, steps), falls, excess, cap, around)


def shaped(
    make: Callable[[float, float], Any],
    shapes: Array,
    excess: Callable[[Any], float],
    cap: float,
    around: tuple[float, float],
) -> tuple[Any, float]:
    """The best member of a family of a peak and one number more, and its excess.

    Parameters
    ----------
    make : callable
        (peak, number) to a schedule.
    shapes : array
        Numbers tried first, ascending; then between the neighbours of the best.
    excess : callable
        Of a schedule.
    cap : float
    around : (float, float)
        Peaks of neighbouring schedules.
    """
    from scipy.optimize import minimize_scalar

    def at(shape: float) -> tuple[float, float]:
        return near_peak(lambda peak: excess(make(peak, shape)), cap, around)

    values = [at(float(x))[1] for x in shapes]
    i = int(np.argmin(values))
    low, high = float(shapes[max(i - 1, 0)]), float(shapes[min(i + 1, shapes.size - 1)])
    found: Any = minimize_scalar(
        lambda x: at(x)[1], bounds=(low, high), method="bounded", options={"xatol": 3e-3 * high, "maxiter": 8}
    )
    best = float(found.x) if found.fun < values[i] else float(shapes[i])
    peak, value = at(best)
    return make(peak, best), value
