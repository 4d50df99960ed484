"""The mean loss when every sample is visited once an epoch: what data loaders do.

A sample that the epoch has not visited yet has a larger residual than one that it has, and the kicks of an epoch's
steps cancel at its end. So the second moments given that a sample is still to come differ from those of all runs, by a
memory X of pairs of modes and nu of the residuals at the optimum, which grow within an epoch and vanish at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from inspect import unwrap
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import LinearProblem

NODES = 100
"""Groups of modes at most; each holds modes whose eigenvalues are within a few per cent to a few tens of per cent."""
WORTH_COMPILING = 5_000
"""Steps from which on numba is loaded."""
MOST_MEMORY = 9.0
"""Of a mode, over its second moment: what is left out is told up to here."""
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Modes in groups, and the fourth moments of pairs of groups.

    Parameters
    ----------
    lam : array, shape (r,)
        Mean eigenvalue of a group.
    count : array, shape (r,)
        Modes in it.
    start : array, shape (r,)
        Mean w^2 of a mode at the start.
    fourth : array, shape (r, r)
        M_kl = mean over samples, and over the modes of two groups, of phi_k^2 phi_l^2.
    label : array, shape (r,)
        E_k = mean of phi_k^2 eps^2, with eps the residuals at the optimum.
    noise_variance : float
        sigma^2.
    n_samples : int
        N.
    """

    lam: Float[Array, " r"]
    count: Float[Array, " r"]
    start: Float[Array, " r"]
    fourth: Float[Array, "r r"]
    label: Float[Array, " r"]
    noise_variance: float
    n_samples: int


def groups(eigenvalues: Float[Array, " n"], most: int = NODES) -> Int[Array, " n"]:
    """The group of every mode: equal widths in log lambda, empty ones left out.

    Parameters
    ----------
    eigenvalues : array, shape (n,)
    most : int
        Groups at most.
    """
    if eigenvalues.size <= most:
        return np.arange(eigenvalues.size)
    place = np.log(eigenvalues / eigenvalues.min())
    raw = np.minimum((most * place / max(float(place.max()), 1e-12)).astype(np.int64), most - 1)
    return np.unique(raw, return_inverse=True)[1]


def pairs_of_problem(problem: LinearProblem, noise: SpectrallyExpressible) -> Pairs:
    r"""Fourth moments under spectrally expressible noise.

    .. math:: M_{kl} = \tau_1\lambda_k\lambda_l + (1-\tau_2)\lambda_k^2\delta_{kl},\qquad E_k = \lambda_k\sigma^2

    Parameters
    ----------
    problem : LinearProblem
        With a number of samples.
    noise : SpectrallyExpressible
    """
    lam, signal = problem.eigenvalues, problem.signal
    group = groups(lam)
    count = np.bincount(group).astype(np.float64)
    mean = np.bincount(group, lam) / count
    start = np.bincount(group, signal) / (mean * count)
    fourth = noise.tau1 * np.outer(mean, mean) + np.diag((1.0 - noise.tau2) * mean**2 / count)
    assert problem.n_samples is not None
    sigma2 = float(problem.noise_variance)
    return Pairs(mean, count, start, fourth, mean * sigma2, sigma2, problem.n_samples)


