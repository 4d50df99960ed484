"""Cases of best settings and of batch sizes."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np

import genfun as gf
from genfun import bounds
from genfun.schedules import Polynomial
from validation.fit_steps import CIFAR_EPOCH, B, measured_points, synthetic
from validation.recorded.plain import Cases
from validation.recorded.problems import NOISES, PROBLEMS, SETTINGS, small

MEASURED_SERIES = "fit of steps, measured"
"""How the names of the cases begin that need a file which not every machine has."""


def optima() -> Cases:
    found: Cases = {
        f"optimize, {p}, b={b}, momentum {beta}": partial(gf.optimize, PROBLEMS[p], b, 200, beta)
        for p, b, beta in product(("power law", "finite data", "two modes"), (1, 16, None), (0.0, None))
    }
    laws = ("power law", "steep signal", "slow decay")
    found |= {
        f"asymptotic optimum, {p}, b={b}, momentum {beta}": partial(gf.asymptotic_optimum, PROBLEMS[p], b, beta)
        for p, b, beta in product(laws, (1, 100), (0.0, None))
    }
    return found | {
        "optimize, budget": partial(gf.optimize, PROBLEMS["finite data"], momentum=0.0, budget=2000),
        "optimize, budget, batch size": partial(gf.optimize, PROBLEMS["two modes"], 4, momentum=0.5, budget=400),
        "optimize, seconds": partial(
            gf.optimize, PROBLEMS["two modes"], momentum=0.0, budget=10.0, step_time=gf.StepTime(0.01, 1e-3)
        ),
        "optimize, other noise": partial(gf.optimize, PROBLEMS["200 modes"], 4, 100, 0.0, NOISES["(1, -1)"]),
        "time of a step": partial(gf.fit_step_time, [1, 10, 100, 1000], [0.0102, 0.0109, 0.0201, 0.1099]),
        "optimize schedule": partial(
            gf.optimize_schedule, PROBLEMS["two modes"], _decaying, [(0.01, 1.5), (0.0, 1.0)], 50
        ),
    }


def _decaying(rate: float, power: float) -> gf.ScheduledSGD:
    return gf.ScheduledSGD(Polynomial(rate, power, 10), 0.0, 1)


def maps() -> Cases:
    rates, momenta = np.geomspace(0.01, 1.5, 6), np.array([-0.4, 0.0, 0.5, 0.9])
    found: Cases = {
        f"loss map, {p}, step {step}, b={b}": partial(gf.loss_map, PROBLEMS[p], rates, momenta, step, b)
        for p, step, b in product(("power law", "finite data", "200 modes"), (50, 10**5), (1, None))
    }
    return found | {
        "budget map, 100 modes": partial(gf.budget_map, PROBLEMS["scaled"], [1, 10], [100, 1000]),
        "budget map, finite data": partial(gf.budget_map, PROBLEMS["finite data"], [1, 8, 64], [10, 100], 0.5),
        "momentum map": partial(gf.momentum_map, [1.5], [1.0, 5.0], 1, 300, 30),
    }


def batch_sizes() -> Cases:
    law, finite, two = PROBLEMS["power law"], PROBLEMS["finite data"], PROBLEMS["two modes"]
    at = [0, 10, 300, 10**5]
    found: Cases = {}
    for p, m in product(("power law", "finite data", "200 modes"), ("b=1", "b=10", "heavy ball", "full batch")):
        found[f"noise scale, {p}, {m}"] = partial(gf.noise_scale, PROBLEMS[p], SETTINGS[m], at)
        found[f"big batch, {p}, {m}"] = partial(gf.big_batch, PROBLEMS[p], SETTINGS[m], [0, 10, 150])
    for keep, to in product(("samples", "edge"), (1, 64, None)):
        found[f"translate, finite data, keep {keep}, to {to}"] = partial(
            gf.translate, finite, gf.SGD(0.05, 0.9, 8), to, keep
        )
    return found | {
        "big batch, theta": partial(gf.big_batch, law, SETTINGS["b=10"], [0, 100], 0.7),
        "translate, one number of samples": partial(
            gf.translate, two, gf.SGD(0.1, 0.0, 2), 16, "samples", NOISES["(1, -1)"], 200.0
        ),
        "critical batch, power law": partial(gf.critical_batch_size, law, gf.SGD(0.5), loss=0.01),
        "critical batch, momentum": partial(gf.critical_batch_size, finite, gf.SGD(0.2, 0.5), loss=0.1),
        "critical batch, tuned": partial(gf.critical_batch_size, two, gf.Tuned(0.0), loss=0.2),
        "critical batch, not reached": partial(gf.critical_batch_size, two, gf.SGD(0.5), loss=1e-6),
        "critical batch, family": partial(
            gf.critical_batch_size, law, lambda b: gf.SGD(0.1 * b**0.5, 0.0, b), loss=0.1, batch_sizes=[1, 2, 4, 8, 16]
        ),
        "critical batch, time of a step": partial(
            gf.critical_batch_size, law, gf.SGD(0.5), loss=0.05, step_time=gf.StepTime(0.001, 1e-5)
        ),
    }


def upper_bounds() -> Cases:
    c = bounds.SmoothConstants(1.0, 50.0, 1.0)
    made = {
        "constant rate": partial(bounds.constant_rate_bound, c, 0.5, 0.05),
        "heavy ball": partial(bounds.heavy_ball_bound, c, 0.01, 0.9, 0.05),
        "adam": partial(bounds.adam_bound, 1.0, 0.5, 0.01, 0.05),
        "tuned rate": partial(bounds.tuned_rate_bound, c, 0.05),
        "linear scaling": partial(bounds.linear_scaling_bound, c, 1e-4, 0.05),
        "polynomial decay": partial(bounds.polynomial_decay_bound, c, 0.1, 0.25, 100, 0.05),
        "step decay": partial(bounds.step_decay_bound, c, 0.1, 0.5, 1000, 0.05),
    }

    def at(make: Any) -> Any:
        bound, b = make(), np.array([1.0, 10.0, 200.0, 5000.0])
        return {"bound": bound, "steps": bound.steps(b), "samples": bound.samples(b), "chosen": bound.choose(300)}

    found: Cases = {f"bound, {name}": partial(at, make) for name, make in made.items()}
    return (
        found
        | {
            f"smooth constants, {p}": partial(bounds.SmoothConstants.from_problem, PROBLEMS[p])
            for p in ("two modes", "scaled")
        }
        | {"smooth constants, table": lambda: bounds.SmoothConstants.from_problem(small().problem, small().noise)}
    )


def fits_of_steps() -> Cases:
    found: Cases = {}
    rng = np.random.default_rng(5)
    for i in range(4):
        steps = 1000.0 * synthetic(rng)[0] * np.exp(0.1 * rng.standard_normal(B.size))
        found[f"fit of steps, synthetic {i}"] = partial(gf.fit_steps, B, steps, draws=100)
    for name, points in list(measured_points().items())[::4]:
        b, k = np.array(points).T
        found[f"{MEASURED_SERIES}, {name}"] = partial(gf.fit_steps, b, k, CIFAR_EPOCH, 100)
    return found


def best() -> Cases:
    """All cases of this file."""
    return optima() | maps() | batch_sizes() | upper_bounds() | fits_of_steps()
