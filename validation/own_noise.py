"""The data's own noise: simulated runs, the exact noise against the recursion, and what a late step costs.

Runs at .7 of the edge with momentum of both signs against `predict(data)`; noise="exact" against the recursion of the
second moments up to step 4,000, by the contour; and the time of a step of 10^9 over that of 10^4.
"""

from __future__ import annotations

import time

import numpy as np

import genfun as gf
from genfun.experiments import agree, simulate
from genfun.sample_space.curve import contour
from genfun.sample_space.moments import exact_curve
from validation.claim import Claim
from validation.noise_edges import data_sets

SIMULATED = ("breast cancer, standardised", "log-normal", "Student t, 3 degrees")
SAMPLES, FEW, RUNS, STEPS = 100, 60, 400, (10, 30, 100, 300)
SETTINGS = ((-0.4, 1), (0.9, 8))
LATE = np.array([1000, 2000, 4000])
AGAIN = 3
"""Times that a time is taken; the least counts."""


def simulated(name: str, data: gf.LinearData, beta: float, b: int) -> list[Claim]:
    """Mean simulated loss (computed) against the prediction, within 2 % and 2.5 standard errors."""
    method = gf.SGD(0.7 * gf.max_learning_rate(data, beta, b), beta, b)
    runs = simulate(data, method, steps=max(STEPS), replicas=RUNS, seed=0, record=STEPS)
    found = agree(gf.predict(data, method, runs.steps), runs, relative=0.02)
    return [
        Claim(
            f"{name}: mean of {RUNS} runs at .7 of the edge, beta={beta:g}, b={b}, step {step}, over predicted",
            found.mean[i] / found.theory[i],
            1.0,
            0.02 + 2.5 * found.sem[i] / found.theory[i],
            "approximate",
            "simulation",
            f"standard error {found.sem[i] / found.mean[i]:.2%}",
        )
        for i, step in enumerate(found.steps)
    ]


def late_error(data: gf.LinearData, beta: float, b: int) -> float:
    """Largest relative difference of the exact noise's contour and the recursion."""
    method = gf.SGD(0.7 * data.exact_noise.edge(data.problem, gf.SGD(1.0, beta, b)), beta, b)
    late = contour(data.exact_noise.transform(data.problem, method), LATE).loss
    return float(late.relative_difference(exact_curve(data, method, LATE).loss).max())


def time_of(data: gf.LinearData, method: gf.SGD, step: int) -> float:
    """Least time of one exact answer."""
    times = []
    for _ in range(AGAIN):
        start = time.process_time()
        gf.predict(data, method, step, noise="exact")
        times.append(time.process_time() - start)
    return min(times)


def claims(fast: bool = False) -> list[Claim]:
    result = []
    for name, data in data_sets(FEW if fast else SAMPLES):
        if name not in SIMULATED[: 1 if fast else None]:
            continue
        for beta, b in SETTINGS:
            result += simulated(name, data, beta, b)
            words = f"{name}: exact noise, contour against recursion, steps to 4000, beta={beta:g}, b={b}"
            result.append(Claim(words, late_error(data, beta, b), 0.0, 1e-6, "exact", "exact second moments"))
        method = gf.SGD(0.5 * gf.max_learning_rate(data, 0.5, 4), 0.5, 4)
        ratio = time_of(data, method, 10**9) / time_of(data, method, 10**4)
        words = f"{name}: exact noise, time at step 1e9 over that at 1e4 (at most 2)"
        result.append(Claim(words, max(ratio, 1.0), 1.0, 1.0, "exact", "processor time", f"{ratio:.2f}"))
    return result
