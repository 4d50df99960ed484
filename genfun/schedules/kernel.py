"""Second moments of many modes, step by step under a schedule: one step of plain arithmetic, for NumPy and for numba.

No blocking makes NumPy fast here: the noise couples all modes through the loss of the same step, so that a block of m
steps costs m times the arithmetic of m single ones, and a single step of a few hundred modes is as long as the calls
into NumPy, 10 microseconds. numba, an optional extra, compiles the same lines to loops of about 1 ns a mode and step.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._loops import compiled_loop

LARGE, SMALL = 1e90, 1e-90
"""Between these the moments are left as they are; beyond, they are rescaled by a power of two."""
WORTH_COMPILING = 30_000
"""From this many steps on numba is loaded; it takes about a second."""


def step(c: Any, j: Any, p: Any, a: Any, stride: Any, beta: Any, kick: Any, own: Any) -> Any:
    """(c, j, p) = lambda E[(w w, w v, v v)] after v' = beta v - e g, w' = w + r v'.

    a = e lambda, r = `stride`; `kick` is the noise that all modes cause, `own` = gamma tau2 takes back a mode's own
    part of it. (e, r) = (alpha, 1) is the velocity of the textbooks and of Keras; with e the same at every step and
    r = alpha/e, v/-e is torch's buffer, and r = 0 needs no division.
    """
    x, ac = beta * j, a * c
    y = beta * beta * p + (kick - own * (a * ac))
    new_p = a * (ac - 2.0 * x) + y
    keep = 1.0 - stride * a
    return keep * (keep * c + 2.0 * stride * x) + stride * stride * y, (x - ac) + stride * new_p, new_p


def total(values: Any) -> Any:
    """Their sum."""
    return values.sum()


def total_by_mode(values: Any) -> Any:
    """The same as a loop, for numba."""
    found = 0.0
    for i in range(values.size):
        found += values[i]
    return found


def sweep(state: Any, lam: Any, capacity: Any, push: Any, stride: Any, beta: Any, drive: Any, own: Any) -> None:
    """One step of all modes, in place."""
    state[0], state[1], state[2] = step(state[0], state[1], state[2], push * lam, stride, beta, drive * capacity, own)


def sweep_by_mode(state: Any, lam: Any, capacity: Any, push: Any, stride: Any, beta: Any, drive: Any, own: Any) -> None:
    """The same as loops, for numba."""
    c, j, p = state[0], state[1], state[2]
    for i in range(lam.size):
        c[i], j[i], p[i] = step(c[i], j[i], p[i], push * lam[i], stride, beta, drive * capacity[i], own)


def advance(
    state: Any, lam: Any, capacity: Any, pace: Any, momenta: Any, gammas: Any, tau: Any, scale: Any, out: Any
) -> Any:
    """All steps of a schedule; returns the new scale.

    Parameters
    ----------
    state : array, shape (3, n)
        (c, j, p) / 2^scale, changed in place.
    lam, capacity : array, shape (n,)
        Nodes, and weights of the capacity measure.
    pace : (array, array), each of shape (T,)
        e and r of every step, see `step`.
    momenta, gammas : array, shape (T,)
        beta and the sampling factor of every step.
    tau : tuple
        (tau1, tau2, sigma^2).
    scale : int
        Never below 0 with label noise.
    out : (array, array), each of shape (T,)
        Receives m and e with sum(c) + sigma^2 = m 2^e before every step; inf once it is beyond any range.
    """
    tau1, tau2, sigma2 = tau
    mantissa, exponent = out
    pushes, strides = pace
    for t in range(momenta.size):
        felt = total(state[0])
        if not (felt < LARGE and (felt > SMALL or felt <= 0.0)):
            if not felt < np.inf:
                mantissa[t:] = np.inf
                exponent[t:] = 0
                return scale
            move = min(max(int(np.floor(np.log2(felt))), -1000), 1000)
            if sigma2 > 0.0:
                move = max(move, -scale)
            factor = 2.0**-move
            state *= factor
            felt *= factor
            scale += move
        noise = sigma2 * 2.0 ** -min(scale, 2000) if sigma2 > 0.0 else 0.0
        mantissa[t] = max(felt, 0.0) + noise
        exponent[t] = scale
        drive = gammas[t] * pushes[t] * pushes[t] * (tau1 * felt + noise)
        sweep(state, lam, capacity, pushes[t], strides[t], momenta[t], drive, gammas[t] * tau2)
    return scale


@lru_cache(maxsize=1)
def compiled() -> Callable[..., Any] | None:
    """`advance` by numba, kept on disk between runs where a folder can be written; None without numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    from numba import extending

    # The functions proper: type checkers may have wrapped them.
    of_modes = unwrap(sweep_by_mode)

    def implementation(
        state: Any, lam: Any, capacity: Any, push: Any, stride: Any, beta: Any, drive: Any, own: Any
    ) -> Any:
        return of_modes

    extending.overload(sweep)(implementation)
    adding = unwrap(total_by_mode)

    def of_total(values: Any) -> Any:
        return adding

    # Added up in any order, in parallel lanes: one after the other, sums take as long as all the rest.
    extending.overload(total, jit_options={"fastmath": {"reassoc"}})(of_total)

    def of_step(c: Any, j: Any, p: Any, a: Any, stride: Any, beta: Any, kick: Any, own: Any) -> Any:
        return unwrap(step)

    extending.overload(step, inline="always")(of_step)
    return compiled_loop(advance)


def kernel(steps: int) -> Callable[..., Any]:
    """The fastest `advance` for so many steps.

    Parameters
    ----------
    steps : int
        Number of steps to come.
    """
    if steps >= WORTH_COMPILING or compiled.cache_info().currsize:
        return compiled() or advance
    return advance