def step(
    memory: Any, nu: Any, moments: Any, left: Any, setting: Any, lam: Any, count: Any, fourth: Any, label: Any
) -> Any:
    """One update of (X_ww, X_wv, X_vw, X_vv), (nu_w, nu_v) and (c, J, p), in place; returns what a loop logs, times 2.

    Two samples with a feature that others lack move it by factors: their memories multiply, where the closure adds them
    up and leaves out D_i D_k / c. Then a memory fades as fast as the mode does, not slower. To second order, mode by
    mode, that changes D = d c by x <- q x - (1 - q) d^2 f, and c by e <- q e - (1 - q) x, with q what a step leaves of
    c, and f what is left of the start, f <- q f - (1 - q) d f: memories of what the noise brings in do add up.

    Parameters
    ----------
    memory : array, shape (4, r, r)
    nu : array, shape (2, r)
    moments : array, shape (3, r)
    left : array, shape (3, r)
        (e, x), what the closure leaves out of c and D, and f.
    setting : tuple
        (alpha, beta, gamma, omega, kappa, f).
    lam, count, label : array, shape (r,)
    fourth : array, shape (r, r)
    """
    alpha, beta, gamma, omega, kappa, f = setting
    ww, wv, vw, vv = memory[0], memory[1], memory[2], memory[3]
    c, j, p = moments[0].copy(), moments[1].copy(), moments[2].copy()
    weighted = fourth * count
    diagonal_w, diagonal_v = np.diag(ww).copy(), np.diag(vw).copy()
    own = (weighted * ww).sum(axis=1) / lam - lam * diagonal_w
    yw = c + own + label * nu[0] / lam
    yv = j + ((weighted * vw).sum(axis=1) + label * nu[1]) / lam - lam * diagonal_v
    u = 1.0 + (count * lam * nu[0]).sum()
    seen = (weighted * yw).sum(axis=1) + label * u
    bare = (weighted * c).sum(axis=1)
    p2 = (count * (2.0 * seen - bare - label)).sum() / (count * lam).sum()
    common = lam * lam * (2.0 * yw - c)
    square = common + gamma * (seen - common)
    logged = (count * (lam * yw + label * nu[0])).sum()
    fades = np.minimum(alpha * lam / (1.0 - beta), 1.0)
    lost = fades * (2.0 - fades)
    d = own / np.maximum(np.maximum(c, np.abs(own) / MOST_MEMORY), TINY)
    x = left[1].copy()
    left[1] = (1.0 - lost) * x - lost * d * d * left[2]
    left[0] = (1.0 - lost) * left[0] - lost * x
    left[2] = np.maximum((1.0 - lost) * left[2] - lost * d * left[2], 0.0)
    # The memory: t X t^T, and what the step adds.
    a = alpha * lam
    top = (1.0 - a).reshape(-1, 1)
    low = (-a).reshape(-1, 1)
    first_w, first_v = top * ww + beta * vw, top * wv + beta * vv
    second_w, second_v = low * ww + beta * vw, low * wv + beta * vv
    source_w = 2.0 * yw - c
    source_v = 2.0 * yv - j
    push_w = (1.0 - f * a) * source_w + beta * source_v - 0.5 * kappa * p2
    push_v = -f * a * source_w + beta * source_v - 0.5 * kappa * p2
    rate = omega * kappa
    wr, wc = push_w.reshape(-1, 1), push_w.reshape(1, -1)
    vr, vc = push_v.reshape(-1, 1), push_v.reshape(1, -1)
    right, lower = (1.0 - a).reshape(1, -1), (-a).reshape(1, -1)
    memory[0] = first_w * right + beta * first_v + rate * (wr + wc)
    memory[1] = first_w * lower + beta * first_v + rate * (wr + vc)
    memory[2] = second_w * right + beta * second_v + rate * (vr + wc)
    memory[3] = second_w * lower + beta * second_v + rate * (vr + vc)
    nu_w, nu_v = nu[0].copy(), nu[1].copy()
    gain = rate * (2.0 * u - 1.0)
    nu[0] = (1.0 - a) * nu_w + beta * nu_v + gain
    nu[1] = -a * nu_w + beta * nu_v + gain
    cross = beta * j - alpha * lam * yw
    moments[2] = beta * beta * p - 2.0 * alpha * beta * lam * yv + alpha * alpha * square
    moments[0] = c + 2.0 * cross + moments[2]
    moments[1] = cross + moments[2]
    return logged


def step_by_pair(
    memory: Any, nu: Any, moments: Any, left: Any, setting: Any, lam: Any, count: Any, fourth: Any, label: Any
) -> Any:
    """The same as loops, for numba."""
    alpha, beta, gamma, omega, kappa, f = setting
    r = lam.size
    yw, yv, push_w, push_v = np.empty(r), np.empty(r), np.empty(r), np.empty(r)
    c, j, p = moments[0], moments[1], moments[2]
    u, logged, over, trace = 1.0, 0.0, 0.0, 0.0
    for k in range(r):
        of_w, of_v = 0.0, label[k] * nu[1, k]
        for m in range(r):
            weight = fourth[k, m] * count[m]
            of_w += weight * memory[0, k, m]
            of_v += weight * memory[2, k, m]
        own = of_w / lam[k] - lam[k] * memory[0, k, k]
        yw[k] = c[k] + own + label[k] * nu[0, k] / lam[k]
        yv[k] = j[k] + of_v / lam[k] - lam[k] * memory[2, k, k]
        fades = min(alpha * lam[k] / (1.0 - beta), 1.0)
        lost = fades * (2.0 - fades)
        d = own / max(c[k], abs(own) / MOST_MEMORY, TINY)
        x = left[1, k]
        left[1, k] = (1.0 - lost) * x - lost * d * d * left[2, k]
        left[0, k] = (1.0 - lost) * left[0, k] - lost * x
        left[2, k] = max((1.0 - lost) * left[2, k] - lost * d * left[2, k], 0.0)
        u += count[k] * lam[k] * nu[0, k]
        trace += count[k] * lam[k]
        logged += count[k] * (lam[k] * yw[k] + label[k] * nu[0, k])
    seen = np.empty(r)
    for k in range(r):
        seen[k] = label[k] * u
        bare = label[k]
        for m in range(r):
            weight = fourth[k, m] * count[m]
            seen[k] += weight * yw[m]
            bare += weight * c[m]
        over += count[k] * (2.0 * seen[k] - bare)
    rate, half = omega * kappa, 0.5 * kappa * over / trace
    gain = rate * (2.0 * u - 1.0)
    for k in range(r):
        a = alpha * lam[k]
        source_w, source_v = 2.0 * yw[k] - c[k], beta * (2.0 * yv[k] - j[k])
        push_w[k] = (1.0 - f * a) * source_w + source_v - half
        push_v[k] = -f * a * source_w + source_v - half
        nu_w, nu_v = nu[0, k], nu[1, k]
        nu[0, k] = (1.0 - a) * nu_w + beta * nu_v + gain
        nu[1, k] = -a * nu_w + beta * nu_v + gain
        common = lam[k] * lam[k] * (2.0 * yw[k] - c[k])
        cross = beta * j[k] - a * yw[k]
        p[k] = beta * beta * p[k] - 2.0 * a * beta * yv[k] + alpha * alpha * (common + gamma * (seen[k] - common))
        c[k] += 2.0 * cross + p[k]
        j[k] = cross + p[k]
    for k in range(r):
        a = alpha * lam[k]
        for m in range(r):
            ww, wv, vw, vv = memory[0, k, m], memory[1, k, m], memory[2, k, m], memory[3, k, m]
            first_w, first_v = (1.0 - a) * ww + beta * vw, (1.0 - a) * wv + beta * vv
            second_w, second_v = beta * vw - a * ww, beta * vv - a * wv
            d = alpha * lam[m]
            memory[0, k, m] = first_w * (1.0 - d) + beta * first_v + rate * (push_w[k] + push_w[m])
            memory[1, k, m] = beta * first_v - first_w * d + rate * (push_w[k] + push_v[m])
            memory[2, k, m] = second_w * (1.0 - d) + beta * second_v + rate * (push_v[k] + push_w[m])
            memory[3, k, m] = beta * second_v - second_w * d + rate * (push_v[k] + push_v[m])
    return logged


