"""Roots between two points of different sign: what scipy.optimize has, whose import takes longer than most answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST = 200


def bracketed_root(function: Callable[[float], float], low: float, high: float, xtol: float, rtol: float) -> float:
    """By inverse quadratic interpolation where that is sure to converge, by halving else.

    Parameters
    ----------
    function : callable
        Of a number; of different sign, or 0, at the two ends.
    low, high : float
        The ends.
    xtol, rtol : float
        The root is found to within xtol + rtol times itself.

    Raises
    ------
    ValueError
        If the signs are equal.

    References
    ----------
    Chandrupatla, Advances in Engineering Software 28 (1997) 145.

    Examples
    --------
    >>> bracketed_root(lambda x: x * x - 2.0, 0.0, 2.0, 1e-15, 1e-15)
    1.414213562373...
    """
    b, a = float(low), float(high)
    fb, fa = float(function(b)), float(function(a))
    if fa == 0.0 or fb == 0.0:
        return a if fa == 0.0 else b
    if not fa * fb < 0.0:
        raise ValueError(f"function must change its sign between low={low!r} and high={high!r}, got {fb!r} and {fa!r}")
    c, fc, share, best = a, fa, 0.5, a
    for _ in range(MOST):
        x = a + share * (b - a)
        fx = float(function(x))
        if (fx > 0.0) == (fa > 0.0):
            c, fc = a, fa
        else:
            c, fc, b, fb = b, fb, a, fa
        a, fa = x, fx
        best, value = (a, fa) if abs(fa) < abs(fb) else (b, fb)
        least = (xtol + rtol * abs(best)) / abs(b - a)
        if value == 0.0 or least > 0.5:
            return best
        between, ratio = (a - b) / (c - b), (fa - fb) / (fc - fb)
        share = 0.5
        if ratio**2 < between and (1.0 - ratio) ** 2 < 1.0 - between:
            share = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        share = min(max(share, least), 1.0 - least)
    return best


def bracketed_roots(function: Callable[[Any, Any], Any], low: Any, high: Any, xtol: float) -> Any:
    """The same of many functions at once, those whose root is found already left out.

    Parameters
    ----------
    function : callable
        (indices, points) -> the values of these functions, one point each; of different sign at the two ends of each.
    low, high : array, shape (n,)
        The ends.
    xtol : float
        Absolute.

    Returns
    -------
    array, shape (n,)

    References
    ----------
    Chandrupatla, Advances in Engineering Software 28 (1997) 145.

    Examples
    --------
    >>> import numpy as np
    >>> squares = np.array([2.0, 9.0])
    >>> bracketed_roots(lambda i, x: x * x - squares[i], np.zeros(2), np.full(2, 4.0), 1e-12).round(9)
    array([1.41421356, 3.        ])
    """
    import numpy as np

    active = np.arange(len(low))
    b, a = np.array(low, dtype=float), np.array(high, dtype=float)
    fb, fa = function(active, b), function(active, a)
    c, fc, share = a, fa, np.full(a.size, 0.5)
    found = np.where(np.abs(fa) < np.abs(fb), a, b)
    with np.errstate(all="ignore"):
        for _ in range(MOST):
            x = a + share * (b - a)
            fx = function(active, x)
            same = (fx > 0.0) == (fa > 0.0)
            c, fc, b, fb = np.where(same, a, b), np.where(same, fa, fb), np.where(same, b, a), np.where(same, fb, fa)
            a, fa = x, fx
            found[active] = np.where(np.abs(fa) < np.abs(fb), a, b)
            least = xtol / np.abs(b - a)
            going = (fa != 0.0) & (fb != 0.0) & (least <= 0.5)
            if not going.any():
                break
            active, least = active[going], least[going]
            a, fa, b, fb, c, fc = (v[going] for v in (a, fa, b, fb, c, fc))
            between, ratio = (a - b) / (c - b), (fa - fb) / (fc - fb)
            quick = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            share = np.where((ratio**2 < between) & ((1.0 - ratio) ** 2 < 1.0 - between), quick, 0.5)
            share = np.clip(share, least, 1.0 - least)
    return found
