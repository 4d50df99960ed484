"""Constants of the terms of a loss at late times: signal, noise of batches, and the floor of label noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from genfun.answers.exponents.fit import PowerLawFit
from genfun.engine.generating_function import GeneratingFunction

LARGEST_LOG = 700.0
"""Of what a double holds."""


def exp_or_inf(power: float) -> float:
    """exp, inf beyond the range of doubles.

    Parameters
    ----------
    power : float
    """
    return math.inf if power > LARGEST_LOG else math.exp(power)


def signal_constant(law: PowerLawFit, rate: float, gain: float) -> float:
    """C_s.

    Parameters
    ----------
    law : PowerLawFit
    rate : float
        alpha_eff.
    gain : float
        U~(1).
    """
    logs = math.lgamma(law.zeta + 1.0) - law.zeta * math.log(2.0 * rate)
    return exp_or_inf(math.log(0.5 * law.signal_scale / (1.0 - gain)) + logs)


def _tail(G: GeneratingFunction, law: PowerLawFit, rate: float) -> float:
    """C_U/tau1: the kernel of noise falls as tau1 times this times t^(1/nu - 2)."""
    power = 1.0 / law.nu
    logs = power * math.log(law.eigenvalue_scale) + (power - 2.0) * math.log(2.0 * rate) + 2.0 * math.log(rate)
    return exp_or_inf(math.log(G.gamma / law.nu) + logs + math.lgamma(2.0 - power))


def floor_of_label_noise(
    G: GeneratingFunction, law: PowerLawFit, rate: float, gain: float, decaying: tuple[float, float]
) -> tuple[float, float, float]:
    """L_f, its constant, and the step from which it holds the loss.

    Parameters
    ----------
    G : GeneratingFunction
    law : PowerLawFit
    rate : float
        alpha_eff.
    gain : float
        U~(1).
    decaying : (float, float)
        C_s and C_n.
    """
    half, tau1 = 0.5 * G.problem.noise_variance, G.noise_model.tau1
    # U~/tau1 does not depend on tau1.
    unit = replace(G.noise_model, tau1=max(1.0, G.noise_model.tau2))
    kernel = gain / tau1 if tau1 > 0.0 else GeneratingFunction(G.problem, G.method, unit).noise(1.0) / unit.tau1
    level = half * float(kernel) / (1.0 - gain)
    if level == 0.0:
        return 0.0, 0.0, math.inf
    power = 1.0 / law.nu
    filled = half * _tail(G, law, rate) / ((1.0 - power) * (1.0 - gain) ** 2) if law.nu > 1.0 else math.nan
    terms = zip(decaying, (law.zeta, 2.0 - power), strict=True)
    reached = [exp_or_inf(math.log(c / level) / e) for c, e in terms if c > 0.0 and e > 0.0]
    return level, filled, max(reached, default=math.inf)


def noise_term(G: GeneratingFunction, law: PowerLawFit, rate: float, gain: float, infinite: bool) -> float:
    """C_n of the noise of batches; nan where V~(1) is infinite.

    Parameters
    ----------
    G : GeneratingFunction
    law : PowerLawFit
    rate : float
        alpha_eff.
    gain : float
        U~(1).
    infinite : bool
        Whether the spectrum has no end.
    """
    if G.gamma == 0.0 or G.noise_model.tau1 == 0.0:
        return 0.0
    if law.nu <= 0.5 or (infinite and law.zeta <= 1.0):
        return math.nan
    start = float(G.sums(np.zeros(1))[1][0])
    return 0.5 * start * G.noise_model.tau1 * _tail(G, law, rate) / (1.0 - gain) ** 2
