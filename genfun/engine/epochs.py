"""The mean loss when every sample is visited once an epoch: what data loaders do.

A sample that the epoch has not visited yet has a larger residual than one that it has, and the kicks of an epoch's
steps cancel at its end. So the second moments given that a sample is still to come differ from those of all runs, by a
memory X of pairs of modes and nu of the residuals at the optimum, which grow within an epoch and vanish at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.epoch_steps import advance, compiled
from genfun.methods.base import effective_rate
from genfun.methods.system import system_of
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import LinearProblem

NODES = 100
"""Groups of modes at most; each holds modes whose eigenvalues are within a few per cent to a few tens of per cent."""
WORTH_COMPILING = 5_000
"""Steps from which on numba is loaded."""


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


def stepper(steps: int) -> Callable[..., Any]:
    """The quickest `advance` for so many steps: compiled where that is worth loading numba, or it was before.

    Parameters
    ----------
    steps : int
        Steps to come, of all calls together.
    """
    if steps >= WORTH_COMPILING or compiled.cache_info().currsize:
        return compiled() or advance
    return advance


def pair_closure(
    pairs: Pairs, method: Any, steps: int, doubt: Float[Array, "two t"] | None = None, memory: float = 1.0
) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
    r"""Mean loss at steps 0, ..., T of a method that visits each sample once an epoch, and what its loop logs.

    With x = (w - w*, v, ...) the m states of a mode, T_k = T_0 - a_k k e^T, S_k = T_0 - f a_k k e^T for e = (1, 0, ...)
    and f = (b-1)/b, y = C e + the memory's part for a sample that is still to come, Y = 2 y - C e, omega = b/(N-1),
    kappa = alpha/b and U = 1 + sum_k lambda_k nu_wk:

    .. math:: X_{kl} \leftarrow T_kX_{kl}T_l^T + \omega\kappa\left[S_kY_kk^T + k(S_lY_l)^T - \kappa p_2\,kk^T\right],
              \qquad \nu_k \leftarrow T_k\nu_k + \omega\kappa(2U-1)k

    .. math:: y_k = C_ke + \frac{1}{\lambda_k}\left[\textstyle\sum_l M_{kl}X_{kl}e + E_k\nu_k\right]
              - \lambda_kX_{kk}e

    .. math:: C_k \leftarrow T_0C_kT_0^T - a_k\left[T_0y_kk^T + k(T_0y_k)^T\right] + \alpha^2\left[P_k
              + \gamma(A_k - P_k)\right]kk^T,\qquad P_k = \lambda_k^2Y_{wk},\quad
              A_k = \textstyle\sum_lM_{kl}y_{wl} + E_kU

    and p_2 = sum_k (2 A_k - sum_l M_kl c_l - E_k)/sum_k lambda_k, c = C_ww. Heavy ball has T_0 = [[1, beta], [0, beta]]
    and k = (1, 1). omega = 0 is the recursion of fresh batches. What a loop logs is the loss of a batch before its own
    update.

    **Assumptions.** The memory of two samples still to come is the sum of their own; M between other modes than two
    pairs is left out. An epoch has floor(N/b) steps, of b samples each.

    Parameters
    ----------
    pairs : Pairs
    method : Method
        Whose step is linear in its states, and takes the gradient once, at the first of them.
    steps : int
        T.
    doubt : array, shape (2, T + 1), optional
        Receives the part of each mean loss that is of modes with a negative second moment, which is 0 or the closure
        has failed there; and about how much the closure leaves out of it where features exclude each other, see
        `step`: in tables of categories one to two times what it is off.
    memory : float
        Factor of omega; 0 for fresh batches under the same fourth moments.

    Raises
    ------
    ValueError
        If the step of the method is not of this form.
    """
    n, alpha = pairs.n_samples, method.learning_rate
    b = n if method.batch_size is None else method.batch_size
    gamma = 0.0 if n == 1 else (n - b) / ((n - 1) * b)
    omega = memory * b / (n - 1) if n > 1 else 0.0
    later = system_of(method)
    first = later if later.first_noise == 1.0 else system_of(replace(method, dampening=0.0))  # undamped, as torch's is
    if not np.allclose(later.slope, -np.outer(later.kick, np.eye(later.size)[0]), rtol=1e-9, atol=1e-12):
        raise ValueError(f"method must take its gradient at its first state with epochs, got {method!r}")
    pace = effective_rate(replace(method, weight_decay=0.0) if later.decay > 0.0 else method)
    setting = (alpha, gamma, omega, alpha / b, (b - 1) / b, pace)
    r, m = pairs.lam.size, later.size
    state = (np.zeros((m, m, r, r)), np.zeros((m, r)), np.zeros((m, m, r)), np.zeros((3, r)))
    state[2][:] = np.multiply.outer(np.outer(first.start, first.start), pairs.start)
    state[3][2] = pairs.start
    out, logged = np.empty(steps + 1), np.empty(steps + 1)
    told = np.empty((2, steps + 1)) if doubt is None else doubt
    per_mode = (pairs.lam, pairs.count, pairs.label, pairs.fourth * pairs.count)
    modes = tuple(np.ascontiguousarray(x, dtype=np.float64) for x in per_mode)
    run = stepper(steps)
    with np.errstate(over="ignore", invalid="ignore"):
        updates = tuple((np.ascontiguousarray(s.constant), s.kick) for s in (first, later))
        run(state, setting, updates, modes, max(n // b, 1), (out, logged, told))
    told *= 0.5
    return 0.5 * (out + pairs.noise_variance), 0.5 * (logged + pairs.noise_variance)
