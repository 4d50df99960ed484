"""The exact recursion of the full second moments: no approximation of the noise, small data only."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Int
from genfun.data.linear import LinearData
from genfun.engine.loss_curve import LossCurve
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.scaled import EPS, Scaled

MAX_RANK = 3_000
LARGEST = 1e280
"""A loss above it is given, but the steps after it are inf: their moments would overflow."""


def exact_curve(data: LinearData, method: Method, steps: Int[Array, " t"]) -> LossCurve:
    r"""Mean loss from the full covariance of the state, for the data themselves.

    .. math:: \Sigma = \gamma\Big[\tfrac1N\sum_i E[r_i^2]\,\phi_i\phi_i^T - H C H\Big],\qquad
              r_i = \langle\phi_i, w-w^*\rangle - \varepsilon_i

    with eps_i the residuals at the optimum; E[r_i^2] needs the mean of w as well as its covariance.

    **Assumptions.** Batches drawn anew at every step; w_0 = 0. Memory and time per step O(rank^2) and O(n rank^2).

    Parameters
    ----------
    data : LinearData
        n samples, any number of outputs.
    method : Method
        Learning rate, batch size and update.
    steps : array, shape (t,)
        Ascending.

    Returns
    -------
    LossCurve

    Raises
    ------
    ValueError
        If the rank is too large for it.

    References
    ----------
    arXiv 2206.11124, section 3 (before the spectrally expressible approximation).
    """
    phi, lam = data.eigenfeatures, data.problem.eigenvalues
    if lam.size > MAX_RANK:
        raise ValueError(f"method='exact' takes data of rank at most {MAX_RANK}, got {lam.size}; use method='auto'")
    alpha = method.learning_rate
    gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
    rows, kick = method.update(alpha * lam, *method.hyperparameters)
    m = len(kick)
    update = [[np.broadcast_to(np.asarray(x, float), lam.shape) for x in row] for row in rows]
    start = -np.asarray(data.coefficients, float).reshape(lam.size, -1)
    residual = np.asarray(data.residuals, float).reshape(phi.shape[0], -1)
    mean = [start] + [np.zeros_like(start) for _ in range(m - 1)]
    zero = np.zeros((lam.size, lam.size))
    moment = [[start @ start.T if i == j == 0 else zero.copy() for j in range(m)] for i in range(m)]
    square = (residual**2).sum(axis=1)
    floor = 0.5 * data.problem.noise_variance
    losses = np.full(int(steps[-1]) + 1, np.inf)
    for t in range(losses.size):
        c = moment[0][0]
        losses[t] = 0.5 * float(lam @ np.diag(c)) + floor
        if t == losses.size - 1 or losses[t] > LARGEST:
            break
        noise = zero
        if gamma > 0.0:
            power = np.einsum("ij,ij->i", phi @ c, phi) - 2.0 * (residual * (phi @ mean[0])).sum(axis=1) + square
            noise = (phi.T * (power / phi.shape[0])) @ phi - np.outer(lam, lam) * c
            noise *= gamma * alpha**2
        half = [[sum(update[i][k][:, None] * moment[k][j] for k in range(m)) for j in range(m)] for i in range(m)]
        moment = [
            [
                sum(half[i][k] * update[j][k][None, :] for k in range(m)) + float(kick[i] * kick[j]) * noise
                for j in range(m)
            ]
            for i in range(m)
        ]
        mean = [sum(update[i][k][:, None] * mean[k] for k in range(m)) for i in range(m)]  # pyright: ignore
    exponent = np.zeros(steps.size, dtype=np.int64)
    return LossCurve(Scaled(losses[steps], exponent), EPS * (64.0 + 16.0 * steps), "exact second moments")
