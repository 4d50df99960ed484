"""How the last loss of a run on given data spreads around its mean, under the noise of these very samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.sample_space.moments import Step, run_of, state_moments

LOOKED_AT = 40
"""Steps from either end, evenly in their logarithm, whose part in the variance is computed; others are interpolated."""
WORK = 3e10
"""Operations that are spent at most."""


def work(data: Any, method: Any, last: int) -> float:
    """Operations that `run_spread` takes, about.

    Parameters
    ----------
    data : LinearData
    method : Method or ScheduledSGD
    last : int
        The step.
    """
    r = float(data.rank)
    states = run_of(data, method, 0)[0].shape[0]
    each = 8.0 * data.n_samples * r * r + 3e6
    return each * last + min(last, 2 * LOOKED_AT) * 8.0 * states**2 * r**3


def run_spread(data: Any, method: Any, last: int) -> tuple[float, float, float]:
    r"""Mean and deviation, across runs, of the loss after the last step, and how rare the kicks are that spread it.

    The mean of the last loss, given the state x of a run at step t, is a form x^T Q x + 2 l x + const, found backwards:

    .. math:: Q_t = T^\top Q T + \gamma\alpha^2\,\big[\tfrac1N\textstyle\sum_i\kappa_i\varphi_i\varphi_i^\top
              - HKH\big],\quad
              l_t = T^\top l - \tfrac{\gamma\alpha^2}N\textstyle\sum_i\kappa_i\varepsilon_i\varphi_i,\quad
              K = k^\top Q k,\quad \kappa_i = \varphi_i^\top K\varphi_i

    Along a run it changes only by the choice of the batch: with xi the noise of the gradient, of which a sample has
    r_i phi_i - g, by

    .. math:: -2\alpha\,\xi\cdot k^\top(QTx + l) + \alpha^2\xi^\top K\xi

    The variance of the loss is the sum of the variances of these changes, over the samples and the states. With q_i the
    mean square of the change by sample i, the kicks are as rare as

    .. math:: \frac{\sum_t \gamma_t\,\frac1N\sum_i q_{t,i}^2}{\big(\sum_t \frac1N\sum_i q_{t,i}\big)^2}

    which is the excess kurtosis of a sum of independent kicks, but for a factor of how each varies over the states: 0
    where many kicks of many samples add up, N/T where those of one sample do.

    **Assumptions.** Fresh batches. Moments of fourth order of r_i and s_i are those of Gaussian variables with the
    exact second moments; outputs are alike. Nothing is assumed of the features.

    Parameters
    ----------
    data : LinearData
    method : Method or ScheduledSGD
    last : int
        The step.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _followed(data, method, last)


def _followed(data: Any, method: Any, last: int) -> tuple[float, float, float]:
    steps = list(run_of(data, method, last)[1])
    batch = _batch_sizes(method, last, data.n_samples)
    some = looked_at(last)
    kept: dict[int, tuple[Any, Any]] = {}
    wanted, moment, mean = set(some.tolist()), None, None
    for t, (moment, mean) in enumerate(state_moments(data, method, last)):
        if t in wanted:
            kept[t] = (moment, mean)
    assert moment is not None
    assert mean is not None
    lam = data.problem.eigenvalues
    loss = 0.5 * float(lam @ np.diag(moment[0][0])) + 0.5 * data.problem.noise_variance
    m = len(mean)
    zero = np.zeros((lam.size, lam.size))
    Q: Any = [[np.diag(0.5 * lam) if i == j == 0 else zero for j in range(m)] for i in range(m)]
    line: Any = [np.zeros_like(mean[0]) for _ in range(m)]
    phi, eps, n = data.eigenfeatures, np.asarray(data.residuals).reshape(data.n_samples, -1), data.n_samples
    parts, fourths = np.zeros(last), np.zeros(last)
    for t in range(last - 1, -1, -1):
        step = steps[t]
        K = sum(step.kick[i] * step.kick[j] * Q[i][j] for i in range(m) for j in range(m))
        kappa = np.einsum("ij,ij->i", phi @ K, phi)
        if t in kept:
            parts[t], fourths[t] = _variance(data, step, (Q, line, K, kappa), kept[t], int(batch[t]))
        rows = step.rows
        half = [[sum(Q[i][k] * rows[k][j][None, :] for k in range(m)) for j in range(m)] for i in range(m)]
        Q = [[sum(rows[k][i][:, None] * half[k][j] for k in range(m)) for j in range(m)] for i in range(m)]
        line = [sum(rows[k][i][:, None] * line[k] for k in range(m)) for i in range(m)]
        if step.variance > 0.0:
            Q[0][0] = Q[0][0] + step.variance * ((phi.T * (kappa / n)) @ phi - np.outer(lam, lam) * K)
            line[0] = line[0] - step.variance * (phi.T @ (kappa[:, None] * eps)) / n
    if last == 0:
        return loss, 0.0, 0.0
    if not np.isfinite(parts[some]).all():
        return loss, np.inf, np.inf
    variance, fourth = (max(float(np.interp(np.arange(last), some, x[some]).sum()), 0.0) for x in (parts, fourths))
    return loss, float(np.sqrt(variance)), fourth / variance / variance if variance > 0.0 else 0.0


