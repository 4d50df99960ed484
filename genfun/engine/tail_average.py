"""The loss of the averaged weights of a constant rate, for every step at which the average may begin, in one go.

The kicks after step s do not depend on the weights at step s. So E[w_s w_t] for t >= s follows from the second moments
at s and the mean response over the t - s steps between, and the moments of all tails are running sums of one number a
step. Responses are kept at sqrt(T) steps only, and those between are computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._loops import compiled_loop
from genfun._typing import Array, Float
from genfun.engine.adjoint import RateGradient
from genfun.schedules import kernel


def respond(response: Any, lam: Any, push: Any, stride: Any, beta: Any) -> None:
    """One step more of the summed mean responses of w to a unit of w and of the velocity, in place."""
    for i in range(lam.size):
        of_w, of_v = response[0, i], response[1, i]
        a = push * lam[i]
        response[0, i] = 1.0 + of_w * (1.0 - stride * a) - of_v * a
        response[1, i] = beta * (stride * of_w + of_v)


def follow(
    state: Any, lam: Any, capacity: Any, push: Any, stride: Any, beta: Any, gamma: Any, tau: Any, out: Any
) -> None:
    """What every step s = 1, ..., T adds to lambda E (w_s + ... + w_T)^2, summed over modes, into out[s].

    Parameters
    ----------
    state : array, shape (3, n)
        Moments at the start, changed in place.
    lam, capacity : array, shape (n,)
    push, stride, beta, gamma : float
        Constant, see `genfun.schedules.kernel.step`.
    tau : tuple
        (tau1, tau2, sigma^2).
    out : array, shape (T + 1,)
    """
    tau1, tau2, sigma2 = tau
    steps = out.size - 1
    every = max(int(np.sqrt(steps)), 1)
    blocks = steps // every + 1
    kept, inner = np.zeros((blocks, 2, lam.size)), np.zeros((every, 2, lam.size))
    now = np.zeros((2, lam.size))
    for i in range(lam.size):
        now[0, i] = 1.0
    for m in range(steps):
        if m % every == 0:
            for i in range(lam.size):
                kept[m // every, 0, i], kept[m // every, 1, i] = now[0, i], now[1, i]
        respond(now, lam, push, stride, beta)
    held = -1
    for s in range(1, steps + 1):
        total = 0.0
        for i in range(lam.size):
            total += state[0, i]
        drive = gamma * push * push * (tau1 * total + sigma2)
        kernel.sweep(state, lam, capacity, push, stride, beta, drive, gamma * tau2)
        left = steps - s
        if left // every != held:
            held = left // every
            for i in range(lam.size):
                inner[0, 0, i], inner[0, 1, i] = kept[held, 0, i], kept[held, 1, i]
            for m in range(1, every):
                for i in range(lam.size):
                    inner[m, 0, i], inner[m, 1, i] = inner[m - 1, 0, i], inner[m - 1, 1, i]
                respond(inner[m], lam, push, stride, beta)
        added, m = 0.0, left - held * every
        for i in range(lam.size):
            added += state[0, i] * (2.0 * inner[m, 0, i] - 1.0) + 2.0 * state[1, i] * inner[m, 1, i]
        out[s] = added


@lru_cache(maxsize=1)
def compiled() -> Callable[..., Any] | None:
    """`follow` by numba; None without it."""
    if kernel.compiled() is None:
        return None
    from numba import extending

    one = unwrap(respond)

    def implementation(response: Any, lam: Any, push: Any, stride: Any, beta: Any) -> Any:
        return one

    extending.overload(respond)(implementation)
    return compiled_loop(follow)


def tail_excess(engine: RateGradient, rate: float, steps: int) -> Float[Array, " T"]:
    r"""Excess loss at step T of the average of the weights after steps t_0 + 1, ..., T, for t_0 = 0, ..., T - 1.

    .. math:: \frac{1}{2(T-t_0)^2}\sum_{s=t_0+1}^{T}\sum_k \left[c_{k,s}(2R_{k,T-s} - 1) + 2 j_{k,s} Q_{k,T-s}\right]

    with R and Q the mean responses of the weights, summed over so many steps, to a unit of weight and of velocity.

    **Assumptions.** Those of `RateGradient`, with one momentum and one batch size. The last entry is the loss of the
    last weights.

    Parameters
    ----------
    engine : RateGradient
    rate : float
        alpha, the same at every step.
    steps : int
        T >= 1.
    """
    out = np.zeros(steps + 1)
    run = compiled() or follow
    setting = (1.0 / engine.top, rate * engine.top, engine.momentum, engine.gamma, engine.tau)
    with np.errstate(over="ignore", invalid="ignore"):
        run(engine.start.copy(), *engine.modes, *setting, out)
        total = np.cumsum(out[:0:-1])[::-1]
    found = total / (2.0 * np.arange(steps, 0.0, -1.0) ** 2)
    # Sums of averages are never below 0 but by rounding; past the edge they overflow.
    return np.where(np.isfinite(found), np.maximum(found, 0.0), np.inf)
