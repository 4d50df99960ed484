"""Time genfun against its targets and against the usual ways; print, and write JSON beside this file.

"engine" times predictions against the recursion over all steps (results.json), "simulate" simulated runs on the CPU
(simulate-cpu.json), "measured" answers under the data's own noise (measured.json). Without a part these run. "blocks"
measures the noise of 60,000 x 784 features read from a file in blocks (blocks.json), some minutes, only if asked for.
With --compare OLD.json a table follows: work, seconds before, seconds now, ratio. What needs a GPU is
`bash benchmarks/gpu.sh`.

The recursion is timed over a few hundred steps and EXTRAPOLATED in proportion to 10^9 steps; its ratio to genfun is
of that extrapolated time, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf
from benchmarks import measured, simulate
from benchmarks.compare import table
from benchmarks.dense_recursion import DenseRecursion
from benchmarks.timing import import_seconds, machine, seconds, summary, timed

HERE = Path(__file__).parent
LAST = 10**9
STEPS = np.rint(np.geomspace(1, LAST, 200)).astype(np.int64)
SETTING = gf.SGD(0.5, 0.5, 10)
PREDICT_TARGETS = {1000: 0.010, 1_000_000: 0.300}


def power_law_arrays(n: int) -> tuple[np.ndarray, np.ndarray]:
    spectrum = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=n)
    return spectrum.eigenvalues, spectrum.signal


def predict_finite(n: int, repeats: int) -> dict[str, Any]:
    """200 log-spaced steps up to 10^9 from a LinearProblem that has answered nothing before."""
    lam, s = power_law_arrays(n)
    fresh = lambda: gf.LinearProblem(lam, s)  # noqa: E731
    result = timed(lambda p: gf.predict(p, SETTING, STEPS), repeats, PREDICT_TARGETS[n], fresh)
    problem = gf.LinearProblem(lam, s)
    gf.predict(problem, SETTING, STEPS)
    result["again_on_the_same_problem"] = timed(lambda: gf.predict(problem, SETTING, STEPS), repeats)
    prediction = gf.predict(problem, SETTING, STEPS)
    result |= {"modes": n, "steps": int(STEPS.size), "last_step": LAST}
    result |= {"largest_error_estimate": float(prediction.error.max()), "status": prediction.status}
    count = max(30, 300_000 // n)
    slow = DenseRecursion(lam, s, SETTING.learning_rate, SETTING.momentum, 1.0 / 10)
    per_step = [t / count for t in seconds(lambda: slow.run(count), 5)]
    check = DenseRecursion(lam, s, SETTING.learning_rate, SETTING.momentum, 1.0 / 10)
    check.run(count)
    difference = abs(check.loss() / float(gf.predict(problem, SETTING, count).loss) - 1.0)
    total = float(np.median(per_step)) * LAST
    result["recursion"] = {
        "median_s_per_step": float(np.median(per_step)),
        "steps_timed": count,
        "extrapolated_s_to_last_step": total,
        "relative_difference_of_the_loss_after_the_steps_timed": difference,
    }
    result["ratio_extrapolated"] = total / result["median_s"]
    return result


def predict_infinite(repeats: int) -> dict[str, Any]:
    fresh = lambda: gf.PowerLaw(nu=1.5, zeta=0.5)  # noqa: E731
    found = timed(lambda p: gf.predict(p, SETTING, STEPS), repeats, fresh=fresh)
    return found | {"steps": int(STEPS.size), "last_step": LAST}


def predict_every_step(repeats: int) -> dict[str, Any]:
    """Steps 0, 1, ..., 1000, and the recursion in NumPy over as many."""
    lam, s = power_law_arrays(1000)
    problem, steps = gf.LinearProblem(lam, s), np.arange(1001)
    found = timed(lambda: gf.predict(problem, SETTING, steps), repeats)
    slow = timed(
        lambda: DenseRecursion(lam, s, SETTING.learning_rate, SETTING.momentum, 1.0 / 10).run(1000),
        max(repeats // 3, 1),
    )
    return found | {"modes": 1000, "steps": 1001, "recursion": slow, "ratio": slow["median_s"] / found["median_s"]}


def slow_momentum(repeats: int) -> dict[str, Any]:
    """Momentum .999 on an infinite spectrum, whose oscillations fade late: thousands of steps one by one."""
    problem, method = gf.PowerLaw(nu=1.5, zeta=0.5), gf.SGD(0.001, 0.999, 10)
    return timed(lambda: gf.predict(problem, method, 6000), max(repeats // 3, 1)) | {"last_step": 6000}


def loss_maps(repeats: int) -> dict[str, Any]:
    """Losses at step 10^4 of 60 x 60 learning rates and momenta."""
    rates, momenta = np.geomspace(0.01, 4.0, 60), np.linspace(-0.9, 0.9, 60)
    lam, s = power_law_arrays(1000)
    problems = {"1000_modes": gf.LinearProblem(lam, s), "infinite": gf.PowerLaw(nu=1.5, zeta=0.5)}
    result: dict[str, Any] = {"cells": rates.size * momenta.size, "step": 10_000}
    for name, problem in problems.items():
        for what, batch in (("", 10), ("_full_batch", None)):
            run = lambda problem=problem, batch=batch: gf.loss_map(problem, rates, momenta, 10_000, batch)  # noqa: E731
            result[name + what] = timed(run, max(repeats // 4, 1))
    return result


def stability_map(repeats: int) -> dict[str, Any]:
    rates, momenta = np.geomspace(0.01, 4.0, 200), np.linspace(-0.99, 0.99, 200)

    def draw(problem: gf.LinearProblem) -> None:
        gf.noise_gain_map(problem, rates, momenta, batch_size=10)

    lam, s = power_law_arrays(1000)
    return timed(draw, repeats, 0.3, lambda: gf.LinearProblem(lam, s)) | {"modes": 1000, "cells": 200 * 200}


def fit(repeats: int) -> dict[str, Any]:
    problem = gf.LinearProblem(*power_law_arrays(10_000))
    return timed(lambda: gf.fit_power_law(problem), repeats, 0.05) | {"modes": 10_000}


def importing(repeats: int) -> dict[str, Any]:
    code = "import time; {first}; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
    return {
        "genfun_after_numpy_and_scipy": summary(
            import_seconds(code.format(first="import numpy, scipy", name="genfun"), repeats), 0.15
        ),
        "numpy_and_scipy": summary(import_seconds(code.format(first="pass", name="numpy, scipy"), repeats)),
        "genfun_alone": summary(import_seconds(code.format(first="pass", name="genfun"), repeats)),
    }


def engine(repeats: int) -> dict[str, Any]:
    return {
        "genfun": gf.__version__,
        "machine": machine(),
        "note": "times of the recursion to step 10^9 are extrapolated from the steps timed",
        "predict_1000_modes": predict_finite(1000, repeats),
        "predict_1000000_modes": predict_finite(1_000_000, repeats),
        "predict_infinite_power_law": predict_infinite(repeats),
        "predict_every_step_to_1000": predict_every_step(repeats),
        "predict_momentum_0.999": slow_momentum(repeats),
        "loss_maps_60x60": loss_maps(repeats),
        "stability_map_200x200": stability_map(repeats),
        "fit_power_law_10000_modes": fit(repeats),
        "import": importing(repeats),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=("all", "engine", "simulate", "measured", "blocks"), default="all")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the JSON files")
    parser.add_argument(
        "--compare", type=Path, action="append", default=[], metavar="OLD.json", help="a file of before"
    )
    arguments = parser.parse_args()
    # Read first: the files that are written may be these.
    old: dict[str, Any] = {}
    for path in arguments.compare:
        old |= json.loads(path.read_text(encoding="utf-8"))
    new: dict[str, Any] = {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {}
    if arguments.part in ("all", "engine"):
        parts["results.json"] = lambda: engine(arguments.repeats)
    if arguments.part in ("all", "simulate"):
        parts["simulate-cpu.json"] = lambda: simulate.on_cpu(arguments.repeats)
    if arguments.part in ("all", "measured"):
        parts["measured.json"] = lambda: measured.measured(arguments.repeats)
    if arguments.part == "blocks":
        parts["blocks.json"] = measured.in_blocks
    for name, run in parts.items():
        found = run()
        new |= found
        text = json.dumps(found, indent=2) + "\n"
        (arguments.output / name).write_text(text, encoding="utf-8")
        print(text)
    if arguments.compare:
        print(table(old, new))


if __name__ == "__main__":
    main()