def looked_at(last: int) -> Any:
    """Steps before `last`, dense at both ends.

    Parameters
    ----------
    last : int
    """
    if last <= 2 * LOOKED_AT:
        return np.arange(last)
    ends = np.unique(np.geomspace(1.0, last / 2.0, LOOKED_AT).astype(np.int64)) - 1
    return np.unique(np.concatenate((ends, last - 1 - ends)))


def _batch_sizes(method: Any, last: int, n: int) -> Any:
    if hasattr(method, "at"):
        sizes = method.at(np.arange(last))[2] if last else None
        return np.full(last, n) if sizes is None else sizes
    return np.full(last, n if method.batch_size is None else method.batch_size)


def _variance(data: Any, step: Step, form: Any, state: Any, batch: int) -> tuple[float, float]:
    """Of the change of the mean of the last loss by the batch of one step; and the mean square of it by sample."""
    if step.gamma == 0.0:
        return 0.0, 0.0
    (Q, line, K, kappa), (C, mean) = form, state
    phi, eps, m = data.eigenfeatures, np.asarray(data.residuals).reshape(data.n_samples, -1), len(mean)
    kick, rows, share = step.kick, step.rows, 1.0 / eps.shape[1]
    path = phi @ mean[0] - eps
    p = _forms(phi, C[0][0]) - 2.0 * (eps * (phi @ mean[0])).sum(axis=1) + (eps**2).sum(axis=1)
    r2 = (path**2).sum(axis=1)

    def variances(B: list[Any], c: Any) -> tuple[float, float, Any, Any]:
        """Over samples of r s, and its covariance with r^2 kappa, for s = phi . (sum_j B_j x_j + c); both by sample."""
        still: Any = sum(B[j] @ mean[j] for j in range(m))
        moved = still + c
        square = sum(B[i] @ C[i][j] @ B[j].T for i in range(m) for j in range(m)) + moved @ moved.T - still @ still.T
        cross = sum(C[0][j] @ B[j].T for j in range(m)) + mean[0] @ (moved - still).T
        slope = phi @ moved
        q, rs = _forms(phi, square), _forms(phi, cross) - (eps * slope).sum(axis=1)
        fixed = (path * slope).sum(axis=1)
        # E (r s)^2 and E r^3 s of Gaussian variables, summed over alike outputs.
        second = share * (p * q + 2.0 * rs**2 - 2.0 * fixed**2) + (1.0 - share) * rs**2
        third = (1.0 + 2.0 * share) * p * rs - 2.0 * share * r2 * fixed
        mixed = third * kappa
        return second.mean() - rs.mean() ** 2, mixed.mean() - rs.mean() * (p * kappa).mean(), second, mixed

    # G = k^T (Q T x + l), and K g with the mean gradient g, which every sample's gradient is measured from.
    G = [sum(kick[i] * Q[i][k] * rows[k][j][None, :] for i in range(m) for k in range(m)) for j in range(m)]
    offset = sum(kick[i] * line[i] for i in range(m))
    zero = np.zeros_like(K)
    pulled = [K * data.problem.eigenvalues[None, :] if j == 0 else zero for j in range(m)]
    of_G, G_mixed, by_G, by_mixed = variances(G, offset)
    of_g, g_mixed = variances(pulled, 0.0 * offset)[:2]
    both = 0.5 * (variances([x + y for x, y in zip(G, pulled, strict=True)], offset)[0] - of_G - of_g)
    fourth = (1.0 + 2.0 * share) * p**2 - 2.0 * share * r2**2
    quartic = (fourth * kappa**2).mean() - (p * kappa).mean() ** 2 - 4.0 * g_mixed + 4.0 * of_g
    lam = data.problem.eigenvalues
    noise = K @ ((phi.T * (p / phi.shape[0])) @ phi - np.outer(lam, lam) * C[0][0])
    pairs, gamma, a = share * float((noise * noise.T).sum()), step.gamma, step.rate
    each = 4.0 * a**2 * gamma * by_G - 4.0 * a**3 * gamma**2 * by_mixed + a**4 * gamma**3 * fourth * kappa**2
    variance = (
        4.0 * a**2 * gamma * of_G
        - 4.0 * a**3 * gamma**2 * (G_mixed - 2.0 * both)
        + a**4 * (gamma**3 * quartic + 2.0 * gamma**2 * (1.0 - 1.0 / batch) * pairs)
    )
    return float(variance), gamma * float((each**2).mean())


def _forms(phi: Float[Array, "N r"], matrix: Float[Array, "r r"]) -> Float[Array, " N"]:
    return np.einsum("ij,ij->i", phi @ matrix, phi)
