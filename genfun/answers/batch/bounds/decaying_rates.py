"""Bounds for learning rates that fall during a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from genfun import _check
from genfun._typing import Array
from genfun.answers.batch.bounds._bound import SmoothConstants, StepsBound, checked

NEGLIGIBLE = 1e-12
"""Step decay: later pieces add less than this share to the sum of the rates."""
NEWTON = 40


def polynomial_decay_bound(
    constants: SmoothConstants, learning_rate: float, power: float, period: int, accuracy: float
) -> StepsBound:
    r"""Rates alpha (floor(k/T) + 1)^-p.

    .. math:: \frac{D_1+D_2'/b}{K^{q}}\le\epsilon^2,\qquad
              q=p,\ D_2'=\frac{D_2T^p}{1-2p}\ (p<\tfrac12),\qquad
              q=1-p,\ D_2'=\frac{2p\,T^{1-p}D_2}{2p-1}\ (p>\tfrac12)

    .. math:: p=\tfrac12:\ \frac{D_1+D_2\sqrt T(1+\ln(K/T))/b}{\sqrt K}\le\epsilon^2,\qquad
              D_1=\frac{2\Delta}{(2-L\alpha)\alpha T^p},\quad D_2=\frac{L\sigma^2\alpha}{2-L\alpha}

    so that K = ((D1 + D2'/b)/e)^(1/q) with b* = (1/q - 1) D2'/D1, whatever the accuracy; for p = 1/2, K is the root and
    b* is found numerically.

    **Assumptions.** As for `constant_rate_bound`. From sums of the rates estimated for K >= T; a smaller K is replaced
    by T.

    Parameters
    ----------
    constants : SmoothConstants
        L, sigma^2, Delta.
    learning_rate : float
        alpha, the first rate.
    power : float
        p in (0, 1).
    period : int
        T, steps at one rate.
    accuracy : float
        epsilon^2.

    Returns
    -------
    StepsBound

    Raises
    ------
    ValueError
        If a value is out of range.

    References
    ----------
    arXiv 2402.15344: the rates and the form. The constants are derived here.

    Examples
    --------
    >>> bound = polynomial_decay_bound(SmoothConstants(1.0, 50.0, 1.0), 0.1, 0.25, 100, 0.05)
    >>> round(bound.critical_batch_size, 9)
    15.0
    """
    rate, product, eps2 = checked(constants, learning_rate, accuracy)
    p, last = _check.positive("power", power), float(_check.integer("period", period, 1))
    if p >= 1.0:
        raise ValueError(f"power must lie between 0 and 1, got {power!r}; the sum of the rates would stay finite")
    d1 = 2.0 * constants.gap / ((2.0 - product) * rate * last**p)
    d2 = constants.smoothness * constants.gradient_noise * rate / (2.0 - product)
    name = f"rate decaying as k^-{p:g}"
    if p == 0.5:
        d2 *= math.sqrt(last)

        def root(b: Array) -> Array:
            return _square_root_decay(d1, np.asarray(d2 / b), last, eps2)

        star = _least_samples(root)
        return StepsBound(name, "root of (D1 + D2 (1 + ln(K/T))/b)/sqrt(K) = e", star, root, {"D1": d1, "D2": d2})
    q = min(p, 1.0 - p)
    d2 *= last**p / (1.0 - 2.0 * p) if p < 0.5 else 2.0 * p * last ** (1.0 - p) / (2.0 * p - 1.0)

    def law(b: Array) -> Array:
        return np.asarray(np.maximum(((d1 + d2 / b) / eps2) ** (1.0 / q), last))

    star = (1.0 / q - 1.0) * d2 / d1
    return StepsBound(
        name, f"((D1 + D2/b)/e)^{1.0 / q:.3g}", star if star > 0.0 else math.nan, law, {"D1": d1, "D2": d2, "e": eps2}
    )


def _square_root_decay(d1: float, d2: Array, period: float, eps2: float) -> Array:
    r"""The last K at which the bound meets eps2: with y = (1/2) ln K, e exp(y) = d1 + d2 (1 - ln T + 2 y).

    Beyond its turning point the right side over e exp(y) falls, and Newton's method for its logarithm, which is concave
    in y, comes down from the right without overshooting.
    """
    turn = np.log(period) + np.maximum(0.0, 1.0 - d1 / d2)
    level = d1 + d2 * (1.0 - np.log(period))
    y = np.log((d1 + d2) / eps2) + 2.0 + 0.5 * turn
    for _ in range(8):
        y = np.where(level + 2.0 * d2 * y > eps2 * np.exp(y), 2.0 * y + 10.0, y)
    for _ in range(NEWTON):
        right = level + 2.0 * d2 * y
        y = y - (np.log(right / eps2) - y) / (2.0 * d2 / right - 1.0)
    met_at_turn = d1 + d2 * (1.0 + turn - np.log(period)) <= eps2 * np.exp(0.5 * turn)
    return np.asarray(np.exp(np.where(met_at_turn, turn, 2.0 * y)))


def _least_samples(steps: Callable[[Array], Array]) -> float:
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log_b: math.log(float(steps(np.array(math.exp(log_b))))) + log_b,
        bounds=(-20.0, 30.0),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return math.exp(float(best.x))


def step_decay_bound(
    constants: SmoothConstants, learning_rate: float, factor: float, period: int, accuracy: float
) -> StepsBound:
    r"""Rates alpha eta^floor(k/T), with the sums of the rates in full.

    .. math:: \frac{2\Delta}{2-L\alpha}\frac{1}{A_1(K)} + \frac{L\sigma^2}{(2-L\alpha)b}\frac{A_2(K)}{A_1(K)}
              \le\epsilon^2,\qquad A_n(K)=\sum_{k<K}\alpha_k^n

    A_1 stays below alpha T/(1-eta): an accuracy beyond that is unreachable, K = inf. The last rate is not taken for a
    constant one.

    **Assumptions.** As for `constant_rate_bound`.

    Parameters
    ----------
    constants : SmoothConstants
        L, sigma^2, Delta.
    learning_rate : float
        alpha, the first rate.
    factor : float
        eta in (0, 1).
    period : int
        T, steps at one rate.
    accuracy : float
        epsilon^2.

    Returns
    -------
    StepsBound
        K rounded up to a whole step.

    Raises
    ------
    ValueError
        If a value is out of range.

    References
    ----------
    arXiv 2402.15344: the rates. The bound is that at the head of `genfun.answers.batch.bounds`, in full.

    Examples
    --------
    >>> bound = step_decay_bound(SmoothConstants(1.0, 50.0, 1.0), 0.1, 0.5, 1000, 0.05)
    >>> bound.steps([50, 200, 1000])
    array([2143.,  286.,  223.])
    """
    rate, product, eps2 = checked(constants, learning_rate, accuracy)
    eta = _check.positive("factor", factor)
    if eta >= 1.0:
        raise ValueError(f"factor must lie between 0 and 1, got {factor!r}; use constant_rate_bound for 1")
    last = _check.integer("period", period, 1)
    first = 2.0 * constants.gap / (2.0 - product)
    spread = constants.smoothness * constants.gradient_noise / (2.0 - product)
    pieces = np.arange(math.ceil(math.log(NEGLIGIBLE) / math.log(eta)) + 1)
    rates = rate * eta**pieces
    before = [np.concatenate(([0.0], np.cumsum(last * rates**n)[:-1])) for n in (1, 2)]

    def law(b: Array) -> Array:
        # Inside a piece both sides are linear in the steps m taken there.
        noise = spread / b[..., None]
        missing = first + noise * before[1] - eps2 * before[0]
        gain = eps2 * rates - noise * rates**2
        m = np.where(missing <= 0.0, 0.0, np.where(gain > 0.0, np.ceil(missing / gain - 1e-9), np.inf))
        met = m <= last
        piece = met.argmax(axis=-1)
        chosen = np.take_along_axis(m, piece[..., None], axis=-1)[..., 0]
        return np.where(met.any(axis=-1), piece * last + chosen, np.inf)

    # K(b) has no closed form: least samples on a grid of batch sizes 1 % apart.
    grid = np.geomspace(1e-3, 1e12, 3001)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        samples = law(grid) * grid
    star = float(grid[samples.argmin()]) if np.isfinite(samples).any() else math.inf
    return StepsBound("rate decaying in steps", "first K with D1/A1 + D2 A2/(b A1) <= e", star, law, {"e": eps2})
