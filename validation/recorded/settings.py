"""Cases about a given setting: edges, stability, steps, phases, exponents, escape, conventions, words."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

import genfun as gf
from validation.recorded.plain import Cases
from validation.recorded.problems import FINITE, NOISES, PROBLEMS, SETTINGS, digits, small

LAWS = ("power law", "steep signal", "slow decay", "1000 modes", "scaled")


def edges() -> Cases:
    return {
        f"max learning rate, {p}, momentum {beta}, b={b}, noise {n}": partial(
            gf.max_learning_rate, PROBLEMS[p], beta, b, NOISES[n]
        )
        for p, beta, (b, n) in product(
            PROBLEMS,
            (-0.5, 0.0, 0.9),
            ((None, "(1, 1)"), (1, "(1, 1)"), (1, "(1, -1)"), (8, "(0.7, 0.2)")),
        )
    }


def stabilities() -> Cases:
    found: Cases = {
        f"stability, {p}, {m}": partial(gf.stability, PROBLEMS[p], SETTINGS[m]) for p, m in product(PROBLEMS, SETTINGS)
    }
    rates, momenta = np.geomspace(0.01, 2.0, 5), np.array([-0.5, 0.0, 0.9])
    return found | {
        f"noise gain map, {p}, b={b}": partial(gf.noise_gain_map, PROBLEMS[p], rates, momenta, b)
        for p, b in product(PROBLEMS, (1, 16, None))
    }


def steps() -> Cases:
    return {
        f"steps to loss {loss:g}, {p}, {m}": partial(gf.steps_to_loss, PROBLEMS[p], SETTINGS[m], loss)
        for p, m, loss in product(
            ("power law", "steep signal", "finite data", "two modes", "200 modes"),
            ("full batch", "b=1", "b=10", "negative", "heavy ball", "diverging"),
            (0.1, 1e-4),
        )
    }


def phases() -> Cases:
    found: Cases = {f"phase, {p}, {m}": partial(gf.phase, PROBLEMS[p], SETTINGS[m]) for p, m in product(LAWS, SETTINGS)}
    found |= {
        f"local exponent, {p}, {m}": partial(gf.local_exponent, PROBLEMS[p], SETTINGS[m], [10, 1000, 10**6])
        for p, m in product(("power law", "steep signal", "slow decay", "scaled"), ("full batch", "b=10", "heavy ball"))
    }
    found |= {f"fit of a power law, {p}": partial(gf.fit_power_law, PROBLEMS[p]) for p in PROBLEMS}
    return found | {
        "phase, 200 modes": partial(gf.phase, PROBLEMS["200 modes"], SETTINGS["b=10"]),
        "fit of a power law, digits": lambda: gf.fit_power_law(digits(200).problem),
        "fit of a power law, table": lambda: gf.fit_power_law(small().problem),
    }


def words() -> Cases:
    return {
        f"explain, {p}, {m}": partial(gf.explain, PROBLEMS[p], SETTINGS[m], 500)
        for p, m in product(("power law", "finite data", "two modes"), ("b=1", "b=10", "diverging"))
    } | {
        "explain, digits": lambda: gf.explain(digits(), SETTINGS["b=10"], 200),
        "explain, table, noise (1, -1)": lambda: gf.explain(small(), SETTINGS["negative"], 50, NOISES["(1, -1)"]),
    }


def escapes() -> Cases:
    flat, well = ([1.0, 1.0], [2.0, 8.0]), ([2.0], [-1.0], 0.25)
    found: Cases = {
        f"escape steps, {p}, {m}": partial(gf.escape_steps, PROBLEMS[p], SETTINGS[m])
        for p, m in product(FINITE, ("b=1", "b=10", "diverging"))
    }
    rates = (0.002, 0.02, 0.1)
    found |= {f"escape time, rate {a}": partial(gf.escape_time, *well, gf.SGD(a, 0.0, 1), 5.0) for a in rates}
    found |= {f"odds of minima, rate {a}": partial(gf.minimum_odds, *flat, gf.SGD(a, 0.5, 4), 1.0) for a in rates}
    return found | {
        "escape time, momentum": partial(gf.escape_time, [2.0, 1.0], [-1.0, 1.0], 0.25, gf.SGD(0.01, 0.9, 2), 5.0, 50),
        "odds of minima, height": partial(gf.minimum_odds, *flat, gf.SGD(0.01, 0.0, 1), 1.0, 0.1),
        "escape chart, isotropic": partial(gf.escape_chart, PROBLEMS["isotropic"], [0.2, 0.4], [1, 4], [1.0, 2.0, 8.0]),
        "escape chart, 200 modes": partial(gf.escape_chart, PROBLEMS["200 modes"], [0.1, 0.5], [1, 8], [1.0, 4.0], 0.5),
        "escape steps, far": partial(gf.escape_steps, PROBLEMS["isotropic"], SETTINGS["diverging"], 1e6),
    }


def conventions() -> Cases:
    given = {
        "paper": {"learning_rate": 0.1, "momentum": 0.9},
        "torch": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        "keras": {"learning_rate": 0.1, "momentum": 0.9},
        "sutskever": {"learning_rate": 0.1, "momentum": 0.9},
        "ema": {"learning_rate": 1.0, "momentum": 0.75},
        "qhm": {"lr": 0.1, "momentum": 0.9, "nu": 1.0},
    }
    found: Cases = {
        f"convert, {source} to {target}": partial(gf.convert, settings, source, target)  # pyright: ignore[reportArgumentType]
        for (source, settings), target in product(given.items(), given)
        if source != target
    }
    return found | {
        "convert, nesterov": partial(gf.convert, {"lr": 0.25, "momentum": 0.75, "nesterov": True}, "torch", "qhm"),
        "convert, nesterov to the heavy ball": partial(
            gf.convert, {"lr": 0.25, "momentum": 0.75, "nesterov": True}, "torch", "ema"
        ),
        "to SGD, torch": partial(gf.to_sgd, "torch", lr=0.5, momentum=0.5, dampening=0.5, batch_size=10),
        "from SGD, ema": partial(gf.from_sgd, gf.SGD(0.25, momentum=0.75), "ema"),
    }


def settings() -> Cases:
    """All cases of this file."""
    return edges() | stabilities() | steps() | phases() | words() | escapes() | conventions()
