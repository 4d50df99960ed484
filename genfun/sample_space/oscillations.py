"""What a few pairs of modes leave out of a loss that still oscillates: told, and made good, where no batch is noisy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.settings import Settings
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import LinearProblem
from genfun.sample_space.projection import PairMeasure

LAGS = (64, 32, 16, 8, 7, 6, 5, 4, 3, 2, 1, 0)
"""Steps before the last at which it is looked at: an oscillation may be at a zero at any of them."""
CELLS = 100_000
"""Settings times eigenvalues worked on together."""

Matrix = list[list[Array]]


def left_out(pairs: PairMeasure, settings: Settings, step: int) -> tuple[Float[Array, " S"], Float[Array, " S"]]:
    r"""By how much losses without sampling noise exceed what some pairs make of them, and the envelope of that.

    .. math:: \delta_t = \tfrac12\sum_k s_k\, g_k(t)^2 - \frac{1}{2\sqrt N}\sum_P S_P\, g_j(t)\,g_k(t),\qquad
              g_k(t) = (T_k^t)_{ww}

    Pairs are chosen at points of contours about slow modes; where fast ones oscillate they err by much more, and mostly
    in what needs no noise. The envelope is the largest of the last steps, each faded by beta for every step since.

    **Assumptions.** Heavy-ball SGD.

    Parameters
    ----------
    pairs : PairMeasure
    settings : Settings
        S settings.
    step : int
        t >= 1.

    Returns
    -------
    (array, array), each of shape (S,)
        0 where powers leave the range of doubles.
    """
    found, envelope = np.zeros(settings.rates.size), np.zeros(settings.rates.size)
    problem = settings.problem
    signal = (problem.full_measures if isinstance(problem, LinearProblem) else problem.measures())[1]
    together = max(1, CELLS // (pairs.nodes.size + signal.nodes.size))
    for start in range(0, found.size, together):
        part = np.arange(start, min(start + together, found.size))
        with np.errstate(all="ignore"):
            found[part], envelope[part] = _of_some(pairs, signal, settings.take(part), step)
    return found, envelope


def _of_some(pairs: PairMeasure, signal: SpectralMeasure, settings: Settings, step: int) -> tuple[Array, Array]:
    samples = settings.problem.n_samples or 1
    nodes, beta = np.concatenate((pairs.nodes, signal.nodes)), settings.hyper[0][:, None]
    a, few = settings.rates[:, None] * nodes, pairs.nodes.size
    update = [[1.0 - a, beta + 0.0 * a], [-a, beta + 0.0 * a]]
    lags = [lag for lag in LAGS if lag < step]
    at, values = power(update, step - lags[0]), []
    for before, lag in pairwise([lags[0], *lags]):
        if lag < before:
            at = product(at, power(update, before - lag))
        g = at[0][0]
        exact = 0.5 * (g[:, few:] ** 2 @ signal.weights)
        made = (g[:, pairs.first] * g[:, pairs.second]) @ pairs.source[0] / (2.0 * np.sqrt(samples))
        values.append(exact - made)
    faded = np.abs(values) * np.abs(settings.hyper[0]) ** np.array(lags)[:, None]
    last, largest = values[-1], np.nan_to_num(faded, nan=0.0, posinf=0.0).max(axis=0)
    return np.nan_to_num(last, nan=0.0, posinf=0.0, neginf=0.0), largest


def product(one: Matrix, other: Matrix) -> Matrix:
    """The product of 2 x 2 matrices of arrays.

    Parameters
    ----------
    one, other : lists of two lists of two arrays
    """
    return [[one[i][0] * other[0][j] + one[i][1] * other[1][j] for j in (0, 1)] for i in (0, 1)]


def power(matrix: Matrix, count: int) -> Matrix:
    """A power of 2 x 2 matrices of arrays.

    Parameters
    ----------
    matrix : list of two lists of two arrays
    count : int
        At least 1.
    """
    found: Matrix | None = None
    while count:
        if count & 1:
            found = matrix if found is None else product(found, matrix)
        count >>= 1
        if count:
            matrix = product(matrix, matrix)
    assert found is not None
    return found
