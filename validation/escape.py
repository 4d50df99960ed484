"""Escape from minima: Kramers' time and the flat/sharp odds against runs in double wells, growth against real batches.

Times in wells are of runs that are well past the saddle (x > 1/2 in the quartic h (x^2 - 1)^2/4, h = 1). Arrival at the
other minimum itself takes somewhat longer; the notes give the ratio, from the two nested integrals of the diffusion.
"""

from __future__ import annotations

import math

import numpy as np

import genfun as gf
from genfun.answers.escape.escape_steps import escape_steps
from genfun.answers.escape.two_minima import Escape, escape_time, minimum_odds
from genfun.experiments.networks.two_layer import DiagonalNetwork
from genfun.experiments.simulation.cloning import cloned_runs
from genfun.experiments.simulation.escape import DoubleWell, Passages, occupation, passages
from validation.claim import Claim

KRAMERS = "Kramers' formula, arXiv 1812.00542"
RATE = "-ln z*, z* U~(z*) = 1, arXiv 2206.11124, section 4"
STEP = 0.02
"""Effective learning rate in the wells."""
BATCH = 8
PAST = 0.5
"""x beyond which a run has left the left minimum."""


def in_well(well: DoubleWell, ratio: float, momentum: float = 0.0) -> tuple[gf.SGD, float, Escape]:
    """The setting and gradient variance at which the left barrier is `ratio` temperatures, and the formula for it."""
    left, saddle, _ = well.critical_points
    barrier = float(well.loss(saddle) - well.loss(left))
    method, variance = gf.SGD(STEP * (1.0 - momentum), momentum, BATCH), 2.0 * barrier * BATCH / (ratio * STEP)
    return method, variance, escape_time(well.hessian(left), well.hessian(saddle), barrier, method, variance)


def diffusion_time(well: DoubleWell, temperature: float, goal: float) -> float:
    """Mean time of the diffusion from the left minimum to the goal, (1/T) int e^(f/T) int e^(-f/T), along x."""
    x = np.linspace(-2.2, goal, 40_001)
    f, dx = well.loss(x) + 0.5 * temperature * np.log(well.across(x)), x[1] - x[0]
    inner = np.cumsum(np.exp(-f / temperature)) * dx
    return float((np.exp(f / temperature) * inner)[x >= well.critical_points[0]].sum() * dx / temperature)


def left_well(well: DoubleWell, method: gf.SGD, variance: float, runs: int, steps: float) -> Passages:
    start = np.zeros(well.dimension)
    start[0] = well.critical_points[0]
    return passages(well.gradient, start, lambda x: x[:, 0] > PAST, method, variance, runs, int(5 * steps))


def wells(fast: bool) -> list[Claim]:
    claims, flat = [], DoubleWell(1.0)
    cases = [(f"1-D quartic, barrier/T = {ratio}", flat, float(ratio), 0.0) for ratio in ((4,) if fast else (4, 5, 6))]
    if not fast:
        cases += [
            ("1-D quartic, barrier/T = 4, beta = 0.5", flat, 4.0, 0.5),
            ("1-D quartic, barrier/T = 4, beta = -0.5", flat, 4.0, -0.5),
            ("2-D tilted well, barrier/T = 5", DoubleWell(1.0, 0.05, (1.0, 2.0)), 5.0, 0.0),
        ]
    for name, well, ratio, momentum in cases:
        method, variance, formula = in_well(well, ratio, momentum)
        runs = left_well(well, method, variance, 1000 if fast else 4000, formula.steps)
        unit = method.effective_learning_rate * formula.steps
        past, over = (diffusion_time(well, formula.temperature, x) / unit for x in (PAST, well.critical_points[2]))
        computed, error = runs.mean / formula.steps, runs.sem / formula.steps
        note = f"standard error {error:.3f}; diffusion {past:.3f}, and {over:.3f} until the other minimum"
        claims.append(
            Claim(
                f"{name}: simulated/Kramers", computed, 1.0, 0.15, "approximate", KRAMERS, note=f"{note}; 15 % granted"
            )
        )
        # The step eta h = 0.02 to 0.04 shifts the stationary density by about that much.
        margin = 0.04 + 2.5 * error / past
        source = "two nested integrals of the diffusion"
        claims.append(Claim(f"{name}: simulated/diffusion", computed / past, 1.0, margin, "approximate", source))
    return claims


