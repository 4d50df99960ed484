"""The gradient of the last loss by the learning rate and the momentum of every step, in one backward pass.

The recursion of the second moments is linear in them. So the last loss is linear in the moments before any step, and
its coefficients are found backwards: one pass forward, one pass back, whatever the number of rates. Moments are kept at
sqrt(T) steps only, and those between are computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._loops import compiled_loop, writable
from genfun._typing import Array, Float
from genfun.engine.recursion import joint_modes
from genfun.engine.scheduled import Extent, schedule_measures
from genfun.noise import SpectrallyExpressible
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem
from genfun.schedules import kernel

WIDE_BINS, FEW_NODES = 1.4, 4
"""Of the measures that a search runs on: loss 1e-4 to 1e-3 off, in a fifth of the nodes of a spectrum of 300."""
WORTH_FEWER = 1_000_000
"""Steps times nodes from which a search is worth fewer of them."""


def pull(q: Any, before: Any, after: Any, lam: Any, capacity: Any, pace: Any, beta: Any, share: Any, own: Any) -> Any:
    """Carry the coefficients q of the last loss back over one step, in place; its slopes by stride and momentum.

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
    of_beta = 2.0 * (beta * before[2] - a * before[1])
    keep = 1.0 - stride * a
    y = end - a * (a * before[0] - 2.0 * j)
    slope = q[0] * (2.0 * stride * y - 2.0 * a * keep * before[0] + 2.0 * j * (keep - stride * a)) + q[1] * end
    of_p = q[2] + stride * q[1]
    faster = 2.0 * q[0] * stride * (keep * before[1] + stride * beta * before[2]) + q[1] * before[1] + of_p * of_beta
    of_y = stride * stride * q[0] + of_p
    of_c = keep * keep * q[0] + a * a * of_p - a * q[1] - own * a * a * of_y
    q[1] = beta * (2.0 * keep * stride * q[0] - 2.0 * a * of_p + q[1])
    q[0] = of_c + share * (capacity * of_y).sum()
    q[2] = beta * beta * of_y
    return slope.sum(), faster.sum()


def pull_by_mode(
    q: Any, before: Any, after: Any, lam: Any, capacity: Any, pace: Any, beta: Any, share: Any, own: Any
) -> Any:
    """The same as loops, for numba."""
    push, stride = pace
    slope, faster, felt = 0.0, 0.0, 0.0
    for i in range(lam.size):
        a, c, j, end = push * lam[i], before[0, i], beta * before[1, i], after[2, i]
        of_beta = 2.0 * (beta * before[2, i] - a * before[1, i])
        keep = 1.0 - stride * a
        y = end - a * (a * c - 2.0 * j)
        q0, q1 = q[0, i], q[1, i]
        slope += q0 * (2.0 * stride * y - 2.0 * a * keep * c + 2.0 * j * (keep - stride * a)) + q1 * end
        of_p = q[2, i] + stride * q1
        of_y = stride * stride * q0 + of_p
        faster += 2.0 * q0 * stride * (keep * before[1, i] + stride * beta * before[2, i])
        faster += q1 * before[1, i] + of_p * of_beta
        q[0, i] = keep * keep * q0 + a * a * of_p - a * q1 - own * a * a * of_y
        q[1, i] = beta * (2.0 * keep * stride * q0 - 2.0 * a * of_p + q1)
        q[2, i] = beta * beta * of_y
        felt += capacity[i] * of_y
    for i in range(lam.size):
        q[0, i] += share * felt
    return slope, faster


def put(target: Any, source: Any) -> None:
    """Copy moments; of its own, since numba takes seven seconds to compile the assignment of an array."""
    target[...] = source


def put_by_mode(target: Any, source: Any) -> None:
    """The same as loops, for numba."""
    for i in range(target.shape[0]):
        for k in range(target.shape[1]):
            target[i, k] = source[i, k]


