"""The best learning rates printed by the authors of arXiv 2206.11124, and the noise gain there."""

from __future__ import annotations

import numpy as np

import genfun as gf
from validation.claim import Claim

SOURCE = "arXiv 2206.11124, section 6 and its code (nu, kappa, T = N = 10^4, gamma = 1)"
# (nu, kappa, printed best rate)
PUBLISHED = ((1.5, 4.0, 0.113), (2.0, 8.0, 0.251))
SPACING = 0.04
"""Their rates lie on a grid a few per cent apart: so far may the printed best lie from the true one."""
N = 10_000


def claims(fast: bool = False) -> list[Claim]:
    result = []
    k = np.arange(1.0, N + 1.0)
    for nu, kappa, printed in PUBLISHED[: 1 if fast else None]:
        problem = gf.LinearProblem(k**-nu, k ** -(kappa + 1.0))
        best = gf.optimize(problem, 1, steps=N, momentum=0.0)
        name = f"nu={nu:g}, kappa={kappa:g}"

        def loss(rate: float, problem: gf.LinearProblem = problem) -> float:
            return float(gf.predict(problem, gf.SGD(rate, 0.0, 1), N).loss)

        note = f"the printed rate costs {loss(printed) / best.loss - 1.0:.2%} more loss"
        rate = best.method.learning_rate
        result.append(Claim(f"best rate, {name}", rate, printed, SPACING * printed, "exact", SOURCE, note))
        gain, derived = gf.stability(problem, best.method).noise_gain, (nu - 1.0) / (3.0 * nu - 1.0)
        late = "(nu-1)/(3nu-1), exact for late times; corrections t^(1/nu-1)"
        result.append(
            Claim(f"U~(1) at the best rate, {name}", gain, derived, N ** (1.0 / nu - 1.0) * derived, "asymptotic", late)
        )
    return result
