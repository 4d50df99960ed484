"""A root between two points of different sign: what scipy.optimize has, whose import takes longer than most answers."""

from __future__ import annotations

from collections.abc import Callable

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
