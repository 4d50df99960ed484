"""One step of the closure over an epoch, see `genfun.engine.epochs`, by arrays and as loops for numba."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._loops import compiled_loop

MOST_MEMORY = 9.0
"""Of a mode, over its second moment: what is left out is told up to here."""
TINY = float(np.finfo(np.float64).tiny)


def step(state: Any, setting: Any, update: Any, modes: Any) -> Any:
    """One update of X, nu and C by a method of m states, in place; returns what a loop logs, times 2.

    Two samples with a feature that others lack move it by factors: their memories multiply, where the closure adds them
    up and leaves out D_i D_k / c. Then a memory fades as fast as the mode does, not slower. To second order, mode by
    mode, that changes D = d c by x <- q x - (1 - q) d^2 f, and c by e <- q e - (1 - q) x, with q what a step leaves of
    c, and f what is left of the start, f <- q f - (1 - q) d f: memories of what the noise brings in do add up.

    Parameters
    ----------
    state : (array, array, array, array), of shapes (m, m, r, r), (m, r), (m, m, r) and (3, r)
        X, by two states and two groups, of which the first state is w - w*; nu; C, second moments of a mode; and
        (e, x), what the closure leaves out of c and D, with f.
    setting : tuple
        (alpha, gamma, omega, kappa, f, alpha_eff).
    update : (array, array), of shapes (m, m) and (m,)
        (T_0, k) of the method.
    modes : (array, array, array, array), of shapes (r,), (r,), (r,) and (r, r)
        lambda, count, label, and M_kl times the modes of group l.
    """
    memory, nu, moments, left = state
    lam, count, label, fourth = modes
    alpha, gamma, omega, kappa, f, pace = setting
    rest, kick = update
    m, r = nu.shape
    a, c = alpha * lam, moments[0, 0].copy()
    own = (fourth * memory[:, 0]).sum(axis=2) / lam - lam * np.diagonal(memory[:, 0], axis1=1, axis2=2)
    y = moments[0] + own + label * nu / lam
    u = 1.0 + (count * lam * nu[0]).sum()
    seen = (fourth * y[0]).sum(axis=1) + label * u
    bare = (fourth * c).sum(axis=1)
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
    across = (a * (rest @ y)).reshape(m, 1, r) * kick.reshape(1, m, 1)
    kicks = np.outer(kick, kick).reshape(m, m, 1) * (alpha * alpha * square)
    moments[:] = np.einsum("ip,pqk,jq->ijk", rest, moments, rest) - across - across.swapaxes(0, 1) + kicks
    if omega == 0.0:  # fresh batches leave no memory
        return logged
    # The memory, symmetric as a matrix over states and groups: t X t^T, and what the step adds.
    rate, column = omega * kappa, kick.reshape(-1, 1)
    turn = np.empty((m, m, r))
    turn[:] = rest.reshape(m, m, 1)
    turn[:, 0] -= column * a
    for _ in range(2):
        half = (turn.reshape(m, m, 1, r, 1) * memory.reshape(1, m, m, r, r)).sum(axis=1)
        memory[:] = half.transpose(1, 0, 3, 2)
    push = rest @ source - column * (f * a * source[0] + 0.5 * kappa * p2)
    added = rate * np.multiply.outer(kick, push)
    memory += added.reshape(m, m, 1, r) + added.swapaxes(0, 1).reshape(m, m, r, 1)
    nu[:] = rest @ nu - column * (a * nu[0]) + column * (rate * (2.0 * u - 1.0))
    return logged


def step_by_pair(state: Any, setting: Any, update: Any, modes: Any) -> Any:
    """The same as loops, for numba."""
    memory, nu, moments, left = state
    lam, count, label, fourth = modes
    alpha, gamma, omega, kappa, f, pace = setting
    rest, kick = update
    m, r = nu.shape
    y, push, turn = np.empty((m, r)), np.empty((m, r)), np.empty((m, m, r))
    u, logged, over, trace = 1.0, 0.0, 0.0, 0.0
    for k in range(r):
        for j in range(m):
            of = 0.0
            if omega != 0.0:
                for n in range(r):
                    of += fourth[k, n] * memory[j, 0, k, n]
            y[j, k] = of / lam[k] - lam[k] * memory[j, 0, k, k]
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
    square, source = np.empty(r), np.empty(r)
    for k in range(r):
        seen, bare = label[k] * u, label[k]
        for n in range(r):
            seen += fourth[k, n] * y[0, n]
            bare += fourth[k, n] * moments[0, 0, n]
        over += count[k] * (2.0 * seen - bare)
        source[k] = 2.0 * y[0, k] - moments[0, 0, k]
        common = lam[k] * lam[k] * source[k]
        square[k] = alpha * alpha * (common + gamma * (seen - common))
    rate, half = omega * kappa, 0.5 * kappa * over / trace
    gain = rate * (2.0 * u - 1.0)
    old, old_nu = moments.copy(), nu.copy()
    for i in range(m):
        for k in range(r):
            push[i, k] = -kick[i] * (f * alpha * lam[k] * source[k] + half)
            nu[i, k] = kick[i] * (gain - alpha * lam[k] * old_nu[0, k])
        for p in range(m):
            for k in range(r):
                turn[i, p, k] = rest[i, p]
                push[i, k] += rest[i, p] * (2.0 * y[p, k] - old[0, p, k])
                nu[i, k] += rest[i, p] * old_nu[p, k]
        for k in range(r):
            turn[i, 0, k] -= kick[i] * alpha * lam[k]
        for j in range(m):
            for k in range(r):
                moments[i, j, k] = kick[i] * kick[j] * square[k]
            for p in range(m):
                across = alpha * (rest[i, p] * kick[j] + kick[i] * rest[j, p])
                for k in range(r):
                    moments[i, j, k] -= across * lam[k] * y[p, k]
                for q in range(m):
                    by = rest[i, p] * rest[j, q]
                    if by != 0.0:
                        for k in range(r):
                            moments[i, j, k] += by * old[p, q, k]
    if omega == 0.0:  # fresh batches leave no memory
        return logged
    if m == 2:  # as below, in registers: three times as fast
        top, low = rest[0, 1], rest[1, 1]
        for k in range(r):
            first, second = turn[0, 0, k], turn[1, 0, k]
            by_w, by_v, push_w, push_v = rate * kick[0], rate * kick[1], push[0, k], push[1, k]
            for n in range(r):
                ww, wv, vw, vv = memory[0, 0, k, n], memory[0, 1, k, n], memory[1, 0, k, n], memory[1, 1, k, n]
                of_ww, of_wv = first * ww + top * vw, first * wv + top * vv
                of_vw, of_vv = second * ww + low * vw, second * wv + low * vv
                right_w, right_v = turn[0, 0, n], turn[1, 0, n]
                memory[0, 0, k, n] = of_ww * right_w + top * of_wv + by_w * (push_w + push[0, n])
                memory[0, 1, k, n] = of_ww * right_v + low * of_wv + (by_v * push_w + by_w * push[1, n])
                memory[1, 0, k, n] = of_vw * right_w + top * of_vv + (by_w * push_v + by_v * push[0, n])
                memory[1, 1, k, n] = of_vw * right_v + low * of_vv + by_v * (push_v + push[1, n])
        return logged
    row = np.empty((m, m, r))
    for k in range(r):
        for i in range(m):
            for j in range(m):
                row[i, j] = 0.0
                for p in range(m):
                    for n in range(r):
                        row[i, j, n] += turn[i, p, k] * memory[p, j, k, n]
        for i in range(m):
            for j in range(m):
                for n in range(r):
                    memory[i, j, k, n] = rate * (push[i, k] * kick[j] + kick[i] * push[j, n])
                for q in range(m):
                    for n in range(r):
                        memory[i, j, k, n] += row[i, q, n] * turn[j, q, n]
    return logged


def advance(state: Any, setting: Any, updates: Any, modes: Any, epoch: Any, told: Any) -> None:
    """All steps, which write into `told`.

    Parameters
    ----------
    state, setting, modes : tuple
        As in `step`, the state at the start of an epoch.
    updates : tuple of pairs
        (T_0, k) of the first step and of later ones.
    epoch : int
        Steps of an epoch.
    told : (array, array, array), of shapes (T + 1,), (T + 1,) and (2, T + 1)
        Receive sum lambda c before every step; the mean over the batch to come, times 2; and what is in doubt: the sum
        over modes of negative lambda c (no second moment is negative, but the closure's may be), and that of
        lambda |e|, what the closure leaves out.
    """
    memory, nu, moments, left = state
    lam, count = modes[0], modes[1]
    out, logged, doubt = told
    for t in range(out.size):
        if t % epoch == 0:
            memory[:] = 0.0
            nu[:] = 0.0
            left[1] = 0.0
        parts = count * lam * moments[0, 0]
        out[t] = parts.sum()
        doubt[0, t] = np.minimum(parts, 0.0).sum()
        doubt[1, t] = (count * lam * np.abs(left[0])).sum()
        logged[t] = step(state, setting, updates[min(t, 1)], modes)


@lru_cache(maxsize=1)
def compiled() -> Callable[..., Any] | None:
    """`advance` by numba; None without it."""
    try:
        from numba import extending
    except ImportError:
        return None

    of_step = unwrap(step_by_pair)

    def implementation(state: Any, setting: Any, update: Any, modes: Any) -> Any:
        return of_step

    extending.overload(step, jit_options={"fastmath": {"reassoc", "contract"}})(implementation)
    return compiled_loop(advance)
