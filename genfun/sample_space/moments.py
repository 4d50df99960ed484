"""The exact recursion of the full second moments: no approximation of the noise, small data only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.engine.contour_curve import LossCurve
from genfun.engine.scheduled import chunks, paces, sampling_factors
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.system import system_of
from genfun.noise import sampling_factor
from genfun.scaled import EPS, Scaled
from genfun.schedules.scheduled_sgd import ScheduledSGD

MAX_RANK = 3_000
LARGEST = 1e280
"""A loss above it is given, but the steps after it are inf: their moments would overflow."""


def exact_curve(data: Any, method: Any, steps: Int[Array, " t"]) -> LossCurve:
    r"""Mean loss from the full covariance of the state, for the data themselves.

    .. math:: \Sigma = \gamma\Big[\tfrac1N\sum_i E[r_i^2]\,\phi_i\phi_i^T - H C H\Big],\qquad
              r_i = \langle\phi_i, w-w^*\rangle - \varepsilon_i

    with eps_i the residuals at the optimum; E[r_i^2] needs the mean of w as well as its covariance.

    **Assumptions.** Batches drawn anew at every step; w_0 = 0. Memory and time per step O(rank^2) and O(n rank^2).

    Parameters
    ----------
    data : Any
        n samples, any number of outputs.
    method : Method, Averaged or ScheduledSGD
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
    averaged: Any = method if isinstance(method, Averaged) else None
    begin = averaged.start if averaged is not None and averaged.is_uniform else None
    for t, (moment, mean) in enumerate(state_moments(data, method, losses.size - 1)):
        here = 0.5 * float(lam @ np.diag(moment[0][0]))
        if averaged is None or (begin is not None and t <= begin):
            losses[t] = here + floor
        else:
            count = 1 if begin is None else t - begin
            losses[t] = 0.5 * float(lam @ np.diag(moment[-1][-1])) / count**2 + floor
        if t == begin:
            mean[-1][:] = 0.0
            for i in range(len(mean)):
                moment[i][-1][:] = moment[-1][i][:] = 0.0
        # The weights leave the range of doubles long before a short average of them does.
        if not max(losses[t], here) <= LARGEST:
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
    for moment, mean in state_moments(data, method, last):
        yield moment[0][0], mean[0]


@dataclass(frozen=True, eq=False)
class Step:
    """One step of the state of every mode.

    Attributes
    ----------
    rows : list of lists of arrays, each of shape (rank,)
        T.
    kick : sequence of float
        k.
    rate : float
        What a gradient is multiplied with in the kick, the learning rate.
    gamma : float
        Sampling factor.
    """

    rows: list[list[Array]]
    kick: Any
    rate: float
    gamma: float

    @property
    def variance(self) -> float:
        """Factor of the noise covariance of a gradient: gamma times the square of the learning rate."""
        return self.gamma * self.rate * self.rate


def run_of(data: Any, method: Any, last: int) -> tuple[Float[Array, "states rank"], Iterator[Step]]:
    """The start of the state of every mode, in units of its initial error, and the steps 0, ..., last - 1.

    Parameters
    ----------
    data : LinearData
    method : Method, Averaged or ScheduledSGD
    last : int
    """
    lam, n = data.problem.eigenvalues, data.n_samples
    if isinstance(method, ScheduledSGD):
        return np.stack([np.ones_like(lam), np.zeros_like(lam)]), _scheduled(data, method, last)
    _check.rates(method.learning_rate, data.problem.lambda_max)
    gamma = sampling_factor(method.batch_size, n, method.replacement)
    rate, a = method.learning_rate, method.learning_rate * lam
    if getattr(method, "options", ""):
        system = system_of(method)
        table = system.rows(a)
        rows = [[table[:, i, k] for k in range(system.size)] for i in range(system.size)]
        start, kick, first = (
            system.start[:, None] + np.outer(system.start_slope, a),
            system.kick,
            system.first_noise**0.5,
        )
    else:
        given, kick = method.update(a, *method.hyperparameters)
        rows = [[np.broadcast_to(np.asarray(x, float), lam.shape) for x in row] for row in given]
        start, first = np.zeros((len(kick), lam.size)), 1.0
        start[0] = 1.0
    return start, (Step(rows, kick, rate * (first if t == 0 else 1.0), gamma) for t in range(last))


def _scheduled(data: Any, method: ScheduledSGD, last: int) -> Iterator[Step]:
    lam = data.problem.eigenvalues
    for steps in chunks(0, last):
        rates, momenta, sizes = method.at(steps)
        gammas = sampling_factors(data.problem, method, sizes, steps.size)
        scales, factors = paces(method, data.problem.lambda_max, steps, rates)
        for e, r, beta, gamma in zip(scales, factors, momenta, gammas, strict=True):
            one = np.ones_like(lam)
            rows = [[1.0 - r * e * lam, r * beta * one], [-e * lam, beta * one]]
            yield Step(rows, (float(r), 1.0), float(e), float(gamma))


def state_moments(data: Any, method: Any, last: int) -> Iterator[tuple[Any, Any]]:
    """The second moments and the mean of all states of the modes, w - w* first, at steps 0, 1, ..., last in turn.

    Parameters
    ----------
    data : LinearData
    method : Method, Averaged or ScheduledSGD
    last : int
        The last step.

    Returns
    -------
    iterator
        Of ([i][j] arrays (rank, rank), summed over outputs; [i] arrays (rank, outputs)), which may be set to 0.
    """
    return moments_along(data, *run_of(data, method, last))


def moments_along(data: Any, begin: Float[Array, "states rank"], steps: Iterator[Step]) -> Iterator[tuple[Any, Any]]:
    """What `state_moments` gives, along steps of one's own, which are asked for one by one.

    Parameters
    ----------
    data : LinearData
    begin : array, shape (states, rank)
        The start, in units of the initial error.
    steps : iterator of Step
    """
    phi, lam = data.eigenfeatures, data.problem.eigenvalues
    m = begin.shape[0]
    error = -np.asarray(data.coefficients, float).reshape(lam.size, -1)
    residual = np.asarray(data.residuals, float).reshape(phi.shape[0], -1)
    mean: Any = begin[:, :, None] * error
    moment: Any = mean[:, None] @ mean.swapaxes(1, 2)[None]
    square, between = (residual**2).sum(axis=1), np.outer(lam, lam)
    yield moment, mean
    for step in steps:
        update, kick = np.array(step.rows, float), np.asarray(step.kick, float)
        c = moment[0, 0]
        half: Any = sum(update[:, k, None, :, None] * moment[k] for k in range(m))
        moment = sum(half[:, k, None] * update[:, k, None, :] for k in range(m))
        if step.variance > 0.0:
            power = np.einsum("ij,ij->i", phi @ c, phi) - 2.0 * (residual * (phi @ mean[0])).sum(axis=1) + square
            noise = step.variance * ((phi.T * (power / phi.shape[0])) @ phi - between * c)
            moment += np.multiply.outer(np.outer(kick, kick), noise)
        mean = sum(update[:, k, :, None] * mean[k] for k in range(m))
        yield moment, mean


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
