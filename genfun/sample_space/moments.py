"""The exact recursion of the full second moments: no approximation of the noise, small data only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.loss_curve import LossCurve
from genfun.methods.base import Method
from genfun.noise import sampling_factor
from genfun.scaled import EPS, Scaled

MAX_RANK = 3_000
LARGEST = 1e280
"""A loss above it is given, but the steps after it are inf: their moments would overflow."""


def exact_curve(data: Any, method: Method, steps: Int[Array, " t"]) -> LossCurve:
    r"""Mean loss from the full covariance of the state, for the data themselves.

    .. math:: \Sigma = \gamma\Big[\tfrac1N\sum_i E[r_i^2]\,\phi_i\phi_i^T - H C H\Big],\qquad
              r_i = \langle\phi_i, w-w^*\rangle - \varepsilon_i

    with eps_i the residuals at the optimum; E[r_i^2] needs the mean of w as well as its covariance.

    **Assumptions.** Batches drawn anew at every step; w_0 = 0. Memory and time per step O(rank^2) and O(n rank^2).

    Parameters
    ----------
    data : Any
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
    if data.rank > MAX_RANK:
        raise ValueError(f"method='exact' takes data of rank at most {MAX_RANK}, got {data.rank}; use method='auto'")
    floor = 0.5 * data.problem.noise_variance
    lam = data.problem.eigenvalues
    losses = np.full(int(steps[-1]) + 1, np.inf)
    for t, (moment, _) in enumerate(second_moments(data, method, losses.size - 1)):
        losses[t] = 0.5 * float(lam @ np.diag(moment)) + floor
        if losses[t] > LARGEST:
            break
    exponent = np.zeros(steps.size, dtype=np.int64)
    return LossCurve(Scaled(losses[steps], exponent), EPS * (64.0 + 16.0 * steps), "exact second moments")


def second_moments(
    data: Any, method: Method, last: int
) -> Iterator[tuple[Float[Array, "rank rank"], Float[Array, "rank outputs"]]]:
    """E (w - w*)(w - w*)^T, summed over outputs, and E (w - w*), at steps 0, 1, ..., last in turn.

    Parameters
    ----------
    data : LinearData
    method : Method
    last : int
        The last step.
    """
    phi, lam = data.eigenfeatures, data.problem.eigenvalues
    alpha = method.learning_rate
    gamma = sampling_factor(method.batch_size, data.n_samples, method.replacement)
    rows, kick = method.update(alpha * lam, *method.hyperparameters)
    m = len(kick)
    update = [[np.broadcast_to(np.asarray(x, float), lam.shape) for x in row] for row in rows]
    start = -np.asarray(data.coefficients, float).reshape(lam.size, -1)
    residual = np.asarray(data.residuals, float).reshape(phi.shape[0], -1)
    if data.noise_variance == 0.0:
        # What rounding leaves of targets that are fitted exactly would be a floor.
        residual = np.zeros_like(residual)
    mean = [start] + [np.zeros_like(start) for _ in range(m - 1)]
    zero = np.zeros((lam.size, lam.size))
    moment = [[start @ start.T if i == j == 0 else zero.copy() for j in range(m)] for i in range(m)]
    square = (residual**2).sum(axis=1)
    for t in range(last + 1):
        c = moment[0][0]
        yield c, mean[0]  # pyright: ignore
        if t == last:
            return
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


class MomentSteps:
    """The recursion of the full second moments as the engine steps through it.

    Parameters
    ----------
    data : LinearData
    method : Method
    """

    def __init__(self, data: Any, method: Method) -> None:
        self._data, self._method, self._next = data, method, 0
        self.size = data.rank**2

    def losses(self, until: int) -> Scaled:
        """Losses from the first step not asked for yet to `until`, inclusive.

        Parameters
        ----------
        until : int
        """
        steps = np.arange(self._next, until + 1)
        self._next = until + 1
        return exact_curve(self._data, self._method, steps).loss
