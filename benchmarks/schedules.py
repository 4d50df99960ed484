"""Time a million steps of a schedule on 10,000 modes, with numba and with NumPy alone, and the search for the best."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.timing import machine, seconds, summary
from genfun.schedules import Cosine, ExponentialGrowth, Polynomial, ScheduledSGD, Warmup, kernel

RESULTS = Path(__file__).with_name("schedules.json")
LAST, MODES, TARGET = 10**6, 10_000, 5.0
SEARCHES = {"2,000 steps": (2000, 0.0, 2.0), "20,000 steps, momentum left open": (20_000, None, 8.0)}
"""Steps, momentum and the seconds that `best_schedule` may take on 300 modes."""
PLAIN = 20_000
"""Steps timed without numba, whose time is proportional to them."""
SCHEDULES = {
    "warm-up and cosine, momentum 0.9": ScheduledSGD(Warmup(1000, Cosine(0.5, LAST, 0.01)), 0.9, 10),
    "polynomial rate, growing batch": ScheduledSGD(Polynomial(0.5, 0.25, 100), 0.0, ExponentialGrowth(1, 2.0, 100_000)),
    "cosine, momentum 0.99": ScheduledSGD(Cosine(0.05, LAST, 0.01), 0.99, 10),
}


def measure(repeats: int) -> dict[str, Any]:
    """Every schedule from a problem that has answered nothing before; the kernel is loaded already."""
    spectrum = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=MODES)
    lam, s = spectrum.eigenvalues, spectrum.signal
    result: dict[str, Any] = {}
    for name, method in SCHEDULES.items():

        def run(problem: gf.LinearProblem, method: ScheduledSGD = method) -> None:
            gf.predict(problem, method, [10, 1000, LAST])

        times = seconds(run, repeats, fresh=lambda: gf.LinearProblem(lam, s))
        result[name] = summary(times, TARGET) | {"modes": MODES, "steps": LAST, "numba": kernel.compiled() is not None}
    return result


def searches(repeats: int) -> dict[str, Any]:
    """The best schedule of a spectrum under label noise, by processor time; the kernels are loaded already."""
    spectrum, result = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=300), {}
    for name, (steps, momentum, target) in SEARCHES.items():

        def run(problem: gf.LinearProblem, steps: int = steps, momentum: float | None = momentum) -> None:
            gf.best_schedule(problem, 10, steps, momentum)

        def fresh() -> gf.LinearProblem:
            return gf.LinearProblem(spectrum.eigenvalues, spectrum.signal, noise_variance=0.1)

        run(fresh(), steps=100)
        result[name] = summary(seconds(run, repeats, fresh, time.process_time), target) | {"modes": 300, "steps": steps}
    return result


def without_numba(repeats: int) -> dict[str, Any]:
    """The same lines in NumPy, seconds a million steps, from PLAIN of them."""
    state, lam = np.zeros((3, 500)), np.geomspace(1.0, 1e-6, 500)
    state[0] = lam
    momenta, gammas, pace = np.full(PLAIN, 0.9), np.full(PLAIN, 0.1), (np.full(PLAIN, 1.0), np.full(PLAIN, 0.1))
    out = (np.empty(PLAIN), np.zeros(PLAIN, dtype=np.int64))
    times = seconds(
        lambda: kernel.advance(state.copy(), lam, lam**2, pace, momenta, gammas, (1.0, 1.0, 0.0), 0, out), repeats
    )
    return summary([t * LAST / PLAIN for t in times]) | {"nodes": 500, "steps_timed": PLAIN}


def main(repeats: int = 5) -> None:
    results = {"genfun": gf.__version__, "machine": machine(), "schedules": measure(repeats)}
    results["best_schedule"] = searches(min(repeats, 3))
    results["numpy_alone_extrapolated"] = without_numba(repeats)
    text = json.dumps(results, indent=2) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
