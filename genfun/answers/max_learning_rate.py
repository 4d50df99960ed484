"""How large may the learning rate be?"""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.problems.problem import Problem
from genfun.symbolic.arrays import responses


def _spectral_radius(method: Method, a: float) -> float:
    matrix = np.array(method.update(a, *method.hyperparameters)[0], dtype=np.float64)
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def curvature_limit(problem: Problem, method: Method) -> float:
    """Largest learning rate at which the noiseless dynamics is stable: rho(T(alpha lambda_max)) = 1.

    Parameters
    ----------
    problem : Problem
    method : Method
        Its learning rate is ignored.
    """
    if isinstance(method, SGD):
        return 2.0 * (1.0 + method.momentum) / problem.lambda_max
    grid = np.geomspace(1e-6, 1e3, 400).tolist()
    unstable = np.flatnonzero([_spectral_radius(method, a) > 1.0 for a in grid])
    if unstable.size == 0:
        return np.inf
    high = grid[unstable[0]]
    low = grid[max(unstable[0] - 1, 0)]
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _spectral_radius(method, middle) > 1.0 else (middle, high)
    return float(low / problem.lambda_max)


def edge(problem: Problem, method: Method, noise: SpectrallyExpressible) -> float:
    """The largest stable learning rate of a method, its own learning rate ignored.

    Parameters
    ----------
    problem : Problem
    method : Method
    noise : SpectrallyExpressible
    """
    _check.setting(problem, method, noise)
    top = curvature_limit(problem, method)
    gamma = sampling_factor(method.batch_size, problem.n_samples, method.replacement)
    if gamma == 0.0 or (noise.tau1 == 0.0 and noise.tau2 == 0.0):
        return top
    if np.isinf(problem.trace):
        return 0.0
    gain = _gain_function(problem, method, noise, gamma)
    if gain(np.array([top * (1.0 - 1e-13)])).item() < 1.0:
        return top
    # The gain grows from 0 with the learning rate up to its first crossing of 1 (or its first pole).
    low, high = 0.0, top
    grid = top * np.geomspace(1e-15, 1.0, 200)[:-1]
    above = np.flatnonzero(gain(grid) >= 1.0)
    if above.size:
        high = float(grid[above[0]])
        low = float(grid[above[0] - 1]) if above[0] > 0 else 0.0
    for _ in range(12):
        points = np.linspace(low, high, 34)
        bad = np.flatnonzero(gain(points[1:-1]) >= 1.0)
        i = int(bad[0]) if bad.size else 32
        low, high = float(points[i]), float(points[i + 1])
        if high - low <= 4e-16 * high:
            break
    return low


def _gain_function(problem: Problem, method: Method, noise: SpectrallyExpressible, gamma: float) -> Any:
    """U~(1) as a function of an array of learning rates; inf where a mode has no stationary state."""
    capacity, _ = problem.measures()
    hyper = tuple(np.array([[h]]) for h in method.hyperparameters)

    def gain(rates: Array) -> Array:
        return noise_gain_grid(type(method), capacity.nodes, capacity.weights, rates[:, None], hyper, gamma, noise)

    return gain


def noise_gain_grid(
    kind: type[Any],
    nodes: Array,
    weights: Array,
    rates: Array,
    hyper: tuple[Any, ...],
    gamma: Any,
    noise: SpectrallyExpressible,
) -> Float[Array, "..."]:
    """U~(1) over settings that broadcast as (..., 1) against the nodes; inf where S(1) <= 0."""
    a = rates * nodes
    d, kick, _ = responses(kind)(a, 0.0, *hyper)
    d = d + gamma * noise.tau2 * a * a * kick
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = gamma * noise.tau1 * ((rates * rates * weights) * kick / d).sum(axis=-1)
    return np.where((d > 0.0).all(axis=-1), value, np.inf)


def noise_gain_map(
    problem: Problem,
    learning_rates: Any,
    momenta: Any,
    batch_size: int | None = None,
    noise: SpectrallyExpressible = SpectrallyExpressible(),
) -> Float[Array, "rates momenta"]:
    r"""U~(1) of heavy-ball SGD over a grid; the stability edge is its level 1.

    .. math:: \tilde U(1) = \gamma\tau_1\alpha_{eff}\sum_k \frac{\lambda_k}
              {2 - \alpha_{eff}\lambda_k\left[\frac{1-\beta}{1+\beta} - \gamma\tau_2\right]}

    **Assumptions.** Spectrally expressible noise.

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
    learning_rates : array, shape (r,)
        alpha > 0.
    momenta : array, shape (m,)
        beta in (-1, 1).
    batch_size : int or None
        b; None means the full batch.
    noise : SpectrallyExpressible
        (tau1, tau2).

    Returns
    -------
    array, shape (r, m)
        U~(1); inf where alpha lambda_max >= 2(1+beta) or a mode has no stationary state.

    References
    ----------
    arXiv 2206.11124, eq. (13).

    Examples
    --------
    >>> import genfun as gf
    >>> gf.noise_gain_map(gf.LinearProblem([1.0], [1.0]), [0.5, 3.0], [0.0, 0.6], batch_size=1).round(4)
    array([[0.25  , 0.4255],
           [   inf, 0.9836]])
    """
    rates, betas = _check.vector("learning_rates", learning_rates), _check.vector("momenta", momenta)
    if rates.min() <= 0.0:
        raise ValueError(f"learning_rates must be positive, got {float(rates.min())!r}; start the grid above 0")
    for beta in betas:
        _check.momentum(beta)
    gamma = sampling_factor(batch_size, problem.n_samples)
    capacity, _ = problem.measures()
    result = np.empty((rates.size, betas.size))
    for j, beta in enumerate(betas):
        grid = noise_gain_grid(SGD, capacity.nodes, capacity.weights, rates[:, None], (beta,), gamma, noise)
        result[:, j] = np.where(rates * problem.lambda_max >= 2.0 * (1.0 + beta), np.inf, grid)
    return result


def max_learning_rate(
    problem: Problem,
    momentum: float = 0.0,
    batch_size: int | None = None,
    noise: SpectrallyExpressible = SpectrallyExpressible(),
    method: Method | None = None,
) -> float:
    r"""The largest learning rate at which the mean loss converges.

    .. math:: \alpha_{max} = \min\Big(\frac{2(1+\beta)}{\lambda_{max}},\ \alpha : \tilde U(1) = 1\Big)

    **Assumptions.** Spectrally expressible noise. 0.0 is returned where no rate is stable (infinite trace).

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
    momentum : float
        beta in (-1, 1), of heavy-ball SGD.
    batch_size : int or None
        b; None means the full batch.
    noise : SpectrallyExpressible
        (tau1, tau2).
    method : Method, optional
        Another method in place of heavy-ball SGD; its own learning rate is ignored.

    Returns
    -------
    float
        alpha_max, in units of 1/eigenvalue, to about 1e-14 relative.

    Raises
    ------
    ValueError
        If momentum or batch_size is out of range.

    References
    ----------
    arXiv 2206.11124, eq. (13).

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=1000)
    >>> round(gf.max_learning_rate(problem, momentum=0.9, batch_size=1), 4)
    0.0924
    >>> gf.max_learning_rate(problem, momentum=0.9)  # full batch: 2(1+beta)/lambda_max
    3.8
    """
    return edge(problem, SGD(1.0, momentum, batch_size) if method is None else method, noise)
