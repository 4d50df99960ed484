"""The projected loss step by step, for early steps and as the reference of the contour."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Float
from genfun.sample_space.projected_function import ProjectedFunction

BLOCK = 32
"""Steps whose responses are summed over the pairs together."""


def response_sums(F: ProjectedFunction, steps: int, shift: float) -> tuple[Float[Array, "t mm"], Float[Array, "t m"]]:
    r"""The coefficients of K(z) and X^T b(z), each times exp(-shift t).

    .. math:: X^{jk}_{t+1} = T_j X^{jk}_t T_k^T - \gamma a_j a_k\,(X^{jk}_t)_{ww}\,k k^T

    starts from k k^T for u and from the unit matrix of w for v.

    Parameters
    ----------
    F : ProjectedFunction
    steps : int
        How many coefficients.
    shift : float
        p_0, the common rate that is taken out.
    """
    pairs, method = F.noise.pairs, F.method
    a = method.learning_rate * pairs.nodes
    rows, kick = method.update(a, *method.hyperparameters)
    size = len(kick)
    T = [[np.broadcast_to(np.asarray(x, dtype=float), a.shape) for x in row] for row in rows]
    k = [np.broadcast_to(np.asarray(x, dtype=float), a.shape) for x in kick]
    left = [[x[pairs.first] for x in row] for row in T]
    right = [[x[pairs.second] for x in row] for row in T]
    both = [[k[i][pairs.first] * k[j][pairs.second] for j in range(size)] for i in range(size)]
    spared = F.gamma * a[pairs.first] * a[pairs.second]
    decay = np.exp(-shift)

    def advance(state: list[list[Array]]) -> list[list[Array]]:
        half = [[sum(left[i][c] * state[c][j] for c in range(size)) for j in range(size)] for i in range(size)]
        lost = spared * state[0][0]
        return [
            [decay * (sum(half[i][c] * right[j][c] for c in range(size)) - lost * both[i][j]) for j in range(size)]
            for i in range(size)
        ]

    zero = np.zeros(pairs.first.size)
    noise = [[x.copy() for x in row] for row in both]
    start = [[np.ones_like(zero) if i == j == 0 else zero for j in range(size)] for i in range(size)]
    kernel, source = np.empty((steps, pairs.kernel.shape[0])), np.empty((steps, pairs.size))
    for first in range(0, steps, BLOCK):
        count = min(BLOCK, steps - first)
        u, v = np.empty((pairs.first.size, count)), np.empty((pairs.first.size, count))
        for t in range(count):
            u[:, t], v[:, t] = noise[0][0], start[0][0]
            noise, start = advance(noise), advance(start)
        kernel[first : first + count] = (pairs.kernel @ u).T
        source[first : first + count] = (pairs.source @ v).T
    kernel *= F.gamma * method.learning_rate**2
    if pairs.floor[0] > 0.0:
        mean = [np.ones_like(a)] + [np.zeros_like(a)] * (size - 1)
        for t in range(steps):
            source[t] += pairs.modes @ mean[0] + pairs.floor * np.exp(-shift * t)
            mean = [decay * sum(T[i][c] * mean[c] for c in range(size)) for i in range(size)]
    return kernel, source


def early_losses(F: ProjectedFunction, last: int, shift: float = 0.0) -> Float[Array, " t"]:
    r"""L(t) exp(-shift t) at the steps 0..last, from the coefficients of the projected equation.

    .. math:: x_t = (X^T b)_t + \sum_{s<t} K_{t-1-s}\,x_s,\qquad L(t) = \frac{(x_t)_1}{2\sqrt N}

    **Assumptions.** Exact for the projected model, at any momentum. Time O(last * pairs) and O(last^2 m^2).

    Parameters
    ----------
    F : ProjectedFunction
    last : int
        The last step.
    shift : float
        p_0 per step; without it losses beyond 1e300 are inf.

    Returns
    -------
    array, shape (last + 1,)
    """
    count, m = last + 1, F.noise.pairs.size
    with np.errstate(all="ignore"):
        sums, source = response_sums(F, count, shift)
        first, second = np.triu_indices(m)
        # Newest first, so that the history x_0 ... x_{t-1} meets K_{t-1} ... K_0 as one product.
        kernel = np.zeros((count, m, m))
        kernel[:, first, second] = kernel[:, second, first] = sums[::-1] * np.exp(-shift)
        table = np.ascontiguousarray(kernel.transpose(1, 0, 2)).reshape(m, count * m)
        history = np.empty(count * m)
        for t in range(count):
            value = source[t] + table[:, (count - t) * m :] @ history[: t * m]
            history[t * m : (t + 1) * m] = value
    return history.reshape(count, m)[:, 0] / (2.0 * np.sqrt(F.noise.n_samples))
