"""The modes over which two straight lines hold best, and how far the slopes depend on that choice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genfun._typing import Array
from genfun.answers.exponents._lines import AllLines, all_lines, straight, window_sums
from genfun.answers.exponents._signal import EXTRA, Rule, SignalBins

SHORTEST = np.log(10.0) - 1e-9
"""No window is shorter than a decade of mode numbers."""
FEWEST = 4
"""Points of a window; a spectrum of fewer modes has no exponents."""
SOFTENING = 0.05
"""Residuals (natural log) well below this are not traded for a shorter window."""
SMOOTH = SOFTENING**2
NINETY = 1.645
"""90 % of a normal variable lie within this many standard deviations."""

ROUNDS = 3
"""Window, exponent and scatter depend weakly on one another; the third round changes nothing in practice."""


class Choice(NamedTuple):
    score: float
    first: int
    stop: int
    """One past the last point of the window, whose bins are first, ..., stop - 2."""
    power: float
    rule: Rule
    scatter: float


def choose(x: Array, lam: Array, bins: SignalBins, rule: Rule, start: float) -> Choice:
    """The best window under a rule, and the power p of s_k ~ k^-p in it."""
    first, stop, power = 0, x.size, start
    score, scatter = -np.inf, 0.0
    nu_lines = all_lines(x, lam, np.ones_like(x))
    for _ in range(ROUNDS):
        scatter = bins.scatter(power, first, stop - 1)
        y, variance = bins.logs(rule, scatter)
        w = 1.0 / (SMOOTH + variance)
        lines = all_lines(bins.log_modes(power, rule), y, w)
        score, first, stop = best_window(x, lam, nu_lines, lines, w * variance)
        here = slice(first, stop - 1)
        for _ in range(30):
            line = straight(bins.log_modes(power, rule)[here], y[here], w[here])
            before, power = power, 1.0 - line.slope - EXTRA[rule]
            if abs(power - before) < 1e-13:
                break
    return Choice(score, first, stop, power, rule, scatter)


def best_window(
    x: Array, lam: Array, nu_lines: AllLines, signal_lines: AllLines, expected: Array
) -> tuple[float, int, int]:
    """Score, first and one-past-last point of the best window; everything where there is no decade of modes.

    `expected` is the part of chi^2 of the signal's points that scatter explains.
    """
    length, usable = lengths(x, lam, SHORTEST)
    if not usable.any():
        return -np.inf, 0, x.size
    square = nu_lines.chi2 / nu_lines.points
    # The window of points i, ..., j - 1 has the bins i, ..., j - 2.
    square[:-1, 1:] += SMOOTH * np.maximum(signal_lines.chi2 - window_sums(expected), 0.0) / signal_lines.points
    score = np.where(usable, length / (SOFTENING + np.sqrt(square)), -np.inf)
    first, stop = np.unravel_index(int(np.argmax(score)), score.shape)
    return float(score[first, stop]), int(first), int(stop)


def lengths(x: Array, lam: Array, least: float) -> tuple[Array, Array]:
    """Length in log k of the window of points i, ..., j - 1, as entry (i, j), and whether it is long enough to use."""
    n = x.size
    length, fall = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
    length[:n, 1:], fall[:n, 1:] = x[None, :] - x[:, None], lam[:, None] - lam[None, :]
    count = np.arange(n + 1)[None, :] - np.arange(n + 1)[:, None]
    return length, (length >= least) & (count >= FEWEST) & (fall > 0.0)


def sub_windows(x: Array, lam: Array, z: Array, y: Array, w: Array) -> tuple[Array, Array, float]:
    """nu, and the slope of the signal's line, in every window of at least half the length.

    Last, the mean variance of these slopes about that of the whole, per unit variance of the weighted points:
    estimates on a part and on the whole differ by chance with the difference of their variances.
    """
    usable = lengths(x, lam, 0.5 * float(x[-1] - x[0]))[1]
    usable[:, 0] = False
    i, j = np.nonzero(usable)
    if i.size == 0:
        return np.empty(0), np.empty(0), 0.0
    lines = all_lines(z, y, w)
    nu = -all_lines(x, lam, np.ones_like(x)).slope[i, j]
    return nu, lines.slope[i, j - 1], float(np.mean(1.0 / lines.square[i, j - 1]) - 1.0 / lines.square[0, -1])


def interval(values: Array, centre: float, error: float, chance: float = 0.0) -> tuple[float, float]:
    """Sampling error and dependence on the window beyond chance (a variance) in quadrature, each side by itself."""
    low, high = np.quantile(values, (0.05, 0.95)) if values.size else (centre, centre)

    def half(width: float) -> float:
        beyond = max(max(width, 0.0) ** 2 - NINETY**2 * chance, 0.0)
        return float(np.sqrt(beyond + (NINETY * error) ** 2))

    return centre - half(centre - low), centre + half(high - centre)
