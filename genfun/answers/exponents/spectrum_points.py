"""A spectrum at a few mode numbers, for pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import UNLISTED, LinearProblem, Problem

INFINITE_MODES = 10**6
"""An infinite spectrum is listed up to this mode."""


@dataclass(frozen=True, eq=False)
class SpectrumPoints:
    r"""Eigenvalues and signal at some mode numbers, from largest eigenvalue to smallest.

    .. math:: S_k = \sum_{j\ge k} s_j

    Attributes
    ----------
    modes : integer array, shape (m,)
        k, counted from 1.
    eigenvalues : array, shape (m,)
        lambda_k.
    signal : array, shape (m,)
        s_k, in units of twice the loss.
    signal_tails : array, shape (m,)
        S_k, the signal of this mode and all after it.

    Examples
    --------
    >>> spectrum_points(LinearProblem([1.0, 0.5], [2.0, 1.0])).signal_tails
    array([3., 1.])
    """

    modes: Int[Array, " m"]
    eigenvalues: Float[Array, " m"]
    signal: Float[Array, " m"]
    signal_tails: Float[Array, " m"]


def spectrum_points(problem: Problem, at_most: int = 1000) -> SpectrumPoints:
    r"""The spectrum at every mode, or at log-spaced modes where there are many.

    .. math:: (k,\ \lambda_k,\ s_k,\ \textstyle\sum_{j\ge k} s_j)

    **Assumptions.** An infinite spectrum is listed up to mode 10^6.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    at_most : int
        Points, at least 1; a spectrum of no more modes is listed in full.

    Returns
    -------
    SpectrumPoints
        In descending order of the eigenvalues.

    Raises
    ------
    TypeError
        If the problem is neither a LinearProblem nor a PowerLaw.
    ValueError
        If at_most is below 1.

    Examples
    --------
    >>> spectrum_points(PowerLaw(nu=1.0, zeta=0.5), at_most=3).eigenvalues
    array([1.e+00, 1.e-03, 1.e-06])
    """
    count = _check.integer("at_most", at_most, 1)
    if isinstance(problem, PowerLaw):
        k = log_spaced(problem.n_modes or INFINITE_MODES, count)
        lam = problem.eigenvalue_scale * k.astype(float) ** -problem.nu
        tails = problem.signal_scale * lam**problem.zeta
        signal = tails * -np.expm1(-problem.kappa * np.log1p(1.0 / k))
        if k[-1] == problem.n_modes:
            signal[-1] = tails[-1]
        return SpectrumPoints(k, lam, signal, tails)
    if not isinstance(problem, LinearProblem):
        raise TypeError(f"problem must be a LinearProblem or a PowerLaw, got {type(problem).__name__}; {UNLISTED}")
    k = log_spaced(problem.eigenvalues.size, count)
    tails = np.cumsum(problem.signal[::-1])[::-1]
    return SpectrumPoints(k, problem.eigenvalues[k - 1], problem.signal[k - 1], tails[k - 1])


def log_spaced(n: int, count: int) -> Int[Array, " m"]:
    """At most `count` whole numbers from 1 to n, evenly spaced in the logarithm; all of them if n <= count.

    Parameters
    ----------
    n, count : int
    """
    if n <= count:
        return np.arange(1, n + 1)
    return np.unique(np.rint(np.geomspace(1.0, n, count)).astype(np.int64))