def differentiate(
    state: Any, lam: Any, capacity: Any, push: Any, strides: Any, momenta: Any, gammas: Any, tau: Any, q: Any, out: Any
) -> Any:
    """sum(c) after all steps; `out` receives its slopes by the strides and the momenta.

    Parameters
    ----------
    state : array, shape (3, n)
        Moments at the start.
    lam, capacity : array, shape (n,)
    push : float
    strides, momenta, gammas : array, shape (T,)
    tau : tuple
        (tau1, tau2, sigma^2).
    q : array, shape (3, n)
        Derivatives of what is asked for by the last moments; those by the first on return.
    out : array, shape (2, T)
    """
    tau1, tau2, sigma2 = tau
    count = strides.size
    every = max(int(np.sqrt(count)), 1)
    blocks = -(-count // every)
    kept, inner, now = np.empty((blocks, 3, lam.size)), np.empty((every + 1, 3, lam.size)), state.copy()
    for t in range(count):
        if t % every == 0:
            put(kept[t // every], now)
        drive = gammas[t] * push * push * (tau1 * kernel.total(now[0]) + sigma2)
        kernel.sweep(now, lam, capacity, push, strides[t], momenta[t], drive, gammas[t] * tau2)
    for block in range(blocks - 1, -1, -1):
        first = block * every
        length = min(every, count - first)
        put(inner[0], kept[block])
        for i in range(length):
            t = first + i
            put(inner[i + 1], inner[i])
            drive = gammas[t] * push * push * (tau1 * kernel.total(inner[i, 0]) + sigma2)
            kernel.sweep(inner[i + 1], lam, capacity, push, strides[t], momenta[t], drive, gammas[t] * tau2)
        for i in range(length - 1, -1, -1):
            t = first + i
            share, own = gammas[t] * push * push * tau1, gammas[t] * tau2
            pace = (push, strides[t])
            out[0, t], out[1, t] = pull(q, inner[i], inner[i + 1], lam, capacity, pace, momenta[t], share, own)
    return now[0].sum()


@lru_cache(maxsize=1)
def compiled() -> Callable[..., Any] | None:
    """`differentiate` by numba; None without it."""
    if kernel.compiled() is None:
        return None
    from numba import extending

    of_modes, copying = unwrap(pull_by_mode), unwrap(put_by_mode)

    def implementation(
        q: Any, before: Any, after: Any, lam: Any, capacity: Any, pace: Any, beta: Any, share: Any, own: Any
    ) -> Any:
        return of_modes

    def copied(target: Any, source: Any) -> Any:
        return copying

    # Sums in any order, so that they run in parallel lanes.
    extending.overload(pull, jit_options={"fastmath": {"reassoc", "contract"}})(implementation)
    extending.overload(put)(copied)
    return compiled_loop(differentiate)


class RateGradient:
    r"""Excess loss over the label noise after T steps of torch's SGD, and its derivatives by all rates and momenta.

    .. math:: L(T) - \tfrac12\sigma^2 = \tfrac12\sum_k c_{k,T},\qquad
              q_t = A(\alpha_t)^T q_{t+1},\qquad \frac{dL}{d\alpha_t} = q_{t+1}^T \frac{dA}{d\alpha_t} X_t + \dots

    **Assumptions.** Those of `genfun.engine.scheduled.ScheduledRecursion`.

    Parameters
    ----------
    problem : Problem
    noise : SpectrallyExpressible
    momentum : float
        beta, where none is given for every step.
    gamma : float
        The sampling factor, where none is given for every step.
    steps : int
        T.
    most : float
        The largest learning rate that will be asked about, which decides on the compression of the spectrum.
    most_momentum : float or None
        The largest momentum that will be asked about; None: `momentum`.
    """

    def __init__(
        self,
        problem: Problem,
        noise: SpectrallyExpressible,
        momentum: float,
        gamma: float,
        steps: int,
        most: float,
        most_momentum: float | None = None,
    ) -> None:
        largest = momentum if most_momentum is None else most_momentum
        turning = (1.0 - np.sqrt(largest)) ** 2 / most if largest > 0.0 else np.inf
        fade = min(30.0 / -np.log(largest), steps) if largest > 0.0 else 0.0
        span = Extent(turning, float(fade), steps * most / (1.0 - largest))
        nodes, weights, start = joint_modes(*schedule_measures(problem, span, steps))
        self.modes = (np.array(nodes, dtype=np.float64), np.array(weights, dtype=np.float64))
        self.start = np.zeros((3, nodes.size))
        self.start[0] = start
        self.top, self.momentum, self.gamma = problem.lambda_max, float(momentum), float(gamma)
        self.tau = (noise.tau1, noise.tau2, float(problem.noise_variance))
        # Modes that still turn at the end need nodes of their own.
        self._merges = nodes.size * steps >= WORTH_FEWER and 2.0 * fade <= steps

    def coarser(self) -> RateGradient:
        """The same on fewer nodes, to search with: what is found there is no best one by the square of their error.

        This one itself where little would be gained, or modes turn up to the last steps.
        """
        if not self._merges:
            return self
        capacity, signal = (
            SpectralMeasure.trusted(self.modes[0].copy(), w).compress(WIDE_BINS, FEW_NODES)
            for w in (self.modes[1].copy(), self.start[0].copy())
        )
        nodes, weights, start = joint_modes(capacity, signal)
        if 2 * nodes.size > self.modes[0].size:
            return self
        fewer = copy(self)
        fewer.modes = (writable(nodes), writable(weights))
        fewer.start = np.zeros((3, nodes.size))
        fewer.start[0] = start
        return fewer

    def _every(self, rates: Array, momenta: Array | None, gammas: Array | None) -> tuple[Array, Array]:
        count = np.ones(rates.size)
        return (
            self.momentum * count if momenta is None else writable(momenta),
            self.gamma * count if gammas is None else writable(gammas),
        )

    def excess(
        self,
        rates: Float[Array, " T"],
        momenta: Float[Array, " T"] | None = None,
        gammas: Float[Array, " T"] | None = None,
    ) -> float:
        """L(T) - sigma^2/2 alone, by the fast recursion.

        Parameters
        ----------
        rates : array, shape (T,)
            alpha_t.
        momenta, gammas : array, shape (T,), or None
            beta_t and the sampling factor of every step; None: the constants.
        """
        out = (np.empty(rates.size), np.zeros(rates.size, dtype=np.int64))
        beta, gamma = self._every(rates, momenta, gammas)
        pace = (np.full(rates.size, 1.0 / self.top), rates * self.top)
        state = self.start.copy()
        # Label noise is added by the kernel to what it reports, so the moments themselves are read.
        with np.errstate(over="ignore", invalid="ignore"):
            advance = kernel.compiled() or kernel.advance
            scale = advance(state, *self.modes, pace, beta, gamma, self.tau, 0, out)
            return float(0.5 * state[0].sum() * 2.0 ** min(int(scale), 1000))

    def slopes(
        self, rates: Float[Array, " T"], momenta: Float[Array, " T"] | None = None
    ) -> tuple[float, Float[Array, " T"], Float[Array, " T"]]:
        """L(T) - sigma^2/2 and its derivatives by the rates and by the momenta.

        Parameters
        ----------
        rates : array, shape (T,)
            alpha_t.
        momenta : array, shape (T,), or None
            beta_t; None: the constant.
        """
        out, q = np.empty((2, rates.size)), np.zeros_like(self.start)
        q[0] = 1.0
        run = compiled() or differentiate
        strides = np.ascontiguousarray(rates * self.top)
        beta, gamma = self._every(rates, momenta, None)
        with np.errstate(over="ignore", invalid="ignore"):
            total = run(self.start, *self.modes, 1.0 / self.top, strides, beta, gamma, self.tau, q, out)
        return 0.5 * float(total), 0.5 * self.top * out[0], 0.5 * out[1]
