"""The inner loops of maps and recursions, compiled by numba where it is installed and the work is long.

numba stays an extra: to import it takes half a second of processor time in every process, which no cache on disk
spares, and ten times as long as most answers; and with LLVM it is larger than all that genfun requires together. So it
is loaded once a map would take NumPy as long as loading and the compiled loops together, and from then on serves every
answer of the process. The NumPy lines beside every call are the reference, to which the tests hold these.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genfun._loops import compiled_loop

WORTH_LOADING, WORTH_COMPILING = 2.8e8, 4e8
"""Points times modes, or steps times modes, from which on numba is loaded: three quarters of a second of NumPy, as long
as loading and the compiled loops take. And where the loops are yet to be compiled, once for an installation."""
MOVED = 300
"""As in `Recursion`: powers of two by which moments may leave 1."""
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


def steps_of_settings(
    maps: Any, force: Any, state: Any, scale: Any, tau1: Any, label: Any, every: Any, steps: Any, losses: Any
) -> None:
    """`steps` steps of the second moments of every setting, in place, kept in range as `Recursion` does.

    Parameters
    ----------
    maps : array, shape (settings, M, M, n)
    force, state : array, shape (settings, M, n)
    scale : integer array, shape (settings,)
        The state is to be multiplied by 2^scale; it changes with the state.
    tau1, label : float
        With sigma^2 at scale 0.
    every, steps : int
        The range is looked at after so many steps.
    losses : (array, integer array), each of shape (settings, steps), or of no columns
        Receive mantissas and exponents of the loss before every step.
    """
    size, n, record = maps.shape[1], maps.shape[3], losses[0].shape[1] > 0
    new = np.empty((size, n))
    for s in range(maps.shape[0]):
        own, noise, total = state[s], math.ldexp(label, -scale[s]), 0.0
        for k in range(n):
            total += own[0, k]
        for step in range(1, steps + 1):
            if record:
                losses[0][s, step - 1] = 0.5 * (total + noise)
                losses[1][s, step - 1] = scale[s]
            drive, total = tau1 * total + noise, 0.0
            if size == 3:  # two states, as most methods have: one pass for all three moments
                x, y, z = own[0], own[1], own[2]
                f, g, h = force[s, 0], force[s, 1], force[s, 2]
                a0, a1, a2 = maps[s, 0, 0], maps[s, 0, 1], maps[s, 0, 2]
                b0, b1, b2 = maps[s, 1, 0], maps[s, 1, 1], maps[s, 1, 2]
                c0, c1, c2 = maps[s, 2, 0], maps[s, 2, 1], maps[s, 2, 2]
                for k in range(n):
                    p, q, r = x[k], y[k], z[k]
                    first = f[k] * drive + a0[k] * p + a1[k] * q + a2[k] * r
                    y[k] = g[k] * drive + b0[k] * p + b1[k] * q + b2[k] * r
                    z[k] = h[k] * drive + c0[k] * p + c1[k] * q + c2[k] * r
                    x[k] = first
                    total += first
            else:
                for i in range(size):
                    to, push = new[i], force[s, i]
                    for k in range(n):
                        to[k] = push[k] * drive
                    for j in range(size):
                        factor, old = maps[s, i, j], own[j]
                        for k in range(n):
                            to[k] += factor[k] * old[k]
                own[:] = new
                for k in range(n):
                    total += own[0, k]
            if step % every == 0 or step == steps:
                top = noise
                for i in range(size):
                    row = own[i]
                    for k in range(n):
                        top = max(top, abs(row[k]))
                move = math.frexp(top)[1] if 0.0 < top < np.inf else 0
                if abs(move) > MOVED:
                    # In two halves, as 2^move may be out of range.
                    one, other = math.ldexp(1.0, -(move // 2)), math.ldexp(1.0, move // 2 - move)
                    for i in range(size):
                        row = own[i]
                        for k in range(n):
                            row[k] = row[k] * one * other
                    total = total * one * other
                    scale[s] += move
                    noise = math.ldexp(label, -scale[s])


@lru_cache(maxsize=8)
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return compiled_loop(function, fastmath=FAST, error_model="numpy")


def loaded(function: Callable[..., Any], work: float = 0.0) -> Callable[..., Any] | None:
    """A compiled function, where numba is at work in this process already or so much work is worth loading it.

    Parameters
    ----------
    function : callable
        One of this module, or another in loops that numba compiles.
    work : float
        Points, or steps, times modes to come.
    """
    plain = getattr(function, "__wrapped__", function)
    if "numba" not in sys.modules:
        worth = WORTH_LOADING if work < WORTH_COMPILING and _kept(plain) else WORTH_COMPILING
        if work < worth or importlib.util.find_spec("numba") is None:
            return None
    return _compiled(plain)


def _kept(function: Callable[..., Any]) -> bool:
    """Whether numba has kept the compiled function beside its source, since that was last changed."""
    code, python = function.__code__, f"py{sys.version_info.major}{sys.version_info.minor}"
    source = Path(code.co_filename)
    index = source.parent / "__pycache__" / f"{source.stem}.{code.co_name}-{code.co_firstlineno}.{python}.nbi"
    try:
        return index.stat().st_mtime >= source.stat().st_mtime
    except OSError:
        return False


def compiled_steps(run: Any) -> Callable[..., Any] | None:
    """`steps_of_settings` compiled, where it is at work and steps through such a run.

    Parameters
    ----------
    run : Recursion
    """
    return loaded(steps_of_settings) if run.state.dtype == np.float64 and run.coupled_by_the_loss else None


def advance_to(run: Any, step: int) -> None:
    """Bring a batched recursion to a step, compiled where numba is at work.

    Parameters
    ----------
    run : Recursion
        Of the second moments in doubles.
    step : int
    """
    quick = compiled_steps(run)
    if quick is not None and run.step < step:
        _advance(run, step - run.step, quick, 0)
    while run.step < step:
        run.advance()


def recorded_steps(run: Any, count: int) -> tuple[Any, Any] | None:
    """Mantissas and exponents of the losses of a run at so many steps, which moves on; None without numba at work.

    Parameters
    ----------
    run : Recursion
        Of a single setting.
    count : int
    """
    quick = compiled_steps(run)
    if quick is None:
        return None
    mantissas, exponents = _advance(run, count, quick, count)
    return mantissas[0], exponents[0]


def _advance(run: Any, count: int, quick: Callable[..., Any], kept: int) -> tuple[Any, Any]:
    maps = np.ascontiguousarray(np.moveaxis(run.map, 2, 0))
    force = np.ascontiguousarray(np.moveaxis(run.force, 1, 0))
    state, scale = np.array(np.moveaxis(run.state, 1, 0), order="C"), run.scale.copy()
    losses = np.empty((scale.size, kept)), np.zeros((scale.size, kept), dtype=np.int64)
    quick(maps, force, state, scale, float(run.tau1), float(run.noise_variance), run.every, count, losses)
    run.scale = scale
    run.move_to(run.step + count, np.moveaxis(state, 0, 1))
    return losses


def load(work: float, function: Callable[..., Any] = sums_at_points) -> None:
    """Load numba if so much work to come, most of it of one function, is worth it.

    Parameters
    ----------
    work : float
        As for `loaded`.
    function : callable
    """
    loaded(function, work)
