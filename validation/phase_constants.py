"""Constants, transitions and divergence steps of the phases against the exact curve."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

import genfun as gf
from validation.claim import Claim

STEP = 10**8
EXPONENTS = ((1.5, 0.5), (1.5, 2.0), (2.5, 1.4), (2.5, 1.8), (3.0, 1.0))
SOURCE = "arXiv 2206.11124, section 5 (noise constant: twice that of the authors' notebooks)"
# (nu, learning rate, batch size): nu below 1 diverges eventually.
DIVERGING = ((0.6, 0.1, 100), (0.7, 0.1, 100), (0.8, 0.1, 10), (0.9, 0.25, 1))


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
    return Claim("transition step", step, 8069.0, 0.02 * 8069.0, "exact", "arXiv 2206.11124, figure and code", note)


def claims(fast: bool = False) -> Iterator[Claim]:
    for (nu, zeta), beta, tau2 in product(EXPONENTS, (-0.5, 0.0, 0.5), (1.0, -1.0)):
        if not fast or (beta, tau2) == (0.0, 1.0):
            yield constant(nu, zeta, beta, tau2)
    yield transition()
    for nu, rate, batch in DIVERGING[: 1 if fast else None]:
        problem, setting = gf.PowerLaw(nu, 0.5), gf.SGD(rate, 0.0, batch)
        step = gf.phase(problem, setting).divergence_step
        t = np.unique(np.geomspace(1.0, 1e3 * step, 900).astype(np.int64))
        least = float(t[gf.predict(problem, setting, t).log_loss.argmin()])
        name = f"log2(divergence step / minimum of the curve), nu={nu:g}"
        yield Claim(name, np.log2(step / least), 0.0, 1.0, "asymptotic", "within a factor 2", f"step {step:.4g}")
    short, setting = gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.4, 0.0, 100)
    f = gf.phase(short, setting)
    flagged = any("will not be seen" in note for note in f.notes)
    at = int(f.transition_step)
    ratio = float(gf.predict(short, setting, at).loss) / (f.signal_constant * at**-f.signal_exponent)
    note = f"100 modes end at step {f.end_step:.0f}; at the transition the curve is {ratio:.1e} of either term"
    yield Claim("a transition beyond the end of the spectrum is flagged", float(flagged), 1.0, 0.0, "exact", "-", note)
