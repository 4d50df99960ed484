"""Phases, divergence, momentum of either sign and budgets on power laws, each against simulated SGD.

Synthetic data on which the spectrally expressible noise is exact, so that the theory of the mean is exact, and runs are
enough to check it. nu and kappa as in the experiments of arXiv 2206.11124 (kappa = nu zeta).
"""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.experiments import simulate, simulate_many
from validation.claim import Claim, simulated_curve

SOURCE = "theory; simulation with {} runs"


def data(nu: float, kappa: float) -> gf.LinearData:
    spectrum = gf.PowerLaw(nu=nu, zeta=kappa / nu, n_modes=1000)
    return gf.data.translation_invariant(spectrum.eigenvalues, spectrum.signal, n_samples=1024)


def phases(runs: int, last: int) -> list[Claim]:
    """Both phases: loss at late steps, and the slope between them."""
    result = []
    steps = [last // 100, last // 10, last]
    for nu, kappa, rate, b in ((1.5, 0.75, 0.4, 10), (1.5, 3.0, 0.4, 10), (2.0, 5.0, 0.25, 10)):
        d, setting = data(nu, kappa), gf.SGD(rate, 0.0, b)
        name = f"nu={nu:g}, kappa={kappa:g}"
        result += simulated_curve(name, d, setting, steps, runs, 0.0, SOURCE.format(runs))
    return result


def divergence(runs: int) -> Claim:
    """nu < 1: the loss falls, then grows; simulated at the predicted minimum and far behind it."""
    d = data(0.8, 0.8)
    setting = gf.SGD(1.15 * gf.max_learning_rate(d.problem, 0.0, 10), 0.0, 10)
    grid = np.unique(np.geomspace(1, 3000, 60).astype(int))
    predicted = gf.predict(d.problem, setting, grid)
    turn = int(grid[predicted.log_loss.argmin()])
    last = int(grid[np.flatnonzero(predicted.log_loss > predicted.log_loss.min() + np.log(3.0))[0]])
    found = simulate(d, setting, last, runs, record=[0, turn, last])
    mean = found.mean
    # Both means are of the same runs.
    relative = found.loss[:, 2] / mean[2] - found.loss[:, 1] / mean[1]
    error = float(relative.std(ddof=1)) / np.sqrt(runs)
    return Claim(
        f"eventual divergence, nu=0.8: growth of the mean loss from step {turn} to step {last}",
        float(mean[2] / mean[1]),
        float(gf.predict(d.problem, setting, last).loss / gf.predict(d.problem, setting, turn).loss),
        2.5 * float(mean[2] / mean[1]) * error,
        "exact",
        SOURCE.format(runs),
        f"standard error {error:.2%}; mean loss {mean[0]:.3g}, {mean[1]:.3g}, {mean[2]:.3g} at steps 0, {turn}, {last}",
    )


def negative_momentum(runs: int, last: int) -> list[Claim]:
    """The best momentum in the noise phase is negative: what it gains over the best rate without momentum."""
    d = data(1.5, 4.0)
    best = gf.optimize(d.problem, 1, last)
    plain = gf.optimize(d.problem, 1, last, momentum=0.0)
    # Both settings see the same batches, which takes their common fluctuations out of the ratio.
    one, other = simulate_many(d, [best.method, plain.method], last, runs, record=[last])
    ratio = one.mean[0] / other.mean[0]
    spread = np.std(one.loss[:, 0] / one.mean[0] - other.loss[:, 0] / other.mean[0], ddof=1) / np.sqrt(runs)
    return [
        Claim(
            "sign of the best momentum, nu=1.5, kappa=4, b=1",
            np.sign(best.method.momentum),
            -1.0,
            0.0,
            "exact",
            "theory",
        ),
        Claim(
            f"loss at step {last} at the best negative momentum over that at the best rate without",
            float(ratio),
            best.loss / plain.loss,
            2.5 * float(ratio * spread),
            "exact",
            SOURCE.format(runs),
            f"momentum {best.method.momentum:.3f}; runs share their batches",
        ),
    ]


def budgets(runs: int, samples: int) -> list[Claim]:
    """Small batches with rates in proportion: the loss depends on the samples alone."""
    d = data(1.5, 0.75)
    b0, rate = 1, 0.02
    sizes = (1, 2, 4, 8)
    found = [simulate(d, gf.SGD(rate * b / b0, 0.0, b), samples // b, runs, record=[samples // b]) for b in sizes]
    first = found[0]
    return [
        Claim(
            f"loss after {samples} samples at b={b} over that at b=1, rate in proportion",
            float(f.mean[0] / first.mean[0]),
            float(
                gf.predict(d.problem, gf.SGD(rate * b / b0, 0.0, b), samples // b).loss
                / gf.predict(d.problem, gf.SGD(rate, 0.0, b0), samples).loss
            ),
            2.5 * float(f.mean[0] / first.mean[0] * np.hypot(f.sem[0] / f.mean[0], first.sem[0] / first.mean[0])),
            "exact",
            SOURCE.format(runs),
        )
        for b, f in zip(sizes[1:], found[1:], strict=True)
    ]


def claims(fast: bool = False) -> list[Claim]:
    runs = 32 if fast else 200
    last = 1000 if fast else 10_000
    if fast:
        return [*negative_momentum(runs, last), *budgets(runs, 400)]
    return [*phases(runs, last), divergence(4000), *negative_momentum(400, last), *budgets(runs, 4000)]
