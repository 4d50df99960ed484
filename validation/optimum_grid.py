"""The best learning rate and momentum against a 40 x 40 grid of settings, every one by the direct recursion."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import genfun as gf
from genfun.engine.recursion import Recursion
from validation.claim import Claim

CELLS = 40
TOLERANCE = 1e-3
TIME = 0.5
"""Seconds of one core for one optimum."""


class Case(NamedTuple):
    name: str
    problem: gf.LinearProblem
    batch: int | None
    steps: int
    noise: gf.SpectrallyExpressible


def law(nu: float, zeta: float, n: int, samples: int | None = None, sigma2: float = 0.0) -> gf.LinearProblem:
    p = gf.PowerLaw(nu, zeta, n_modes=n)
    return gf.LinearProblem(p.eigenvalues, p.signal, n_samples=samples, noise_variance=sigma2)


def random_spectrum(seed: int, n: int, sigma2: float = 0.0) -> gf.LinearProblem:
    rng = np.random.default_rng(seed)
    lam = 10.0 ** rng.uniform(-4.0, 0.0, n)
    return gf.LinearProblem(lam, lam * 10.0 ** rng.uniform(-3.0, 0.0, n), n_samples=4 * n, noise_variance=sigma2)


def cases(fast: bool) -> Iterator[Case]:
    one, minus, zero = (gf.SpectrallyExpressible(1.0, tau2) for tau2 in (1.0, -1.0, 0.0))
    yield Case("power law, noise phase", law(1.5, 2.7, 100), 1, 1000, one)
    yield Case("random spectrum", random_spectrum(0, 60), 10, 100, minus)
    yield Case("power law, full batch", law(1.5, 0.5, 60, 60), None, 100, one)
    if fast:
        return
    for nu, zeta, n, samples, b, t, noise in (
        (1.5, 0.5, 1000, 1000, 10, 1000, one),
        (1.5, 0.5, 100, 100, 1, 10_000, one),
        (1.5, 2.0, 100, None, 10, 1000, minus),
        (2.0, 4.0, 60, None, 1, 10_000, one),
        (2.0, 0.8, 100, 100, 100, 100, one),
        (2.5, 1.4, 60, 200, 10, 10_000, zero),
        (1.2, 0.3, 200, 200, 100, 1000, one),
        (1.5, 2.7, 200, 200, 100, 1000, one),
        (0.8, 0.5, 100, 100, 10, 1000, one),
        (1.5, 0.5, 100, 100, None, 1000, one),
        (1.5, 2.7, 200, 200, None, 100, one),
        (1.2, 1.0, 60, 60, None, 1000, one),
    ):
        size = "full" if b is None else b
        name = f"power law nu={nu:g} zeta={zeta:g} N={n}, b={size}, T={t}, tau2={noise.tau2:g}"
        yield Case(name, law(nu, zeta, n, samples), b, t, noise)
    for sigma2, n, b, t in ((1e-3, 100, 1, 1000), (1e-2, 100, 10, 1000), (0.1, 100, 100, 1000), (1e-6, 60, 10, 10_000)):
        name = f"power law with label noise {sigma2:g}, N={n}, b={b}, T={t}"
        yield Case(name, law(1.5, 0.7, n, 2 * n, sigma2), b, t, one)
    for model, n, b, t in (
        ("ntk", 1000, 10, 100),
        ("ntk", 300, 1, 1000),
        ("ntk", 300, 100, 1000),
        ("ntk", 200, None, 1000),
        ("pixels", 300, 10, 1000),
        ("pixels", 1000, 100, 100),
        ("pixels", 200, None, 100),
    ):
        data = gf.data.mnist(n, seed=0, model=model)
        size = "full" if b is None else b
        yield Case(f"MNIST {model} n={n}, b={size}, T={t}", data.problem, b, t, one)
    for seed, n, b, t, sigma2 in (
        (1, 60, 1, 1000, 0.0),
        (2, 60, 100, 10_000, 0.0),
        (3, 200, 10, 1000, 1e-3),
        (4, 60, None, 1000, 0.0),
    ):
        name = f"random spectrum {seed}, N={n}, b={'full' if b is None else b}, T={t}, sigma^2={sigma2:g}"
        yield Case(name, random_spectrum(seed, n, sigma2), b, t, one)


def log_loss(case: Case, method: gf.SGD) -> float:
    return float(gf.predict(case.problem, method, case.steps, case.noise).log_loss)


def best_of_grid(case: Case) -> float:
    """40 momenta with |beta| < 0.99, and for each 40 learning rates from 0.1 % to 99.9 % of the largest stable one."""
    betas = np.tanh(np.linspace(-2.6, 2.6, CELLS))
    shares = 1.0 / (1.0 + np.exp(-np.linspace(-7.0, 7.0, CELLS)))
    methods = [
        gf.SGD(share * top, beta, case.batch)
        for beta in betas
        for top in [gf.max_learning_rate(case.problem, beta, case.batch, case.noise)]
        for share in shares
    ]
    best = np.inf
    # A few hundred settings at a time stay nearer to the processor.
    for start in range(0, len(methods), 100):
        run = Recursion(case.problem, methods[start : start + 100], case.noise, case.problem.full_measures)
        while run.step < case.steps:
            run.advance()
        mantissa, exponent = run.loss()
        best = min(best, float(np.min(np.log(mantissa) + exponent * np.log(2.0))))
    return best


def claims(fast: bool = False) -> Iterator[Claim]:
    worst, spent, grids = 0.0, 0.0, 0.0
    for case in cases(fast):
        start = time.process_time()
        best = gf.optimize(case.problem, case.batch, steps=case.steps, noise=case.noise)
        middle = time.process_time()
        grid = best_of_grid(case)
        took, took_grid = middle - start, time.process_time() - middle
        worst, spent, grids = max(worst, took), spent + took, grids + took_grid
        ratio = float(np.exp(log_loss(case, best.method) - grid))
        note = f"loss / best of the grid = {ratio:.5f}; {took:.2f} s against {took_grid:.1f} s"
        yield Claim(
            f"optimum no worse than a 40 x 40 grid: {case.name}",
            max(ratio, 1.0),
            1.0,
            TOLERANCE,
            "exact",
            "grid by direct recursion",
            note,
        )
    note = f"processor time; all together {spent:.1f} s against {grids:.0f} s for the grids: {grids / spent:.0f} times"
    yield Claim("seconds for the slowest of these optima", worst, 0.0, TIME, "exact", "one core", note)
    start = time.process_time()
    joint = gf.optimize(law(1.5, 0.5, 1000, 1000), budget=1e5, step_time=(50.0, 1.0))
    took = time.process_time() - start
    note = f"processor time; {joint!r}"
    yield Claim("seconds for a joint optimum with batch size, N=1000", took, 0.0, 4.0 * TIME, "exact", "one core", note)