def advance(
    memory: Any,
    nu: Any,
    moments: Any,
    left: Any,
    setting: Any,
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
        parts = count * lam * moments[0]
        out[t] = parts.sum()
        doubt[0, t] = np.minimum(parts, 0.0).sum()
        doubt[1, t] = (count * lam * np.abs(left[0])).sum()
        logged[t] = step(memory, nu, moments, left, setting, lam, count, fourth, label)


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
        memory: Any, nu: Any, moments: Any, left: Any, setting: Any, lam: Any, count: Any, fourth: Any, label: Any
    ) -> Any:
        return of_step

    extending.overload(step, jit_options={"fastmath": {"reassoc", "contract"}})(implementation)
    try:
        return numba.njit(cache=True)(unwrap(advance))
    except RuntimeError:  # no folder for the cache can be written
        return numba.njit(unwrap(advance))


def pair_closure(
    pairs: Pairs,
    alpha: float,
    beta: float,
    batch_size: int | None,
    steps: int,
    doubt: Float[Array, "two t"] | None = None,
) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    r"""Mean loss at steps 0, ..., T of heavy-ball SGD that visits each sample once an epoch, and what its loop logs.

    With y = c + the memory's part for a sample that is still to come, omega = b/(N-1), kappa = alpha/b:

    .. math:: X_{kl} \leftarrow t_kX_{kl}t_l^T + \omega\kappa\left[s_kY_ke^T + e(s_lY_l)^T - \kappa p_2\,ee^T\right],
              \qquad \nu_k \leftarrow t_k\nu_k + \omega\kappa(2U-1)e

    .. math:: y_k = c_k + \frac{1}{\lambda_k}\left[\textstyle\sum_l M_{kl}X_{kl} + E_k\nu_k\right] - \lambda_kX_{kk}

    omega = 0 is the recursion of fresh batches. What a loop logs is the loss of a batch before its own update.

    **Assumptions.** The memory of two samples still to come is the sum of their own; M between other modes than two
    pairs is left out. An epoch has floor(N/b) steps, of b samples each.

    Parameters
    ----------
    pairs : Pairs
    alpha, beta : float
        Learning rate and momentum.
    batch_size : int or None
    steps : int
        T.
    doubt : array, shape (2, T + 1), optional
        Receives the part of each mean loss that is of modes with a negative second moment, which is 0 or the closure
        has failed there; and about how much the closure leaves out of it where features exclude each other, see
        `step`: in tables of categories one to two times what it is off.
    """
    n = pairs.n_samples
    b = n if batch_size is None else batch_size
    gamma = 0.0 if n == 1 else (n - b) / ((n - 1) * b)
    omega = b / (n - 1) if n > 1 else 0.0
    setting = (alpha, beta, gamma, omega, alpha / b, (b - 1) / b)
    r = pairs.lam.size
    state = (np.zeros((4, r, r)), np.zeros((2, r)), np.zeros((3, r)), np.zeros((3, r)))
    state[2][0] = state[3][2] = pairs.start
    out, logged = np.empty(steps + 1), np.empty(steps + 1)
    told = np.empty((2, steps + 1)) if doubt is None else doubt
    modes = tuple(np.ascontiguousarray(x, dtype=np.float64) for x in (pairs.lam, pairs.count, pairs.label))
    run = (compiled() if steps >= WORTH_COMPILING else None) or advance
    with np.errstate(over="ignore", invalid="ignore"):
        run(*state, setting, modes, np.ascontiguousarray(pairs.fourth), max(n // b, 1), out, logged, told)
    told *= 0.5
    return 0.5 * (out + pairs.noise_variance), 0.5 * (logged + pairs.noise_variance)
