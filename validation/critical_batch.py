"""Steps and samples against batch size: the closed form, b* by brute force, and a quadratic beside its bound."""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.answers.batch.bounds import SmoothConstants, constant_rate_bound
from genfun.answers.batch.critical_batch import critical_batch_size
from validation.claim import Claim

EIGENVALUES = np.linspace(0.1, 1.0, 50)
VARIANCE, ACCURACY = 50.0, 0.05
START = "w0 - w* = (1, ..., 1)/sqrt(50) in the eigenbasis"
QUOTED = ((0.1, 105, 40), (0.5, 667, 215), (1.0, 2000, 498))


def quadratic_batch(rate: float, steps: int = 20_000) -> int:
    r"""The batch size of fewest samples to E|grad|^2 <= ACCURACY at the last iterate, for additive noise.

    Not the noise of linear models: every step adds isotropic gradient noise of total variance VARIANCE/b whatever the
    loss is, so that E|grad_K|^2 = D_K + S_K/b, exactly, with D_K = sum lambda^2 (1-a)^(2K) w0^2 and
    S_K = (VARIANCE/d) sum lambda^2 rate^2 (1 - (1-a)^(2K))/(1 - (1-a)^2), a = rate * lambda. For every K the smallest
    batch size is S_K/(ACCURACY - D_K), rounded up; the fewest samples over K are those over all (K, b).
    """
    k = np.arange(1, steps + 1)
    lam, square = EIGENVALUES[:, None], (1.0 - rate * EIGENVALUES[:, None]) ** 2
    power = square**k
    # 1 - (1-a)^2 = a (2 - a): no division by 0 for a in (0, 2).
    a = rate * lam
    bias = (lam**2 * power / EIGENVALUES.size).sum(axis=0)
    noise = (VARIANCE / EIGENVALUES.size * lam * rate * (1.0 - power) / (2.0 - a)).sum(axis=0)
    room = ACCURACY - bias
    batch = np.where(room > 0.0, np.ceil(noise / np.where(room > 0.0, room, 1.0)), np.inf)
    return int(batch[np.argmin(batch * k)])


def quadratic(fast: bool) -> list[Claim]:
    result = []
    constants = SmoothConstants(1.0, VARIANCE, 0.5 * float(EIGENVALUES.mean()))
    for rate, bound, exact in QUOTED:
        star = constant_rate_bound(constants, rate, ACCURACY).critical_batch_size
        source = "arXiv 2402.15344"
        name = f"quadratic with additive noise, rate {rate:g}"
        result.append(Claim(f"{name}: b* of the bound", star, bound, 0.5, "exact", source))
        known = f"the start of the quoted number is not stated, and whole steps move b*; here {START}"
        note = f"exact, last iterate; the bound has {star:.0f}"
        found = quadratic_batch(rate)
        result.append(
            Claim(
                f"{name}: b* exact",
                found,
                exact,
                1.0,
                "exact",
                "derived",
                note,
                "" if abs(found - exact) <= 1 else known,
            )
        )
    return result


def closed_form() -> list[Claim]:
    result = []
    for nu, zeta, sigma2 in ((1.5, 0.5, 0.0), (2.0, 1.0, 0.0), (1.5, 0.25, 0.0), (1.5, 0.5, 4e-4)):
        c = critical_batch_size(gf.PowerLaw(nu, zeta, noise_variance=sigma2), gf.SGD(0.5), loss=1e-3)
        if c.closed_form is None:
            continue
        reached = np.isfinite(c.steps) & (c.batch_sizes >= 2)
        ratio = c.steps[reached] / c.closed_form.steps(c.batch_sizes[reached])
        worst = float(ratio[np.argmax(np.abs(np.log(ratio)))])
        name = f"K(b)/K_inf (1 - u1/b)^(1/zeta), worst of b >= 2; nu={nu}, zeta={zeta}, sigma^2={sigma2:g}"
        note = f"b* = {c.batch_size}, closed form {c.closed_form.batch_size:.2f}"
        known = (
            "" if zeta >= 0.5 else "the exponent 1/zeta = 4 multiplies what gamma tau2 in U~, which is neglected, does"
        )
        result.append(Claim(name, worst, 1.0, 0.1, "asymptotic", "derived from arXiv 2206.11124", note, known))
    return result


def brute_force(fast: bool) -> list[Claim]:
    result = []
    for beta in (0.0,) if fast else (0.0, 0.9):
        problem = gf.PowerLaw(1.5, 0.25, n_modes=500, n_samples=1000, noise_variance=0.02)
        rate, loss = 0.6 * (1.0 - beta), 0.12
        c = critical_batch_size(problem, gf.SGD(rate, beta), loss=loss)
        sizes = range(1, 151)
        samples = [b * gf.steps_to_loss(problem, gf.SGD(rate, beta, b), loss) for b in sizes]
        best = sizes[int(np.argmin(samples))]
        note = f"proven: {c.proven}; 10 % more samples: {c.interval}; {len(c.batch_sizes)} batch sizes tried"
        result.append(
            Claim(f"b* by branch and bound, beta={beta:g}", c.batch_size or 0, best, 0.0, "exact", "brute force", note)
        )
    return result


def claims(fast: bool = False) -> list[Claim]:
    return closed_form() + brute_force(fast) + quadratic(fast)
