"""The edge of stability of the heavy ball in its two limits, for small rates and for momentum near 1."""

from __future__ import annotations

import numpy as np

from genfun._root import bracketed_root
from genfun.noise import SpectrallyExpressible
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem


def small_rate_limit(problem: Problem, gamma: float, noise: SpectrallyExpressible = SpectrallyExpressible()) -> float:
    r"""The largest effective rate where it is small against 1/lambda_max.

    .. math:: \alpha_{eff} < \frac{2}{\gamma\tau_1\operatorname{Tr}H}

    **Assumptions.** alpha_eff lambda_max << 1. inf without noise.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    gamma : float
        Sampling factor.
    noise : SpectrallyExpressible
        (tau1, tau2).

    Returns
    -------
    float
        alpha_eff = alpha/(1 - beta).

    References
    ----------
    arXiv 2206.11124, section 4.

    Examples
    --------
    >>> import genfun as gf
    >>> small_rate_limit(gf.LinearProblem([1.0, 0.5], [1.0, 1.0]), gamma=0.1)
    13.33...
    """
    strength = gamma * noise.tau1 * problem.trace
    return 2.0 / strength if strength > 0.0 else np.inf


def critical_eigenvalue(problem: Problem, noise: SpectrallyExpressible = SpectrallyExpressible()) -> float:
    r"""lambda_crit, which sets the largest effective rate as the momentum tends to 1: 2/(gamma lambda_crit).

    .. math:: \sum_k \frac{\lambda_k}{\lambda_{crit} + \tau_2\lambda_k} = \frac1{\tau_1}

    **Assumptions.** beta -> 1 at fixed alpha_eff. The largest root, at which every mode has a stationary state.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
        The spectrum.
    noise : SpectrallyExpressible
        (tau1, tau2).

    Returns
    -------
    float
        lambda_crit; 0 where no rate is too large, inf where the trace is infinite.

    References
    ----------
    arXiv 2206.11124, section 4.

    Examples
    --------
    >>> import genfun as gf
    >>> round(critical_eigenvalue(gf.PowerLaw(nu=1.5, zeta=1.0, n_modes=1000)), 4)
    2.1477
    """
    if not np.isfinite(problem.trace):
        return np.inf
    capacity, top = problem.measures()[0], problem.lambda_max
    start = max(0.0, -noise.tau2) * top

    def excess(x: float) -> float:
        return _sum(capacity, x, noise.tau2) * noise.tau1 - 1.0

    # From Tr H tau1 + start on, every term is below tau1 lambda_k/(tau1 Tr H), and the sum below 1.
    high = start + max(noise.tau1, 0.0) * problem.trace * (1.0 + 1e-12)
    low = start + 1e-12 * top
    if high <= low or excess(low) <= 0.0:
        return start
    return bracketed_root(excess, low, high, xtol=1e-15 * top, rtol=1e-14)


def _sum(capacity: SpectralMeasure, x: float, tau2: float) -> float:
    return float((capacity.weights / (capacity.nodes * (x + tau2 * capacity.nodes))).sum())
