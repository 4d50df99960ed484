"""Late-time exponents of both phases, from the exact curve of the infinite power law."""

from __future__ import annotations

import numpy as np

import genfun as gf
from validation.claim import Claim

STEP = 10**8


def local_slope(problem: gf.PowerLaw, setting: gf.SGD) -> float:
    """d log L/d log t at STEP, by a central difference of 1 % (curvature error below 1e-5)."""
    steps = np.array([99 * STEP // 100, 101 * STEP // 100])
    return float((np.diff(gf.predict(problem, setting, steps).log_loss) / np.diff(np.log(steps))).item())


def claims(fast: bool = False) -> list[Claim]:
    result = []
    for nu, zeta, phase, exponent, tolerance, why in (
        # Relative corrections: the noise term over the signal term, t^(1/nu-2+zeta) = t^-0.83, and t^(1/nu-1) = t^-0.33
        # or 2e-3 at t = 1e8.
        (1.5, 0.5, "signal-dominated: -zeta", -0.5, 1e-4, "correction t^(1/nu - 2 + zeta)"),
        (1.5, 2.0, "noise-dominated: 1/nu - 2", 1.0 / 1.5 - 2.0, 2e-3, "correction t^(1/nu - 1)"),
    ):
        for beta in (0.0,) if fast else (0.0, 0.5, -0.5):
            slope = local_slope(gf.PowerLaw(nu, zeta), gf.SGD(0.3, beta, 10))
            name = f"{phase}; nu={nu}, zeta={zeta}, beta={beta:g}"
            result.append(
                Claim(name, slope, exponent, tolerance, "asymptotic", "arXiv 2206.11124, section 5", f"t=1e8; {why}")
            )
    return result
