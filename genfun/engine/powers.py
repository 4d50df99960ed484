"""The noiseless loss at any step, by powers of the update matrix."""

from __future__ import annotations

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.methods.base import Method
from genfun.problems.measure import SpectralMeasure
from genfun.scaled import EPS, Scaled

MOST_TOGETHER = 100_000
"""Numbers, steps times modes times memory, that are kept at once."""


def deviation_from_identity(method: Method, a: Float[Array, " n"]) -> Float[Array, "n m m"]:
    """I - T(a), to full relative precision where a is tiny.

    A step uses the gradient once, so that T is affine in a, and the difference of T at 0 and 1 gives the coefficient
    of a without the rounding of 1 - a.
    """
    at_zero, at_one = (np.array(method.update(x, *method.hyperparameters)[0], dtype=np.float64) for x in (0.0, 1.0))
    return (np.eye(at_zero.shape[0]) - at_zero) - a[:, None, None] * (at_one - at_zero)


def noiseless_loss(
    signal: SpectralMeasure, method: Method, steps: Int[Array, " t"], rate: float
) -> tuple[Scaled, Float[Array, " t"]]:
    r"""Twice the loss of gradient descent without noise, V_t = sum_k s_k g_t(lambda_k)^2.

    .. math:: g_t = (T^t)_{ww},\qquad T^{2^j} = I - D_j,\quad D_{j+1} = 2 D_j - D_j^2

    D_j keeps the relative precision of slow modes that 1 - a would lose: the error grows with t times the rate of
    decay, not with t.

    **Assumptions.** Updates affine in a = learning rate * lambda.

    Parameters
    ----------
    signal : SpectralMeasure
    method : Method
    steps : array, shape (t,)
    rate : float
        p_0; the common factor exp(p_0 t) is kept apart.

    Returns
    -------
    (Scaled, array)
        V_t, and an estimate of its relative error: the difference to a second computation with another common
        factor, which rounds differently, and the rounding of a itself.

    References
    ----------
    arXiv 2206.11124, eq. (12) with gamma = 0.
    """
    # Close enough that neither computation leaves the range of doubles, far enough to round differently.
    nudge = min(0.05 * abs(rate) * (steps.max() + 1.0) + 0.1, 30.0) / (steps.max() + 1.0)
    shifts = (rate, rate + float(nudge))
    first, second = (_signal_decay(signal, method, steps, shift) for shift in shifts)
    ages = rate * steps.astype(np.float64)
    return first, 4.0 * second.relative_difference(first) + EPS * (64.0 + 8.0 * np.abs(ages))


@np.errstate(all="ignore")  # what overflows becomes nan, and its error inf
def _signal_decay(signal: SpectralMeasure, method: Method, steps: Array, rate: float) -> Scaled:
    a = method.learning_rate * signal.nodes
    d = deviation_from_identity(method, a)
    size = d.shape[1]
    d = -np.expm1(-rate / 2.0) * np.eye(size) + np.exp(-rate / 2.0) * d
    doubled = [d]
    while 2 ** len(doubled) <= int(steps.max()):
        d = 2.0 * d - d @ d
        doubled.append(d)
    values = np.empty(steps.size)
    together = max(1, MOST_TOGETHER // (a.size * size))
    for start in range(0, steps.size, together):
        some = steps[start : start + together]
        rows = np.zeros((size, some.size, a.size))
        rows[0] = 1.0
        for j, power in enumerate(doubled):
            odd = np.flatnonzero(some >> j & 1)
            before = rows[:, odd]
            # The sum over the state's few entries in a loop: each term is then one product of long rows.
            for i, k in np.ndindex(size, size):
                rows[k, odd] -= before[i] * power[:, i, k]
        values[start : start + together] = (signal.weights * rows[0] ** 2).sum(axis=1)
    return Scaled.exponential(values, rate * steps.astype(np.float64))
