"""Time genfun against its targets and against the usual ways; print, and write JSON beside this file.

"engine" times predictions against the recursion over all steps (results.json), "simulate" simulated runs on the CPU
(simulate-cpu.json), "measured" answers under the data's own noise (measured.json). Without a part these run. "blocks"
measures the noise of 60,000 x 784 features read from a file in blocks (blocks.json), some minutes, only if asked for.
What needs a GPU is `bash benchmarks/gpu.sh`.

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
from benchmarks.dense_recursion import DenseRecursion
from benchmarks.timing import import_seconds, machine, seconds, summary

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
    times = seconds(lambda p: gf.predict(p, SETTING, STEPS), repeats, fresh=lambda: gf.LinearProblem(lam, s))
    result = summary(times, PREDICT_TARGETS[n])
    problem = gf.LinearProblem(lam, s)
    gf.predict(problem, SETTING, STEPS)
    result["again_on_the_same_problem"] = summary(seconds(lambda: gf.predict(problem, SETTING, STEPS), repeats))
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
    fresh = seconds(lambda p: gf.predict(p, SETTING, STEPS), repeats, fresh=lambda: gf.PowerLaw(nu=1.5, zeta=0.5))
    return summary(fresh) | {"steps": int(STEPS.size), "last_step": LAST}


def stability_map(repeats: int) -> dict[str, Any]:
    rates, momenta = np.geomspace(0.01, 4.0, 200), np.linspace(-0.99, 0.99, 200)

    def draw(problem: gf.LinearProblem) -> None:
        gf.noise_gain_map(problem, rates, momenta, batch_size=10)

    lam, s = power_law_arrays(1000)
    times = seconds(draw, repeats, fresh=lambda: gf.LinearProblem(lam, s))
    return summary(times, 0.3) | {"modes": 1000, "cells": 200 * 200}


def fit(repeats: int) -> dict[str, Any]:
    problem = gf.LinearProblem(*power_law_arrays(10_000))
    return summary(seconds(lambda: gf.fit_power_law(problem), repeats), 0.05) | {"modes": 10_000}


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
    arguments = parser.parse_args()
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
        text = json.dumps(run(), indent=2) + "\n"
        (arguments.output / name).write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
