"""Data with a prescribed spectrum: features for which the spectrally expressible noise is exact, or nearly so."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.data.linear import LinearData
from genfun.data.store import InMemory
from genfun.problems.problem import LinearProblem


def translation_invariant(
    eigenvalues: Any, signal: Any, n_samples: int | None = None, noise_variance: float = 0.0
) -> LinearData:
    r"""Data whose features are the characters of (Z/2)^q (Walsh functions): tau1 = tau2 = 1 exactly.

    .. math:: \varphi_k(i) = \sqrt{\lambda_k}\,(-1)^{\langle k, i\rangle},\qquad \varphi_k(i)^2 = \lambda_k,\qquad
              w^*_k = \sqrt{s_k/\lambda_k}

    **Assumptions.** The SE noise, label noise included, describes these data without approximation: the residuals
    are one more character, so each squared residual equals sigma^2.

    Parameters
    ----------
    eigenvalues : array, shape (n,)
        lambda_k > 0, dimensionless.
    signal : array, shape (n,)
        s_k >= 0, in units of twice the loss.
    n_samples : int or None
        N, a power of two, at least the number of modes (one more with label noise); None takes the smallest.
    noise_variance : float
        sigma^2 >= 0.

    Returns
    -------
    LinearData
        N samples whose spectrum and signal are the given ones.

    Raises
    ------
    ValueError
        If n_samples is no power of two or too small, or the spectrum is no spectrum.

    References
    ----------
    arXiv 2206.11124, section 3 (translation-invariant data).

    Examples
    --------
    >>> translation_invariant([1.0, 0.25, 0.0625], [1.0, 1.0, 2.0]).noise
    SpectrallyExpressible(tau1=1.0, tau2=1.0)
    """
    problem = LinearProblem(eigenvalues, signal, noise_variance=noise_variance)
    lam, rank = problem.eigenvalues, problem.eigenvalues.size
    least = rank + (1 if problem.noise_variance > 0.0 else 0)
    smallest = 1 << (least - 1).bit_length()
    n = smallest if n_samples is None else _check.integer("n_samples", n_samples, 1)
    if n & (n - 1) or n < least:
        raise ValueError(f"n_samples must be a power of two and at least {least}, got {n}; {smallest} is the smallest")
    coefficients = np.sqrt(problem.signal / lam)
    characters = _characters(n, least)
    phi = characters[:, :rank] * np.sqrt(lam)
    y = phi @ coefficients
    if problem.noise_variance > 0.0:
        y = y + np.sqrt(problem.noise_variance) * characters[:, rank]
    return LinearData(
        eigenvalues=np.array(lam),
        coefficients=coefficients[:, None],
        noise_variance=problem.noise_variance,
        n_samples=n,
        n_dropped=0,
        solver="exact",
        notes=(),
        store=InMemory(phi, y[:, None]),
    )


def _characters(n: int, count: int) -> Float[Array, "n count"]:
    """The first `count` Walsh functions on n points, by doubling: H_2m = [[H_m, H_m], [H_m, -H_m]]."""
    table = np.ones((1, 1))
    while table.shape[0] < n:
        table = np.block([[table, table], [table, -table]])[:, :count]
    return table


def gaussian(eigenvalues: Any, signal: Any, n_samples: int, seed: int, noise_variance: float = 0.0) -> LinearData:
    r"""Independent Gaussian features, for which tau1 = 1, tau2 = -1 up to sampling errors.

    .. math:: \psi_i \sim \mathcal N(0, \operatorname{diag}\lambda),\qquad y_i = \langle w^*,\psi_i\rangle +
              \sigma\epsilon_i,\qquad w^*_k = \sqrt{s_k/\lambda_k}

    **Assumptions.** The returned spectrum and signal are those of the drawn samples; they approach the given ones as
    n_samples grows beyond the number of modes.

    Parameters
    ----------
    eigenvalues : array, shape (n,)
        Population lambda_k > 0, dimensionless.
    signal : array, shape (n,)
        Population s_k >= 0, in units of twice the loss.
    n_samples : int
        N.
    seed : int
        Seed of `numpy.random.default_rng`.
    noise_variance : float
        sigma^2 >= 0 of the Gaussian label noise.

    Returns
    -------
    LinearData
        The drawn samples in their own eigenbasis.

    Raises
    ------
    ValueError
        If n_samples < 1 or the spectrum is no spectrum.

    References
    ----------
    arXiv 2206.11124, section 3 (Gaussian features).

    Examples
    --------
    >>> gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0).problem.n_samples
    100
    """
    problem = LinearProblem(eigenvalues, signal, noise_variance=noise_variance)
    n = _check.integer("n_samples", n_samples, 1)
    rng = np.random.default_rng(_check.integer("seed", seed, 0))
    features = rng.standard_normal((n, problem.eigenvalues.size)) * np.sqrt(problem.eigenvalues)
    y = features @ np.sqrt(problem.signal / problem.eigenvalues)
    if problem.noise_variance > 0.0:
        y = y + np.sqrt(problem.noise_variance) * rng.standard_normal(n)
    return LinearData.from_features(features, y)
