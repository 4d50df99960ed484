"""Schedules against a plain loop over all modes, and the exponent of Jacobi-scheduled heavy ball."""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.schedules import Cosine, ExponentialGrowth, Polynomial, ScheduledSGD, Warmup, jacobi_heavy_ball
from validation.claim import Claim

MODES = 10_000


def plain_loop(problem: gf.LinearProblem, method: ScheduledSGD, steps: int) -> float:
    """The second moments of all modes step by step, tau1 = tau2 = 1, streaming.

    v' = beta v - e g, w' = w + r v': e = alpha, r = 1 by Keras' convention; e = 1, r = alpha by torch's.
    """
    lam = problem.eigenvalues
    c = problem.signal / lam
    j, p = np.zeros_like(c), np.zeros_like(c)
    rates, momenta, sizes = method.at(np.arange(steps))
    for t in range(steps):
        gamma = 0.0 if sizes is None else 1.0 / sizes[t]
        e, r = (rates[t], 1.0) if method.convention == "keras" else (1.0, rates[t])
        beta = momenta[t]
        p = beta**2 * p - 2 * beta * e * lam * j + e**2 * lam**2 * c + gamma * e**2 * (lam * (lam @ c) - lam**2 * c)
        j = beta * j - e * lam * c  # E[w v'], v' the new velocity
        c, j = c + 2 * r * j + r**2 * p, j + r * p
    return 0.5 * float(lam @ c)


def claims(fast: bool = False) -> list[Claim]:
    steps = 1000 if fast else 5000
    spectrum = gf.PowerLaw(1.5, 0.5, n_modes=MODES)
    problem = gf.LinearProblem(spectrum.eigenvalues, spectrum.signal)
    result = []
    for name, method in (
        ("warm-up and cosine, beta=0.9", ScheduledSGD(Warmup(100, Cosine(0.3, steps)), 0.9, 10)),
        (
            "the same with Keras' momentum",
            ScheduledSGD(Warmup(100, Cosine(0.3, steps)), 0.9, 10, convention="keras"),
        ),
        ("polynomial rate, growing batch", ScheduledSGD(Polynomial(0.5, 0.5, 20), 0.0, ExponentialGrowth(1, 2.0, 300))),
        ("negative momentum", ScheduledSGD(Cosine(0.5, steps), -0.7, 4)),
    ):
        ratio = float(gf.predict(problem, method, steps).loss) / plain_loop(problem, method, steps)
        claim = f"{name}: predicted over plain loop at step {steps}, {MODES} modes"
        result.append(Claim(claim, ratio, 1.0, 1e-10, "exact", "arXiv 2206.11124, eq. (8)"))
    at = np.array([2000, 3000])
    for zeta in (0.5, 1.0):
        loss = gf.predict(gf.PowerLaw(1.5, zeta), jacobi_heavy_ball(zeta, 1.0), at).loss
        slope = float((np.diff(np.log(loss)) / np.diff(np.log(at))).item())
        name = f"Jacobi heavy ball, full batch, zeta={zeta}: exponent"
        result.append(Claim(name, slope, -2.0 * zeta, 0.01, "asymptotic", "arXiv 2202.00992", "steps 2000 to 3000"))
    return result
