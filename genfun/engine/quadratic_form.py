"""How the last loss of a run spreads around its mean: the mean loss to come, as a quadratic form of the present state.

Given the state x_t = (w, v, ...) of every mode, the mean of the last loss is a quadratic form of x_t, and found
backwards. Along a run it changes only by the noise of each step, and these changes are uncorrelated: so the variance of
the last loss is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.recursion import joint_modes
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import LinearProblem, Problem

FULL = 600
"""Up to this many modes a spectrum is used as it is."""
ROOM = 10**8
"""Numbers that may be kept: steps times nodes times the square of the method's memory."""


def counted_modes(problem: Problem) -> tuple[Array, Array, Array]:
    """(lambda, number of modes, mean w^2 at the start) of every node.

    Nodes that only the signal has count no modes, and w^2 is that of all of theirs.

    Parameters
    ----------
    problem : Problem
    """
    if isinstance(problem, LinearProblem) and problem.eigenvalues.size <= FULL:
        measures = problem.full_measures
    else:
        measures = problem.measures()
    nodes, capacity, signal = joint_modes(*measures)
    count = capacity / nodes**2
    return nodes, count, signal / (nodes * np.where(count > 0.0, count, 1.0))


class Steps:
    """The update of every step: rows of T and k at a = alpha lambda, alpha, and gamma.

    Parameters
    ----------
    update : callable
        (a, *hyperparameters) -> rows and kick, see `genfun.methods.Method.update`.
    rates : array, shape (T,)
        alpha_t.
    hyper : sequence of arrays, each of shape (T,)
        Hyperparameters of every step.
    gammas : array, shape (T,)
    """

    def __init__(self, update: Any, rates: Array, hyper: Sequence[Array], gammas: Array) -> None:
        self._update, self.rates, self._hyper, self.gammas = update, rates, hyper, gammas
        self._last: tuple[Any, Any] = (None, None)

    def at(self, t: int, lam: Array) -> tuple[Array, Array]:
        """T, shape (n, M, M), and k, shape (n, M), at one step; the same arrays as long as nothing changes."""
        key = (self.rates[t], *(h[t] for h in self._hyper))
        if key != self._last[0]:
            rows, kick = self._update(key[0] * lam, *key[1:])
            whole = [[np.broadcast_to(x, lam.shape) for x in row] for row in rows]
            matrix = np.array(whole, dtype=np.float64).transpose(2, 0, 1)
            kicks = np.array([np.broadcast_to(x, lam.shape) for x in kick], dtype=np.float64).T
            self._last = (key, (np.ascontiguousarray(matrix), np.ascontiguousarray(kicks)))
        return self._last[1]


def mean_and_deviation(problem: Problem, noise: SpectrallyExpressible, steps: Steps) -> tuple[float, float]:
    r"""Mean and standard deviation, across runs, of the loss after the last step.

    .. math:: Q_t = T^T Q_{t+1} T + \gamma\alpha^2\left[\tau_1\lambda\textstyle\sum_j\lambda_j (k^TQk)_j
              - \tau_2\lambda^2 (k^TQk)\right] e_w e_w^T,\qquad Q_T = \lambda\, e_we_w^T

    .. math:: \operatorname{Var} L(T) = \sum_t\sum_k \left\{ D\, g^T C_t\, g + \tfrac12 (k^TQ_{t+1}k)^2 D^2\right\},
              \quad g = T^TQ_{t+1}k,\quad
              D = \gamma\alpha^2[\lambda(\tau_1\textstyle\sum_j\lambda_jC^{ww}_j + \sigma^2) - \tau_2\lambda^2C^{ww}]

    With Q the form, C the second moments of the state and D the variance of a mode's noise.

    **Assumptions.** The noise of a step is uncorrelated between modes and Gaussian, given the state.

    Parameters
    ----------
    problem : Problem
    noise : SpectrallyExpressible
    steps : Steps

    Raises
    ------
    ValueError
        If the moments of all steps would not fit in memory.
    """
    lam, count, start = counted_modes(problem)
    # In units of the loss at the start, so that its square is a double wherever the loss is.
    _, unit = np.frexp(problem.signal_total + problem.noise_variance)
    start = np.ldexp(start, -unit)
    total = steps.rates.size
    memory = steps.at(0, lam)[1].shape[1] if total else 1
    if total * lam.size * memory**2 > ROOM:
        most = int(ROOM / (lam.size * memory**2))
        raise ValueError(f"steps must be at most {most} for the spread of this problem, got {total}")
    # Nodes of the signal alone carry its share of the noise's effect, while their noise is counted at the other nodes.
    held, alone = np.where(count > 0.0, count, 1.0), count == 0.0
    sigma2 = float(np.ldexp(problem.noise_variance, -unit))
    moments = np.zeros((lam.size, memory, memory))
    moments[:, 0, 0] = start
    kept, kicks = np.empty((total, lam.size, memory, memory)), np.empty((total, lam.size))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(total):
            matrix, kick = steps.at(t, lam)
            own = moments[:, 0, 0]
            scale = steps.gammas[t] * steps.rates[t] ** 2
            common = scale * lam * (noise.tau1 * (held * lam) @ own + sigma2)
            spared = scale * noise.tau2 * lam * lam * own
            kicks[t] = np.where(alone, common, common - spared)
            kept[t] = moments
            heat = np.where(alone, -spared, common - spared)
            moments = matrix @ moments @ matrix.transpose(0, 2, 1)
            moments += heat[:, None, None] * kick[:, :, None] * kick[:, None, :]
        mean = 0.5 * (float((held * lam) @ moments[:, 0, 0]) + sigma2)
        form = np.zeros_like(moments)
        form[:, 0, 0] = lam
        variance = 0.0
        for t in range(total - 1, -1, -1):
            matrix, kick = steps.at(t, lam)
            pushed = np.einsum("nij,nj->ni", form, kick)
            curved = (pushed * kick).sum(axis=1)
            slope = np.einsum("nji,nj->ni", matrix, pushed)
            linear = np.einsum("ni,nij,nj->n", slope, kept[t], slope)
            variance += float(held @ (kicks[t] * linear) + 0.5 * count @ (curved * kicks[t]) ** 2)
            form = matrix.transpose(0, 2, 1) @ form @ matrix
            scale = steps.gammas[t] * steps.rates[t] ** 2
            caused = noise.tau1 * float((count * lam) @ curved)
            form[:, 0, 0] += scale * (lam * caused - noise.tau2 * lam * lam * curved)
    return float(np.ldexp(mean, unit)), float(np.ldexp(np.sqrt(variance), unit))
