"""Weighted straight lines: one with its errors, and those of all windows at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genfun._typing import Array


class Line(NamedTuple):
    """y = intercept + slope x, with standard errors from the weighted residuals."""

    slope: float
    slope_error: float
    intercept: float
    chi2: float
    turn: float
    """Change of the local slope from one end to the other, in the least-squares parabola."""
    turn_error: float
    slope_of: Array
    """slope = slope_of @ y."""
    turn_of: Array
    """turn = turn_of @ y."""


def straight(x: Array, y: Array, w: Array) -> Line:
    r"""Least squares of w (y - a - c x)^2; errors are those of weighted regression with the variance estimated.

    .. math:: \sigma_c^2 = \frac{\chi^2/(m-2)}{\sum w(x-\bar x)^2}
    """
    m, total = x.size, w.sum()
    x0, y0 = float(w @ x / total), float(w @ y / total)
    dx, dy = x - x0, y - y0
    square = float(w @ (dx * dx))
    slope = float(w @ (dx * dy)) / square
    r = dy - slope * dx
    chi2 = float(w @ (r * r))
    bend = dx * dx - square / total
    bend -= float(w @ (bend * dx)) / square * dx
    curved = float(w @ (bend * bend))
    turn_of, turn, turn_error = np.zeros(m), 0.0, 0.0
    if m > 3 and curved > 1e-20 * square**2 / total:
        span = 2.0 * abs(float(x[-1] - x[0]))
        turn_of = span * w * bend / curved
        turn = float(turn_of @ r)
        left = max(chi2 - (turn / span) ** 2 * curved, 0.0)
        turn_error = span * float(np.sqrt(left / (m - 3) / curved))
    slope_error = float(np.sqrt(chi2 / (m - 2) / square)) if m > 2 else 0.0
    return Line(slope, slope_error, y0 - slope * x0, chi2, turn, turn_error, w * dx / square, turn_of)


def window_sums(v: Array) -> Array:
    """Entry (i, j) is the sum over points i, ..., j - 1."""
    c = np.concatenate(([0.0], np.cumsum(v)))
    return c[None, :] - c[:, None]


class AllLines(NamedTuple):
    """Entry (i, j) is the line through points i, ..., j - 1; nan where j - i < 2."""

    slope: Array
    chi2: Array
    points: Array
    square: Array
    """Weighted sum of squares of x about its mean: the variance of a slope is its inverse."""


def all_lines(x: Array, y: Array, w: Array) -> AllLines:
    """The line of every window at once, from cumulated moments; exact to about 1e-16 of the total moments."""
    x, y = x - w @ x / w.sum(), y - w @ y / w.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        total, sx, sy = window_sums(w), window_sums(w * x), window_sums(w * y)
        sxx = window_sums(w * x * x) - sx * sx / total
        sxy = window_sums(w * x * y) - sx * sy / total
        syy = window_sums(w * y * y) - sy * sy / total
        slope = sxy / sxx
        chi2 = np.maximum(syy - slope * sxy, 0.0)
    points = np.arange(x.size + 1)[None, :] - np.arange(x.size + 1)[:, None]
    unfit = points < 2
    slope[unfit] = chi2[unfit] = np.nan
    return AllLines(slope, chi2, points, sxx)
