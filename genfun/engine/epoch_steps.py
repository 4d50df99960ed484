"""One step of the closure over an epoch, see `genfun.engine.epochs`, by arrays and as loops for numba."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

MOST_MEMORY = 9.0
"""Of a mode, over its second moment: what is left out is told up to here."""
TINY = float(np.finfo(np.float64).tiny)


def step(
    memory: Any,
    nu: Any,
    moments: Any,
    left: Any,
    setting: Any,
    update: Any,
    lam: Any,
    count: Any,
    fourth: Any,
    label: Any,
) -> Any:
    """One update of X, nu and C by a method of m states, in place; returns what a loop logs, times 2.

    Two samples with a feature that others lack move it by factors: their memories multiply, where the closure adds them
    up and leaves out D_i D_k / c. Then a memory fades as fast as the mode does, not slower. To second order, mode by
    mode, that changes D = d c by x <- q x - (1 - q) d^2 f, and c by e <- q e - (1 - q) x, with q what a step leaves of
    c, and f what is left of the start, f <- q f - (1 - q) d f: memories of what the noise brings in do add up.

    Parameters
    ----------
    memory : array, shape (m, r, m, r)
        X, by state and group twice; the first state is w - w*.
    nu : array, shape (m, r)
    moments : array, shape (m, m, r)
        C, second moments of a mode.
    left : array, shape (3, r)
        (e, x), what the closure leaves out of c and D, and f.
    setting : tuple
        (alpha, gamma, omega, kappa, f, alpha_eff).
    update : (array, array), of shapes (m, m) and (m,)
        (T_0, k) of the method.
    lam, count, label : array, shape (r,)
    fourth : array, shape (r, r)
    """
    alpha, gamma, omega, kappa, f, pace = setting
    rest, kick = update
    m, r = nu.shape
    a, c = alpha * lam, moments[0, 0].copy()
    weighted = fourth * count
    own = (weighted * memory[:, :, 0]).sum(axis=2) / lam - lam * np.diagonal(memory[:, :, 0], axis1=1, axis2=2)
    y = moments[0] + own + label * nu / lam
    u = 1.0 + (count * lam * nu[0]).sum()
    seen = (weighted * y[0]).sum(axis=1) + label * u
    bare = (weighted * c).sum(axis=1)
    p2 = (count * (2.0 * seen - bare - label)).sum() / (count * lam).sum()
    source = 2.0 * y - moments[0]
    common = lam * lam * source[0]
    square = common + gamma * (seen - common)
    logged = (count * (lam * y[0] + label * nu[0])).sum()
    fades = np.minimum(pace * lam, 1.0)
    lost = fades * (2.0 - fades)
    d = own[0] / np.maximum(np.maximum(c, np.abs(own[0]) / MOST_MEMORY), TINY)
    x = left[1].copy()
    left[1] = (1.0 - lost) * x - lost * d * d * left[2]
    left[0] = (1.0 - lost) * left[0] - lost * x
    left[2] = np.maximum((1.0 - lost) * left[2] - lost * d * left[2], 0.0)
    # The memory, symmetric as a matrix over states and groups: t X t^T, and what the step adds.
    rate, column = omega * kappa, kick.reshape(-1, 1)
    turn = np.empty((m, m, r))
    turn[:] = rest.reshape(m, m, 1)
    turn[:, 0] -= column * a
    for _ in range(2):
        half = (turn.reshape(m, m, r, 1) * memory.reshape(1, m, r, m * r)).sum(axis=1)
        memory[:] = half.reshape(m * r, m * r).T.reshape(m, r, m, r)
    push = rest @ source - column * (f * a * source[0] + 0.5 * kappa * p2)
    added = rate * np.outer(push, np.repeat(kick, r))
    memory += (added + added.T).reshape(m, r, m, r)
    nu[:] = rest @ nu - column * (a * nu[0]) + column * (rate * (2.0 * u - 1.0))
    across = (a * (rest @ y)).reshape(m, 1, r) * kick.reshape(1, m, 1)
    kicks = np.outer(kick, kick).reshape(m, m, 1) * (alpha * alpha * square)
    moments[:] = np.einsum("ip,pqk,jq->ijk", rest, moments, rest) - across - across.swapaxes(0, 1) + kicks
    return logged


def step_by_pair(
    memory: Any,
    nu: Any,
    moments: Any,
    left: Any,
    setting: Any,
    update: Any,
    lam: Any,
    count: Any,
    fourth: Any,
    label: Any,
) -> Any:
    """The same as loops, for numba."""
    alpha, gamma, omega, kappa, f, pace = setting
    rest, kick = update
    m, r = nu.shape
    y, push, turn = np.empty((m, r)), np.empty((m, r)), np.empty((m, m, r))
    u, logged, over, trace = 1.0, 0.0, 0.0, 0.0
    for k in range(r):
        for j in range(m):
            of = 0.0
            for n in range(r):
                of += fourth[k, n] * count[n] * memory[j, k, 0, n]
            y[j, k] = of / lam[k] - lam[k] * memory[j, k, 0, k]
        own, c = y[0, k], moments[0, 0, k]
        for j in range(m):
            y[j, k] += moments[0, j, k] + label[k] * nu[j, k] / lam[k]
        fades = min(pace * lam[k], 1.0)
        lost = fades * (2.0 - fades)
        d = own / max(c, abs(own) / MOST_MEMORY, TINY)
        x = left[1, k]
        left[1, k] = (1.0 - lost) * x - lost * d * d * left[2, k]
        left[0, k] = (1.0 - lost) * left[0, k] - lost * x
        left[2, k] = max((1.0 - lost) * left[2, k] - lost * d * left[2, k], 0.0)
        u += count[k] * lam[k] * nu[0, k]
        trace += count[k] * lam[k]
        logged += count[k] * (lam[k] * y[0, k] + label[k] * nu[0, k])
    seen = np.empty(r)
    for k in range(r):
        seen[k] = label[k] * u
        bare = label[k]
        for n in range(r):
            weight = fourth[k, n] * count[n]
            seen[k] += weight * y[0, n]
            bare += weight * moments[0, 0, n]
        over += count[k] * (2.0 * seen[k] - bare)
    rate, half = omega * kappa, 0.5 * kappa * over / trace
    gain = rate * (2.0 * u - 1.0)
    old, old_nu = np.empty((m, m)), np.empty(m)
    for k in range(r):
        a = alpha * lam[k]
        source = 2.0 * y[0, k] - moments[0, 0, k]
        common = lam[k] * lam[k] * source
        square = alpha * alpha * (common + gamma * (seen[k] - common))
        old[:], old_nu[:] = moments[:, :, k], nu[:, k]
        for i in range(m):
            push[i, k] = -kick[i] * (f * a * source + half)
            nu[i, k] = kick[i] * (gain - a * old_nu[0])
            for p in range(m):
                turn[i, p, k] = rest[i, p]
                push[i, k] += rest[i, p] * (2.0 * y[p, k] - old[0, p])
                nu[i, k] += rest[i, p] * old_nu[p]
            turn[i, 0, k] -= kick[i] * a
            for j in range(m):
                total = kick[i] * kick[j] * square
                for p in range(m):
                    total -= a * y[p, k] * (rest[i, p] * kick[j] + kick[i] * rest[j, p])
                    for q in range(m):
                        total += rest[i, p] * old[p, q] * rest[j, q]
                moments[i, j, k] = total
    row = np.empty((m, m, r))
    for k in range(r):
        for i in range(m):
            for j in range(m):
                row[i, j] = 0.0
                for p in range(m):
                    by = turn[i, p, k]
                    for n in range(r):
                        row[i, j, n] += by * memory[p, k, j, n]
        for i in range(m):
            for j in range(m):
                whole, part = rate * push[i, k] * kick[j], rate * kick[i]
                for n in range(r):
                    memory[i, k, j, n] = whole + part * push[j, n]
                for q in range(m):
                    for n in range(r):
                        memory[i, k, j, n] += row[i, q, n] * turn[j, q, n]
    return logged


def advance(
    memory: Any,
    nu: Any,
    moments: Any,
    left: Any,
    setting: Any,
    updates: Any,
    modes: Any,
    fourth: Any,
    epoch: Any,
    out: Any,
    logged: Any,
    doubt: Any,
) -> None:
    """All steps; `out` receives sum lambda c before every one, `logged` the mean over the batch to come, times 2.

    `doubt` receives the sum over modes of negative lambda c: no second moment is negative, but the closure's may be;
    and that of lambda |e|, what the closure leaves out.

    Parameters
    ----------
    memory, nu, moments, left : array
        As in `step`, at the start of an epoch.
    setting : tuple
    updates : tuple of pairs
        (T_0, k) of the first step and of later ones.
    modes : (array, array, array), each of shape (r,)
        lambda, count, label.
    fourth : array, shape (r, r)
    epoch : int
        Steps of an epoch.
    out, logged : array, shape (T + 1,)
    doubt : array, shape (2, T + 1)
    """
    lam, count, label = modes
    for t in range(out.size):
        if t % epoch == 0:
            memory[:] = 0.0
            nu[:] = 0.0
            left[1] = 0.0
        parts = count * lam * moments[0, 0]
        out[t] = parts.sum()
        doubt[0, t] = np.minimum(parts, 0.0).sum()
        doubt[1, t] = (count * lam * np.abs(left[0])).sum()
        logged[t] = step(memory, nu, moments, left, setting, updates[min(t, 1)], lam, count, fourth, label)


@lru_cache(maxsize=1)
def compiled() -> Callable[..., Any] | None:
    """`advance` by numba; None without it."""
    try:
        import numba
    except ImportError:
        return None
    from numba import extending

    of_step = unwrap(step_by_pair)

    def implementation(
        memory: Any,
        nu: Any,
        moments: Any,
        left: Any,
        setting: Any,
        update: Any,
        lam: Any,
        count: Any,
        fourth: Any,
        label: Any,
    ) -> Any:
        return of_step

    extending.overload(step, jit_options={"fastmath": {"reassoc", "contract"}})(implementation)
    try:
        return numba.njit(cache=True)(unwrap(advance))
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(unwrap(advance))
