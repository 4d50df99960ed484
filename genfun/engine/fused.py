"""The inner loops of maps, sums over modes and steps, compiled by numba where it is installed and the work is long.

numba stays an extra: to import it takes half a second of processor time in every process, which no cache on disk
spares, and ten times as long as most answers; and with LLVM it is larger than all that genfun requires together. So it
is loaded once a map would take NumPy some seconds, and from then on serves every answer of the process. The NumPy lines
beside every call are the reference, to which the tests hold these.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

WORTH_LOADING = 4e8
"""Points times modes, or steps times modes, from which on numba is loaded: about two seconds of NumPy."""
# Sums in any order and products fused, so that lanes run in parallel; never without the tests for nan.
FAST = {"reassoc", "contract", "arcp"}


def sums_at_points(flat: Any, nodes: Any, weights: Any, moments: Any) -> None:
    """sum_k W_rk / S(lambda_k) at complex points; polynomials S as (real, imaginary) pairs of rows.

    Parameters
    ----------
    flat : array, shape (powers >= 3, 2 points)
        Coefficients, real and imaginary parts beside each other.
    nodes : array, shape (n,)
    weights : array, shape (rows, n)
    moments : array, shape (rows, 2 points)
        Receives the sums.
    """
    top, n = flat.shape[0] - 1, nodes.size
    re, im = np.empty(n), np.empty(n)
    for point in range(flat.shape[1] // 2):
        real, imaginary = flat[:, 2 * point], flat[:, 2 * point + 1]
        a, b, c, d = real[top], imaginary[top], real[top - 1], imaginary[top - 1]
        for k in range(n):
            re[k] = a * nodes[k] + c
            im[k] = b * nodes[k] + d
        for j in range(top - 2, 0, -1):
            a, b = real[j], imaginary[j]
            for k in range(n):
                re[k] = re[k] * nodes[k] + a
                im[k] = im[k] * nodes[k] + b
        a, b = real[0], imaginary[0]
        for k in range(n):
            x, y = re[k] * nodes[k] + a, im[k] * nodes[k] + b
            size = 1.0 / (x * x + y * y)
            re[k] = x * size
            im[k] = y * size
        for r in range(weights.shape[0]):
            row, x, y = weights[r], 0.0, 0.0
            for k in range(n):
                x += row[k] * re[k]
                y += row[k] * im[k]
            moments[r, 2 * point], moments[r, 2 * point + 1] = x, -y


def steps_of_settings(maps: Any, force: Any, state: Any, tau1: Any, label: Any, steps: Any) -> None:
    """`steps` steps of the second moments of every setting, in place.

    Parameters
    ----------
    maps : array, shape (settings, M, M, n)
    force, state : array, shape (settings, M, n)
    tau1 : float
    label : array, shape (settings,)
        sigma^2 at the scale of each.
    steps : int
    """
    size, n = maps.shape[1], maps.shape[3]
    new = np.empty((size, n))
    for s in range(maps.shape[0]):
        for _ in range(steps):
            old, total = state[s, 0], 0.0
            for k in range(n):
                total += old[k]
            drive = tau1 * total + label[s]
            if size == 3:  # two states, as most methods have: one pass for each moment
                x, y, z = state[s, 0], state[s, 1], state[s, 2]
                for i in range(3):
                    to, push, a, b, c = new[i], force[s, i], maps[s, i, 0], maps[s, i, 1], maps[s, i, 2]
                    for k in range(n):
                        to[k] = push[k] * drive + a[k] * x[k] + b[k] * y[k] + c[k] * z[k]
                state[s] = new
                continue
            for i in range(size):
                to, push = new[i], force[s, i]
                for k in range(n):
                    to[k] = push[k] * drive
                for j in range(size):
                    factor, old = maps[s, i, j], state[s, j]
                    for k in range(n):
                        to[k] += factor[k] * old[k]
            state[s] = new


@lru_cache(maxsize=4)
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import numba

    try:
        return numba.njit(cache=True, fastmath=FAST, error_model="numpy")(function)
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(fastmath=FAST, error_model="numpy")(function)


def loaded(function: Callable[..., Any], work: float = 0.0) -> Callable[..., Any] | None:
    """A compiled function, where numba is at work in this process already or so much work is worth loading it.

    Parameters
    ----------
    function : callable
        One of this module.
    work : float
        Points, or steps, times modes to come.
    """
    if "numba" not in sys.modules and (work < WORTH_LOADING or importlib.util.find_spec("numba") is None):
        return None
    return _compiled(getattr(function, "__wrapped__", function))


def advance_to(run: Any, step: int) -> None:
    """Bring a batched recursion to a step, compiled where numba is at work.

    Parameters
    ----------
    run : Recursion
        Of the second moments in doubles.
    step : int
    """
    quick = loaded(steps_of_settings) if run.coupled_by_the_loss and run.every > 1 else None
    if quick is not None:
        maps = np.ascontiguousarray(np.moveaxis(run.map, 2, 0))
        force = np.ascontiguousarray(np.moveaxis(run.force, 1, 0))
        while run.step < step:
            count = min(run.every, step - run.step)
            state = np.ascontiguousarray(np.moveaxis(run.state, 1, 0))
            quick(maps, force, state, float(run.tau1), np.ldexp(run.noise_variance, -run.scale), count)
            run.move_to(run.step + count, np.moveaxis(state, 0, 1))
    while run.step < step:
        run.advance()


def load(work: float) -> None:
    """Load numba if so much work to come is worth it."""
    loaded(sums_at_points, work)
