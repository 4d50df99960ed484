"""The sign condition for the best momentum against the true optimum, where it holds and where it does not.

Derived for late times of the noise-dominated phase, to first order in alpha_eff lambda_max, exact at gamma tau2 = 1:
momentum below 0 helps if and only if (sum lambda)(sum s) > ((nu-1)/nu) (sum lambda^2)(sum s/lambda). For power laws
the left side is always the larger one: there the condition says no more than "noise-dominated". It turns where the
signal sits in small eigenvalues. At a finite step it fails where the noise does not dominate yet: in the signal phase
a large alpha_eff is what counts, and positive momentum makes room for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

import genfun as gf
from genfun.answers.best.asymptotic_optimum import asymptotic_optimum
from genfun.answers.best.momentum_map import sign_condition
from validation.claim import Claim, Kind

NUS = (1.2, 1.5, 2.0, 3.0)
EXCESS = (0.05, 0.3, 1.0, 2.0, 4.0)
"""zeta above 2 - 1/nu, where the noise begins to dominate."""
STEPS, PAST = 10_000, 100.0
"""A step, and how many transition steps it must be past for the noise to dominate the optimum."""
FIRST_MODES, MODES, LATE = (1, 2, 3, 5, 10, 30), 20_000, 100_000
SOURCE = "sign condition derived by genfun.symbolic"


def power_laws(fast: bool) -> Iterator[gf.PowerLaw]:
    for nu, excess in product(NUS[:2] if fast else NUS, EXCESS[::2] if fast else EXCESS):
        yield gf.PowerLaw(nu, 2.0 - 1.0 / nu + excess)


def name(problem: gf.PowerLaw, momentum: float) -> str:
    return f"nu={problem.nu:g} kappa={problem.kappa:.2f}: beta={momentum:.2f}"


def count(what: str, wrong: list[str], of: int, more: str = "", kind: Kind = "asymptotic") -> Claim:
    note = "; ".join(filter(None, (f"{len(wrong)} of {of}", *wrong, more)))
    return Claim(what, float(len(wrong)), 0.0, 0.0, kind, SOURCE, note)


def displaced(nu: float, first: int) -> gf.LinearProblem:
    """Signal from mode `first` on only, falling fast from there."""
    k = np.arange(1.0, MODES + 1.0)
    return gf.LinearProblem(k**-nu, np.where(k < first, 0.0, (k / first) ** (-8.0 * nu - 1.0)))


def claims(fast: bool = False) -> Iterator[Claim]:
    laws = list(power_laws(fast))
    asymptotic, early, late, past = [], [], [], 0
    for problem in laws:
        asked = sign_condition(problem, problem.nu) > 0.0
        best = asymptotic_optimum(problem, 1).method
        if (best.momentum < 0.0) != asked:
            asymptotic.append(name(problem, best.momentum))
        now = gf.optimize(problem, 1, steps=STEPS).method
        transition = gf.phase(problem, now).transition_step
        noisy = PAST * transition < STEPS
        past += noisy
        if (now.momentum < 0.0) != asked:
            (late if noisy else early).append(f"{name(problem, now.momentum)}, transition {transition:.2g}")
    yield count("wrong signs of the best momentum for late times, power laws, b=1", asymptotic, len(laws), kind="exact")
    more = f"of {len(laws) - past} power laws not past it, of which it does not speak, it is wrong for {len(early)}: "
    yield count(f"wrong signs at T={STEPS}, past {PAST:g} transition steps", late, past, more + "; ".join(early))
    moved, asked_positive, tried = [], 0, 0
    for nu, first in product(NUS[1:3] if fast else NUS[1:], FIRST_MODES[:2] if fast else FIRST_MODES):
        problem = displaced(nu, first)
        asked = sign_condition(problem, nu) > 0.0
        beta = gf.optimize(problem, 1, steps=LATE).method.momentum
        tried, asked_positive = tried + 1, asked_positive + (not asked)
        if (beta < 0.0) != asked:
            moved.append(f"nu={nu:g}, signal from mode {first}: beta={beta:.2f}")
    more = f"{asked_positive} of them with positive momentum"
    yield count(f"wrong signs at T={LATE}, signal from mode 1, 2, 3, 5, 10 or 30 on", moved, tried, more)
