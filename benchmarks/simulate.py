"""Simulated runs on the CPU, in NumPy, against their target; `benchmarks.gpu.speed` has those on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.plain_sgd import plain_sgd
from benchmarks.timing import machine, seconds, summary
from genfun.experiments import simulate, simulate_many, sweep

BATCH = 10
CPU_TARGET = 1.0


def spread(data: gf.LinearData, rates: int, momenta: int) -> list[gf.SGD]:
    """Stable settings: learning rates up to 0.6 of the edge of each momentum."""
    found = []
    for beta in np.linspace(-0.8, 0.9, momenta):
        edge = gf.max_learning_rate(data.problem, float(beta), BATCH)
        found += [gf.SGD(float(share) * edge, float(beta), BATCH) for share in np.linspace(0.05, 0.6, rates)]
    return found


def on_cpu(repeats: int) -> dict[str, Any]:
    """40 replicas x 1000 steps of one setting, and 40 settings x 4 replicas, on 1,000 MNIST digits."""
    data = gf.data.mnist(n=1000, seed=0)
    one, many = gf.SGD(0.3, 0.9, BATCH, replacement=True), spread(data, 10, 4)
    result: dict[str, Any] = {"machine": machine(), "samples": 1000, "batch_size": BATCH}
    plain = both_clocks(lambda: plain_sgd(data, one, 1000, 40), repeats)
    result["plain_numpy_40_replicas_1000_steps"] = plain
    for dtype in ("float64", "float32"):

        def alone(setting: gf.SGD, dtype: Any = dtype) -> gf.experiments.Runs:
            return simulate(data, setting, 1000, 40, "cpu", dtype=dtype)

        def together(dtype: Any = dtype) -> Any:
            return simulate_many(data, many, 1000, 4, "cpu", record="log", dtype=dtype)

        for name, setting in (("", one), ("_without_replacement", gf.SGD(0.3, 0.9, BATCH))):
            timed = both_clocks(lambda alone=alone, setting=setting: alone(setting), repeats, CPU_TARGET)
            result[f"{dtype}_40_replicas_1000_steps{name}"] = timed | {
                "processor_ratio_of_plain_numpy": plain["processor_min_s"] / timed["processor_min_s"],
                "processor_us_per_run_and_step": timed["processor_min_s"] / 40_000 * 1e6,
            }
        timed = both_clocks(together, repeats)
        result[f"{dtype}_40_settings_4_replicas_1000_steps_log_grid"] = timed | {
            "processor_us_per_run_and_step": timed["processor_min_s"] / 160_000 * 1e6
        }
        z = largest_z(alone(one).loss, plain_sgd(data, one, 1000, 40, seed=1))
        result[f"{dtype}_largest_z_of_the_means_with_plain_numpy"] = z
    return result | {"sweep_400_cells_3_replicas_10_steps": both_clocks(sweep_of_short_cells, repeats)}


def sweep_of_short_cells() -> None:
    """What a cell costs beside its steps."""
    data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    grid = {"learning_rate": np.geomspace(0.01, 0.5, 20), "momentum": np.linspace(0.0, 0.9, 20), "batch_size": [2]}
    with ThreadPoolExecutor(1) as thread:
        sweep(data, grid, thread, steps=10, replicas=3)


def both_clocks(run: Callable[[], Any], repeats: int, target: float | None = None) -> dict[str, Any]:
    """Wall-clock times, and the least time of the processor, which what else the machine does disturbs less."""
    return summary(seconds(run, repeats), target) | {
        "processor_min_s": min(seconds(run, repeats, clock=time.process_time))
    }


def largest_z(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of the mean losses in its standard errors: other batches, the same law."""
    error = np.sqrt(ours.var(axis=0, ddof=1) / len(ours) + theirs.var(axis=0, ddof=1) / len(theirs))
    z = (ours.mean(axis=0) - theirs.mean(axis=0))[1:] / error[1:]
    return float(abs(z).max())