def odds(fast: bool) -> list[Claim]:
    claims = []
    cases = [("equal depth, stiffness 1 and 9", DoubleWell(1.0, 0.0, (1.0, 9.0)), 1.0)]
    if not fast:
        cases += [
            ("equal depth, stiffness 1 and 9, eta/M doubled", DoubleWell(1.0, 0.0, (1.0, 9.0)), 2.0),
            ("tilted by 0.02, stiffness 1 and 4", DoubleWell(1.0, 0.02, (1.0, 4.0)), 1.0),
        ]
    for name, well, hotter in cases:
        left, saddle, right = well.critical_points
        # The temperature that is a fifth of the barrier, or twice that.
        method, variance, _ = in_well(well, 5.0)
        if hotter != 1.0:
            method = gf.SGD(method.learning_rate, batch_size=round(BATCH / hotter))
        height = float(well.loss(right) - well.loss(left))
        found = minimum_odds(well.hessian(left), well.hessian(right), method, variance, height)
        runs = 300 if fast else 1000
        start = np.zeros((runs, 2))
        start[:, 0] = np.where(np.arange(runs) < found.share * runs, left, right)
        length = 4_000 if fast else 20_000
        side = (lambda s: lambda x: x[:, 0] < s)(saddle)
        share, error = occupation(well.gradient, start, side, method, variance, runs, length, length)
        x = np.linspace(-2.5, 2.5, 20_001)
        weight = np.exp(-well.loss(x) / found.temperature) / np.sqrt(well.across(x))
        exact = float(weight[x < saddle].sum() / weight.sum())
        note = (
            f"standard error {error:.4f}; stationary density {exact:.4f}; excess loss of both {found.temperature:.3g}"
        )
        source = "sqrt(det H_sharp/det H_flat) exp(height/T), arXiv 1812.00542"
        # Wells that are no parabolas move the share by a few per cent.
        claims.append(
            Claim(f"share of time in the flat well, {name}", share, found.share, 0.05, "approximate", source, note)
        )
    return claims


def growth(fast: bool) -> list[Claim]:
    claims = []
    data = gf.data.translation_invariant(np.arange(1.0, 65.0) ** -1.0, np.ones(64), 64)
    cases = [(0.0, 2, 1.1)] if fast else [(0.0, 2, 1.03), (0.0, 2, 1.1), (0.0, 2, 1.3), (0.6, 2, 1.1), (-0.4, 2, 1.1)]
    for beta, b, beyond in cases:
        method = gf.SGD(beyond * gf.max_learning_rate(data.problem, beta, b), beta, b)
        expected = escape_steps(data.problem, method)
        steps, runs, populations = (200, 200, 4) if fast else (800, 500, 8)
        rate, error = cloned_runs(data, method, steps, runs, populations).rate()
        name = f"growth rate, beta={beta:g}, b={b}, {beyond:g} of the edge (U~(1) = {expected.noise_gain:.3f})"
        note = (
            f"real mini-batches, {populations} x {runs} cloned runs, standard error {error / expected.growth_rate:.2%}"
        )
        granted = 0.1 if fast else 0.03
        margin = granted * expected.growth_rate
        claims.append(
            Claim(name, rate, expected.growth_rate, margin, "approximate", RATE, f"{note}; {granted:.0%} granted")
        )
    method = gf.SGD(1.1 * gf.max_learning_rate(data.problem, 0.0, 2), 0.0, 2)
    logs = gf.predict(data, method, [400, 500], noise="exact").log_loss
    expected = escape_steps(data.problem, method)
    claims.append(
        Claim(
            "growth rate of the exact second moments, 1.1 of the edge",
            float(logs[1] - logs[0]) / 100.0,
            expected.growth_rate,
            1e-6 * expected.growth_rate,
            "exact",
            RATE,
        )
    )
    return claims


def network(fast: bool) -> list[Claim]:
    net, b = DiagonalNetwork(32, 64), 4
    sharp, runs, steps = net.linearised(2.0).problem, 2000 if fast else 20_000, 10
    edge = gf.max_learning_rate(sharp, 0.0, b)
    claims = []
    for beyond in (0.9, 1.1, 1.3):
        method = gf.SGD(beyond * edge, batch_size=b)
        rate = gf.stability(sharp, method).growth_rate
        loss = net.run(method, 2.0, steps, runs).loss
        mean = float(loss[:, -1].mean())
        error = float(loss[:, -1].std(ddof=1)) / mean / math.sqrt(runs) / steps
        computed = math.log(mean / float(loss[:, 0].mean())) / steps
        note = f"standard error {error:.4f}"
        if not fast:
            long = net.run(method, 2.0, 600, 100)
            note += f"; after 600 steps the median sharpness is {np.median(long.sharpness):.3f} of 4.25"
        name = f"two-layer network at a minimum of sharpness 4.25, {beyond:g} of its edge: growth rate"
        claims.append(Claim(name, computed, rate, 2.5 * error + 0.01 * abs(rate), "approximate", RATE, note))
    return claims


def claims(fast: bool = False) -> list[Claim]:
    return [*wells(fast), *odds(fast), *growth(fast), *network(fast)]
