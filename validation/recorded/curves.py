"""Cases of loss curves: `predict` by all routes, the generating function, schedules, simulated runs."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np

import genfun as gf
from genfun import schedules as s
from genfun.experiments import simulate
from tests.own_methods import Nesterov
from validation.recorded.plain import Cases
from validation.recorded.problems import NOISES, PROBLEMS, SETTINGS, digits, small

STEPS = [0, 1, 5, 31, 32, 1000, 10**5, 10**9]
EARLY = [0, 1, 20, 40, 300]
FAR = np.array([[10**12, 3], [10**15, 3]])


def by_route(problem: Any, setting: Any, steps: Any, route: str) -> gf.Prediction:
    """`predict` by one route; "exact" is the noise of the data, by the route that it takes."""
    ask: Any = gf.predict
    return (
        ask(problem, setting, steps, noise="exact") if route == "exact" else ask(problem, setting, steps, route=route)
    )


def predictions() -> Cases:
    return {
        f"predict, {p}, {m}, noise {n}": partial(gf.predict, PROBLEMS[p], SETTINGS[m], STEPS, NOISES[n])
        for p, m, n in product(PROBLEMS, SETTINGS, NOISES)
        # The other noises change nothing of a full batch, and with many modes take long.
        if n == "(1, 1)" or (SETTINGS[m].batch_size is not None and p not in ("1000 modes", "slow decay"))
    }


def routes() -> Cases:
    some = ("b=10", "negative", "full, momentum", "heavy ball")
    found: Cases = {
        f"predict by {route}, {p}, {m}": partial(by_route, PROBLEMS[p], SETTINGS[m], EARLY, route)
        for route, p, m in product(("recursion", "contour"), ("power law", "finite data", "two modes"), some)
    }
    found |= {f"predict by exact, table, {m}": partial(by_route, small(), SETTINGS[m], EARLY, "exact") for m in some}
    return found | {
        "predict by exact without data": partial(by_route, PROBLEMS["two modes"], SETTINGS["b=10"], EARLY, "exact"),
        "predict by an unknown route": partial(by_route, PROBLEMS["two modes"], SETTINGS["b=10"], EARLY, "quickest"),
        "predict at a negative step": partial(gf.predict, PROBLEMS["two modes"], SETTINGS["b=10"], [-1]),
        "predict, batch beyond data": partial(gf.predict, PROBLEMS["isotropic"], gf.SGD(0.1, 0.0, 65), [1]),
        "predict, far steps": partial(gf.predict, PROBLEMS["power law"], SETTINGS["b=10"], FAR),
        "predict, digits": partial(gf.predict, digits(), SETTINGS["b=10"], STEPS),
        "predict, own method": partial(gf.predict, PROBLEMS["two modes"], Nesterov(0.3, 0.5, 10), STEPS),
        "predict, own method, power law": partial(gf.predict, PROBLEMS["power law"], Nesterov(0.2, 0.8, 4), STEPS),
    }


def generating_functions() -> Cases:
    z = np.array([0.0, 0.5, -0.9, 0.6 + 0.7j, 0.99 * np.exp(0.01j)])
    parts = ("loss", "signal", "noise")

    def at(part: str, problem: str, setting: str) -> Any:
        return getattr(gf.GeneratingFunction(PROBLEMS[problem], SETTINGS[setting], NOISES["(0.7, 0.2)"]), part)(z)

    return {
        f"generating function, {part}, {p}, {m}": partial(at, part, p, m)
        for part, p, m in product(parts, ("power law", "finite data", "200 modes"), ("b=10", "negative"))
    }


def settings_over_time() -> dict[str, gf.ScheduledSGD]:
    return {
        "constant": gf.ScheduledSGD(0.3, 0.5, 10),
        "cosine": gf.ScheduledSGD(s.Cosine(0.5, 200), 0.0, 8),
        "step decay": gf.ScheduledSGD(s.StepDecay(0.5, 0.5, 50), 0.3, 4),
        "polynomial": gf.ScheduledSGD(s.Polynomial(0.5, 0.5, 10), 0.0, 2),
        "piecewise": gf.ScheduledSGD(s.Piecewise((0.5, 0.1), (30,)), 0.0, 8),
        "warmup": gf.ScheduledSGD(s.Warmup(20, s.Cosine(0.5, 200, 0.1)), 0.9, 16),
        "growing batch": gf.ScheduledSGD(0.4, 0.0, s.ExponentialGrowth(4, 2.0, 50, 64)),
        "slowly growing batch": gf.ScheduledSGD(0.4, 0.0, s.LinearGrowth(4, 3, 20)),
        "table": gf.ScheduledSGD(s.Table(np.linspace(0.5, 0.1, 300)), 0.0, 8),
        "jacobi": s.jacobi_heavy_ball(0.5, 1.0),
    }


def scheduled() -> Cases:
    found: Cases = {}
    for name, setting in settings_over_time().items():
        for p in ("power law", "finite data", "isotropic"):
            found[f"predict, {p}, {name}"] = partial(gf.predict, PROBLEMS[p], setting, EARLY)
        found[f"steps to loss, finite data, {name}"] = partial(gf.steps_to_loss, PROBLEMS["finite data"], setting, 0.2)
    return found


def simulated() -> Cases:
    def runs(setting: gf.SGD, **options: Any) -> Any:
        r = simulate(small(), setting, steps=40, replicas=8, seed=3, device="cpu", **options)
        found = {"steps": r.steps, "loss": r.loss, "mean": r.mean, "median": r.median}
        # Runs on the full batch are equal, and the spread of equal numbers is rounding.
        return found if setting.batch_size is None else found | {"sem": r.sem}

    return {
        "simulate, b=10": partial(runs, SETTINGS["b=10"]),
        "simulate, full batch": partial(runs, SETTINGS["full, momentum"]),
        "simulate, replacement": partial(runs, SETTINGS["replacement"]),
        "simulate, some steps": partial(runs, SETTINGS["negative"], record=[0, 10, 40]),
        "simulate, single precision": partial(runs, SETTINGS["b=1"], dtype="float32"),
        "simulate, epochs": partial(runs, SETTINGS["b=10"], order="epochs"),
    }


def curves() -> Cases:
    """All cases of this file."""
    return predictions() | routes() | generating_functions() | scheduled() | simulated()
