"""Critical learning rates of the power law nu = 1.5, 1000 modes, gamma = 1, to the digits given."""

from __future__ import annotations

from scipy.optimize import brentq

import genfun as gf
from validation.claim import Claim


def claims(fast: bool = False) -> list[Claim]:
    problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=1000)
    lam = problem.eigenvalues
    # beta -> 1: alpha_eff < 2/(gamma lambda_crit), sum_k lambda_k/(lambda_crit + tau2 lambda_k) = 1/tau1.
    critical = float(brentq(lambda x: float((lam / (x + lam)).sum()) - 1.0, 1.0, 10.0, xtol=1e-14))
    beta = 1.0 - 1e-7
    effective = gf.max_learning_rate(problem, beta, 1) / (1.0 - beta)
    return [
        Claim(
            f"critical rate at beta={beta0:g}",
            gf.max_learning_rate(problem, beta0, 1),
            value,
            half_digit,
            "exact",
            "arXiv 2206.11124, section 4; the condition U~(1) = 1",
        )
        for beta0, value, half_digit in ((0.0, 0.785, 5e-4), (0.9, 0.0924, 5e-5))
    ] + [
        Claim("lambda_crit", critical, 2.1477, 5e-5, "exact", "root of sum lambda/(lambda_crit + lambda) = 1"),
        # The bracket (1-beta)/(1+beta) - 1 differs from its limit -1 by 5e-8.
        Claim("critical effective rate as beta -> 1", effective, 2.0 / critical, 1e-6, "asymptotic", "2/lambda_crit"),
    ]
