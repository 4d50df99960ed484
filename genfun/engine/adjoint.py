"""The gradient of the last loss by the learning rate of every step, in one backward pass.

The recursion of the second moments is linear in them. So the last loss is linear in the moments before any step, and
its coefficients are found backwards: one pass forward, one pass back, whatever the number of rates. Moments are kept at
sqrt(T) steps only, and those between are computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.recursion import joint_modes
from genfun.engine.scheduled import Extent, schedule_measures
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.schedules import kernel


def pull(q: Any, before: Any, after: Any, lam: Any, capacity: Any, pace: Any, beta: Any, share: Any, own: Any) -> Any:
    """Carry the coefficients q of the last loss back over one step, in place; returns the slope by the stride.

    Parameters
    ----------
    q : array, shape (3, n)
        Derivatives by (c, j, p) after the step; on return by those before it.
    before, after : array, shape (3, n)
        Moments around the step.
    lam, capacity : array, shape (n,)
    pace : (float, float)
        Push and stride, see `genfun.schedules.kernel.step`.
    beta, share, own : float
        Momentum; gamma e^2 tau1, the noise that a unit of loss causes; gamma tau2.
    """
    push, stride = pace
    a, j, end = push * lam, beta * before[1], after[2]
    keep = 1.0 - stride * a
    y = end - a * (a * before[0] - 2.0 * j)
    slope = q[0] * (2.0 * stride * y - 2.0 * a * keep * before[0] + 2.0 * j * (keep - stride * a)) + q[1] * end
    of_p = q[2] + stride * q[1]
    of_y = stride * stride * q[0] + of_p
    of_c = keep * keep * q[0] + a * a * of_p - a * q[1] - own * a * a * of_y
    q[1] = beta * (2.0 * keep * stride * q[0] - 2.0 * a * of_p + q[1])
    q[0] = of_c + share * (capacity * of_y).sum()
    q[2] = beta * beta * of_y
    return slope.sum()


def pull_by_mode(
    q: Any, before: Any, after: Any, lam: Any, capacity: Any, pace: Any, beta: Any, share: Any, own: Any
) -> Any:
    """The same as loops, for numba."""
    push, stride = pace
    slope, felt = 0.0, 0.0
    for i in range(lam.size):
        a, c, j, end = push * lam[i], before[0, i], beta * before[1, i], after[2, i]
        keep = 1.0 - stride * a
        y = end - a * (a * c - 2.0 * j)
        q0, q1 = q[0, i], q[1, i]
        slope += q0 * (2.0 * stride * y - 2.0 * a * keep * c + 2.0 * j * (keep - stride * a)) + q1 * end
        of_p = q[2, i] + stride * q1
        of_y = stride * stride * q0 + of_p
        q[0, i] = keep * keep * q0 + a * a * of_p - a * q1 - own * a * a * of_y
        q[1, i] = beta * (2.0 * keep * stride * q0 - 2.0 * a * of_p + q1)
        q[2, i] = beta * beta * of_y
        felt += capacity[i] * of_y
    for i in range(lam.size):
        q[0, i] += share * felt
    return slope


def differentiate(
    state: Any, lam: Any, capacity: Any, push: Any, strides: Any, beta: Any, gamma: Any, tau: Any, out: Any
) -> Any:
    """sum(c) after all steps; `out` receives its slopes by the strides."""
    tau1, tau2, sigma2 = tau
    count, own, share = strides.size, gamma * tau2, gamma * push * push * tau1
    every = max(int(np.sqrt(count)), 1)
    blocks = -(-count // every)
    kept, inner, now = np.empty((blocks, 3, lam.size)), np.empty((every + 1, 3, lam.size)), state.copy()
    label = gamma * push * push * sigma2
    for t in range(count):
        if t % every == 0:
            kept[t // every] = now
        kernel.sweep(now, lam, capacity, push, strides[t], beta, share * now[0].sum() + label, own)
    q = np.zeros((3, lam.size))
    q[0] = 1.0
    for block in range(blocks - 1, -1, -1):
        first = block * every
        length = min(every, count - first)
        inner[0] = kept[block]
        for i in range(length):
            inner[i + 1] = inner[i]
            drive = share * inner[i, 0].sum() + label
            kernel.sweep(inner[i + 1], lam, capacity, push, strides[first + i], beta, drive, own)
        for i in range(length - 1, -1, -1):
            pace = (push, strides[first + i])
            out[first + i] = pull(q, inner[i], inner[i + 1], lam, capacity, pace, beta, share, own)
    return now[0].sum()


@lru_cache(maxsize=1)
def compiled() -> Callable[..., Any] | None:
    """`differentiate` by numba; None without it."""
    if kernel.compiled() is None:
        return None
    import numba
    from numba import extending

    of_modes = unwrap(pull_by_mode)

    def implementation(
        q: Any, before: Any, after: Any, lam: Any, capacity: Any, pace: Any, beta: Any, share: Any, own: Any
    ) -> Any:
        return of_modes

    # Sums in any order, so that they run in parallel lanes.
    extending.overload(pull, jit_options={"fastmath": {"reassoc", "contract"}})(implementation)
    try:
        return numba.njit(cache=True)(unwrap(differentiate))
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(unwrap(differentiate))


class RateGradient:
    r"""Excess loss over the label noise after T steps of torch's SGD, and its derivatives by all T learning rates.

    .. math:: L(T) - \tfrac12\sigma^2 = \tfrac12\sum_k c_{k,T},\qquad
              q_t = A(\alpha_t)^T q_{t+1},\qquad \frac{dL}{d\alpha_t} = q_{t+1}^T \frac{dA}{d\alpha_t} X_t + \dots

    **Assumptions.** Those of `genfun.engine.scheduled.ScheduledRecursion`, with one momentum and one batch size.

    Parameters
    ----------
    problem : Problem
    noise : SpectrallyExpressible
    momentum : float
        beta, constant.
    gamma : float
        The sampling factor.
    steps : int
        T.
    most : float
        The largest learning rate that will be asked about, which decides on the compression of the spectrum.
    """

    def __init__(
        self, problem: Problem, noise: SpectrallyExpressible, momentum: float, gamma: float, steps: int, most: float
    ) -> None:
        turning = (1.0 - np.sqrt(momentum)) ** 2 / most if momentum > 0.0 else np.inf
        fade = min(30.0 / -np.log(momentum), steps) if momentum > 0.0 else 0.0
        span = Extent(turning, float(fade), steps * most / (1.0 - momentum))
        nodes, weights, start = joint_modes(*schedule_measures(problem, span, steps))
        self._modes = (np.array(nodes, dtype=np.float64), np.array(weights, dtype=np.float64))
        self._start = np.zeros((3, nodes.size))
        self._start[0] = start
        self._top, self._beta, self._gamma = problem.lambda_max, float(momentum), float(gamma)
        self._tau = (noise.tau1, noise.tau2, float(problem.noise_variance))

    def excess(self, rates: Float[Array, " T"]) -> float:
        """L(T) - sigma^2/2 alone, by the fast recursion."""
        out = (np.empty(rates.size), np.zeros(rates.size, dtype=np.int64))
        count = np.ones(rates.size)
        pace = (count / self._top, rates * self._top)
        state = self._start.copy()
        # Label noise is added by the kernel to what it reports, so the moments themselves are read.
        with np.errstate(over="ignore", invalid="ignore"):
            advance = kernel.compiled() or kernel.advance
            scale = advance(state, *self._modes, pace, self._beta * count, self._gamma * count, self._tau, 0, out)
            return float(0.5 * state[0].sum() * 2.0 ** min(int(scale), 1000))

    def slopes(self, rates: Float[Array, " T"]) -> tuple[float, Float[Array, " T"]]:
        """L(T) - sigma^2/2 and its derivatives by the rates.

        Parameters
        ----------
        rates : array, shape (T,)
            alpha_t.
        """
        out = np.empty(rates.size)
        run = compiled() or differentiate
        strides = np.ascontiguousarray(rates * self._top)
        with np.errstate(over="ignore", invalid="ignore"):
            total = run(self._start, *self._modes, 1.0 / self._top, strides, self._beta, self._gamma, self._tau, out)
        return 0.5 * float(total), 0.5 * self._top * out
