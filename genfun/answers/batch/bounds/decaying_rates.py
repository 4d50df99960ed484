"""Bounds for learning rates that fall during a run, with the sums of the rates in full."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun.answers.batch.bounds._bound import SmoothConstants, StepsBound, checked
from genfun.answers.batch.bounds._pieces import Pieces, Powers, StepDecay, first_step, least_samples

ROUNDING = 1e-12
"""K this little above a whole number is that number."""
FORMULA = "first K with D1/A1(K) + D2 A2(K)/(b A1(K)) <= e"


def polynomial_decay_bound(
    constants: SmoothConstants, learning_rate: float, power: float, period: int, accuracy: float
) -> StepsBound:
    r"""Rates alpha (floor(k/T) + 1)^-p.

    .. math:: \frac{D_1}{A_1(K)} + \frac{D_2}{b}\frac{A_2(K)}{A_1(K)}\le\epsilon^2,\qquad
              A_n(K)=\sum_{k<K}\alpha_k^n,\quad D_1=\frac{2\Delta}{2-L\alpha},\quad D_2=\frac{L\sigma^2}{2-L\alpha}

    K is the first step at which it is met, but at least one period T; b* has the fewest samples K b and is found
    numerically. As e = epsilon^2 goes to 0, b* grows as e^(-(1-2p)/(1-p)) for p < 1/2, and tends to
    p D2 alpha^2 T zeta(2p)/((1-p) D1), with Riemann's zeta, for p > 1/2.

    **Assumptions.** As for `constant_rate_bound`, which is the better answer where K would be below T: there the rate
    has not begun to fall.

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
    >>> for accuracy in (0.2, 0.05, 0.02):
    ...     bound = polynomial_decay_bound(SmoothConstants(1.0, 50.0, 1.0), 0.1, 0.25, 100, accuracy)
    ...     print(round(bound.critical_batch_size), bound.steps(100))
    27 100.0
    86 461.0
    174 3735.0
    """
    rate, _, eps2 = checked(constants, learning_rate, accuracy)
    p = _check.positive("power", power)
    if p >= 1.0:
        raise ValueError(f"power must lie between 0 and 1, got {power!r}; the sum of the rates would stay finite")
    pieces = Powers(_check.integer("period", period, 1), p)
    return _bound(f"rate decaying as k^-{p:g}", constants, rate, eps2, pieces, float(pieces.period))


def step_decay_bound(
    constants: SmoothConstants, learning_rate: float, factor: float, period: int, accuracy: float
) -> StepsBound:
    r"""Rates alpha eta^floor(k/T).

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
    rate, _, eps2 = checked(constants, learning_rate, accuracy)
    eta = _check.positive("factor", factor)
    if eta >= 1.0:
        raise ValueError(f"factor must lie between 0 and 1, got {factor!r}; use constant_rate_bound for 1")
    pieces = StepDecay(_check.integer("period", period, 1), eta)
    return _bound("rate decaying in steps", constants, rate, eps2, pieces, 0.0)


def _bound(name: str, constants: SmoothConstants, rate: float, eps2: float, pieces: Pieces, least: float) -> StepsBound:
    left = 2.0 - constants.smoothness * rate
    first, spread = 2.0 * constants.gap / left, constants.smoothness * constants.gradient_noise / left
    start, scale = first / rate / eps2, spread * rate / eps2

    def crossing(b: Any) -> Any:
        return np.maximum(first_step(pieces, start, scale / b), least)

    def law(b: Any) -> Any:
        return np.ceil(crossing(b) * (1.0 - ROUNDING))

    return StepsBound(name, FORMULA, least_samples(crossing, scale), law, {"D1": first, "D2": spread, "e": eps2})
