"""The LMS filter of signal processing: Feuer and Weinstein's stability condition and misadjustment, and runs.

LMS is SGD with single samples, w' = w + mu e x, on Gaussian regressors x, whose noise is tau1 = 1, tau2 = -1. Runs of
a tapped delay line, whose rows come in the order of time, show where the theory of independent rows ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

import genfun as gf
from validation.claim import Claim

GAUSSIAN = gf.SpectrallyExpressible(1.0, -1.0)
SOURCE = "Feuer and Weinstein, IEEE Trans. ASSP 33 (1985) 222, eq. (25) and (31), in mu of w' = w + mu e x"
SIGMA2 = 0.04
SPECTRA = {"white, 10 taps": np.ones(10), "geometric, 8 taps": 0.6 ** np.arange(8.0)}


def gain(rate: float, lam: np.ndarray) -> float:
    """The textbook's sum: mean-square stable below 1."""
    return float((rate * lam / (2.0 * (1.0 - rate * lam))).sum())


def problem(lam: np.ndarray) -> gf.LinearProblem:
    """Unit weights to be found, observation noise SIGMA2."""
    return gf.LinearProblem(lam, lam, noise_variance=SIGMA2)


def filtered(
    rows: np.ndarray, rate: float, skip: int, rng: np.random.Generator, cholesky: np.ndarray
) -> tuple[float, float]:
    """Mean over runs (the first axis) and the steps after `skip` of the excess error over SIGMA2, and its error.

    Runs start at the optimum, for what is asked is the end.
    """
    runs, steps, taps = rows.shape
    away, total = np.zeros((runs, taps)), np.zeros(runs)
    noise = np.sqrt(SIGMA2) * rng.standard_normal((runs, steps))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps):
            if t >= skip:
                total += ((away @ cholesky) ** 2).sum(axis=1)
            error = noise[:, t] - np.einsum("rk,rk->r", away, rows[:, t])
            away = away + rate * error[:, None] * rows[:, t]
        each = total / ((steps - skip) * SIGMA2)
        return float(each.mean()), float(each.std() / np.sqrt(runs))


def delay_line(runs: int, steps: int, taps: int, memory: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of an autoregressive signal of unit variance, one step apart."""
    x = np.empty((runs, steps + taps))
    x[:, 0] = rng.standard_normal(runs)
    for t in range(1, x.shape[1]):
        x[:, t] = memory * x[:, t - 1] + np.sqrt(1.0 - memory**2) * rng.standard_normal(runs)
    return np.lib.stride_tricks.sliding_window_view(x, taps, axis=1)[:, :steps]


def claims(fast: bool = False) -> list[Claim]:
    found = []
    edge = gf.max_learning_rate(problem(np.ones(10)), 0.0, 1, GAUSSIAN)
    found.append(Claim("LMS, 10 white taps: largest mu is 2/(taps + 2)", edge, 2.0 / 12.0, 1e-12, "exact", SOURCE))
    rng = np.random.default_rng(0)
    for name, lam in SPECTRA.items():
        solved: Any = brentq(lambda mu, lam=lam: gain(mu, lam) - 1.0, 1e-9, (1.0 - 1e-9) / lam.max(), xtol=1e-15)
        root = float(solved)
        edge = gf.max_learning_rate(problem(lam), 0.0, 1, GAUSSIAN)
        found.append(Claim(f"LMS, {name}: largest mu", edge, root, 1e-9, "exact", SOURCE))
        for share in (0.05, 0.3, 0.7):
            rate = share * root
            floor = gf.stability(problem(lam), gf.SGD(rate, 0.0, 1), GAUSSIAN).floor
            sum_ = gain(rate, lam)
            misadjustment = sum_ / (1.0 - sum_)
            label = f"LMS, {name}: misadjustment at {share:g} of the largest mu"
            found.append(Claim(label, 2.0 * floor / SIGMA2, misadjustment, 1e-10, "exact", SOURCE))
        rate, steps = 0.3 * root, 800 if fast else 3000
        rows = rng.standard_normal((200, steps, lam.size)) * np.sqrt(lam)
        run, error = filtered(rows, rate, steps // 2, rng, np.diag(np.sqrt(lam)))
        sum_ = gain(rate, lam)
        label = f"LMS, {name}: misadjustment of 200 runs of independent rows at 0.3"
        found.append(Claim(label, run, sum_ / (1.0 - sum_), 2.5 * error, "exact", "200 runs"))
    found += _in_time(rng, fast)
    return found


def _in_time(rng: np.random.Generator, fast: bool) -> list[Claim]:
    taps, memory = 6, 0.9
    covariance = memory ** np.abs(np.subtract.outer(np.arange(taps), np.arange(taps)))
    lam = np.linalg.eigvalsh(covariance)
    edge = gf.max_learning_rate(problem(lam), 0.0, 1, GAUSSIAN)
    steps, found = 3000 if fast else 12000, []
    for share, tolerance in ((0.02, 0.1), (0.5, 0.1)):
        rate = share * edge
        predicted = 2.0 * gf.stability(problem(lam), gf.SGD(rate, 0.0, 1), GAUSSIAN).floor / SIGMA2
        rows = delay_line(200, steps, taps, memory, rng)
        run, error = filtered(rows, rate, steps // 2, rng, np.linalg.cholesky(covariance))
        run = run if np.isfinite(run) and run < 1e6 else 1e6
        known = "" if share < 0.1 else "rows in the order of time are not drawn anew: the theory is that of small mu"
        label = f"LMS, delay line of 6 taps, AR(1) 0.9: misadjustment of 200 runs at {share:g} of the largest mu"
        note = f"runs/theory {run / predicted:.3f}"
        found.append(
            Claim(
                label,
                run,
                predicted,
                tolerance * predicted + 2.5 * error * (share < 0.1),
                "approximate",
                "200 runs",
                note,
                known,
            )
        )
    return found
