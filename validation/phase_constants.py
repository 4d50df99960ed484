"""Constants, transitions and divergence steps of the phases against the exact curve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

import genfun as gf
from validation.claim import Claim

STEP = 10**8
EXPONENTS = ((1.5, 0.5), (1.5, 2.0), (2.5, 1.4), (2.5, 1.8), (3.0, 1.0))
SOURCE = "arXiv 2206.11124, section 5 (noise constant: twice that of the authors' notebooks)"
# (nu, learning rate, batch size, what small gamma grants the rate): nu below 1 diverges eventually.
DIVERGING = ((0.6, 0.1, 100, 0.01), (0.7, 0.1, 100, 0.01), (0.8, 0.1, 10, 0.1))


def constant(nu: float, zeta: float, beta: float, tau2: float) -> Claim:
    """Exact curve over constant * t^-exponent of the dominant phase; of both where neither dominates yet."""
    problem, noise = gf.PowerLaw(nu, zeta), gf.SpectrallyExpressible(1.0, tau2)
    setting = gf.SGD(0.3 * (1.0 - beta**2), beta, 4)
    f = gf.phase(problem, setting, noise)
    loss = float(gf.predict(problem, setting, STEP, noise).loss)
    dominant = loss / (f.constant * STEP**-f.exponent)
    both = f.signal_constant * STEP**-f.signal_exponent + np.nan_to_num(f.noise_constant) * STEP**-f.noise_exponent
    early = f.name == "noise-dominated" and f.transition_step > 1e-3 * STEP
    what, ratio = ("both constants", loss / both) if early else ("constant", dominant)
    note = f"{f.name}; curve / (signal + noise term) = {loss / both:.4f}"
    if early:
        note = f"{f.name} only after step {f.transition_step:.2g}: the noise constant alone gives {dominant:.3g}"
    name = f"curve / {what} at t=1e8: nu={nu:g}, zeta={zeta:g}, beta={beta:g}, tau2={tau2:g}"
    return Claim(name, ratio, 1.0, 0.02, "asymptotic", SOURCE, note)


def transition() -> Claim:
    k = np.arange(1.0, 1e5 + 1.0)
    problem, setting = gf.LinearProblem(k**-1.5, k**-4.0), gf.SGD(0.4, 0.0, 100)
    t = np.unique(np.geomspace(2_000, 40_000, 200).astype(int))
    # Halfway from zeta = 2 to 2 - 1/nu = 4/3.
    midpoint = float(np.interp(-0.5 * (2.0 + 4.0 / 3.0), -gf.local_exponent(problem, setting, t), t))
    step = gf.phase(problem, setting).transition_step
    note = f"the midpoint of the local exponent lies at {midpoint:.0f}"
    return Claim("transition step", step, 8069.0, 1.0, "exact", "arXiv 2206.11124, figure and code", note)


def divergence(nu: float, rate: float, batch: int, granted: float) -> Iterator[Claim]:
    """Growth against its limit for small gamma; the curve falls before the divergence step and grows after it."""
    problem, setting = gf.PowerLaw(nu, 0.5), gf.SGD(rate, 0.0, batch)
    kernel = rate**2 / batch / nu * math.gamma(2.0 - 1.0 / nu) * (2.0 * rate) ** (1.0 / nu - 2.0)
    limit = (kernel * math.gamma(1.0 / nu - 1.0)) ** (1.0 / (1.0 / nu - 1.0))
    growth = gf.stability(problem, setting).growth_rate
    source = "z U~(z) = 1 for small gamma, arXiv 2206.11124"
    yield Claim(f"growth rate / its limit, nu={nu:g}", growth / limit, 1.0, granted, "asymptotic", source)
    step = gf.phase(problem, setting).divergence_step
    before, after = gf.local_exponent(problem, setting, [round(step / 1.5), round(1.5 * step)])
    note = f"local exponent {before:.3g} at 2/3 of step {step:.4g}, {after:.3g} at 3/2 of it"
    name = f"the loss falls before the divergence step and grows after it, nu={nu:g}"
    yield Claim(name, float(before > 0.0 > after), 1.0, 0.0, "exact", "local exponent", note)


def early_divergence() -> Claim:
    problem, setting = gf.PowerLaw(0.9, 0.5), gf.SGD(0.25, 0.0, 1)
    step = gf.phase(problem, setting).divergence_step
    least = float(gf.predict(problem, setting, range(1, 200), route="recursion").log_loss.argmin()) + 1.0
    return Claim("divergence step, nu=0.9", step, least, 0.0, "exact", "least loss of the recursion, every step")


def border() -> Iterator[Claim]:
    """zeta = 2 - 1/nu: L t^zeta tends to the sum of both constants, far from either where the rate is large."""
    for nu, late, granted in ((2.0, 10**12, 1e-4), (1.2, 10**15, 0.03)):
        problem = gf.PowerLaw(nu, 2.0 - 1.0 / nu)
        setting = gf.SGD(0.6 * gf.max_learning_rate(problem, 0.0, 1), 0.0, 1)
        f = gf.phase(problem, setting)
        limit = float(gf.predict(problem, setting, late).loss) * late**f.exponent
        note = f"signal constant {f.signal_constant:.4g}, noise constant {f.noise_constant:.4g}"
        name = f"on the border, nu={nu:g}: L t^zeta at {late:.0e} / (C_s + C_n)"
        yield Claim(name, limit / f.constant, 1.0, granted, "asymptotic", "derived here", note)


def floor() -> Iterator[Claim]:
    """What is missing of the floor of label noise, after the loss without label noise is taken off."""
    for nu, zeta in ((1.5, 0.5), (3.0, 1.0)):
        problem, setting, t = gf.PowerLaw(nu, zeta, noise_variance=0.2), gf.SGD(0.2, 0.0, 4), 10**9
        f = gf.phase(problem, setting)
        alone = float(gf.predict(problem, setting, t).loss - gf.predict(gf.PowerLaw(nu, zeta), setting, t).loss)
        missing = (f.floor + 0.1 - alone) / (f.floor_constant * t ** -(1.0 - 1.0 / nu))
        name = f"missing of the floor of label noise at 1e9 / its term, nu={nu:g}"
        yield Claim(name, missing, 1.0, 0.01, "asymptotic", "derived here", f"floor {f.floor:.4g}")


def claims(fast: bool = False) -> Iterator[Claim]:
    for (nu, zeta), beta, tau2 in product(EXPONENTS, (-0.5, 0.0, 0.5), (1.0, -1.0)):
        if not fast or (beta, tau2) == (0.0, 1.0):
            yield constant(nu, zeta, beta, tau2)
    yield transition()
    for nu, rate, batch, granted in DIVERGING[: 1 if fast else None]:
        yield from divergence(nu, rate, batch, granted)
    yield early_divergence()
    yield from border()
    yield from floor()
    short, setting = gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.4, 0.0, 100)
    f = gf.phase(short, setting)
    flagged = any("will not be seen" in note for note in f.notes)
    at = int(f.transition_step)
    ratio = float(gf.predict(short, setting, at).loss) / (f.signal_constant * at**-f.signal_exponent)
    note = f"100 modes end at step {f.end_step:.0f}; at the transition the curve is {ratio:.1e} of either term"
    yield Claim("a transition beyond the end of the spectrum is flagged", float(flagged), 1.0, 0.0, "exact", "-", note)
