"""Simulated runs against their targets: on the CPU in NumPy, on a GPU by the fused kernel and by the replayed graph."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.plain_sgd import plain_sgd
from benchmarks.timing import machine, seconds, summary
from genfun.experiments import log_grid, simulate, simulate_many

BATCH = 10
CPU_TARGET, GPU_TARGET = 1.0, 1.0
GPU_STEPS = 10_000


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
    return result


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


def on_gpu(device: str, repeats: int) -> dict[str, Any]:
    """1000 settings x 10^4 steps on 1,000 MNIST digits, one run each, by every way there is."""
    import torch

    from genfun.experiments.simulation._torch import TorchBackend
    from genfun.experiments.simulation.engine import run_chunk
    from genfun.experiments.simulation.ensemble import run_ensemble

    data = gf.data.mnist(n=1000, seed=0)
    settings, kept = spread(data, 50, 20), log_grid(GPU_STEPS)
    result: dict[str, Any] = {"machine": machine() | gpu(torch, device), "samples": 1000, "batch_size": BATCH}
    result |= {"settings": len(settings), "steps": GPU_STEPS, "limits": limits(torch, device)}
    for dtype in ("float32", "float64"):
        engines: dict[str, tuple[Any, Callable[..., Any]]] = {
            "replayed_graph": (TorchBackend(device, dtype), run_chunk),
            "launched_from_host": (TorchBackend(device, dtype, graph=False), run_chunk),
        }
        if importlib.util.find_spec("triton") is not None:
            from genfun.experiments.simulation._triton import run_fused

            engines = {"fused_kernel": (TorchBackend(device, dtype), run_fused), **engines}
        check = settings[::333]
        few = log_grid(200)
        reference = [r.loss for r in simulate_many(data, check, 200, 1, "cpu", record=few)]
        for name, (arrays, engine) in engines.items():

            def run(methods: list[gf.SGD], steps: Any, arrays: Any = arrays, engine: Any = engine) -> Any:
                found = run_ensemble(data, methods, steps, 1, 0, "fresh", arrays, engine, lambda done: None)
                torch.cuda.synchronize(device)
                return found

            times = seconds(lambda run=run: run(settings, kept), repeats)
            off = [abs(a / b - 1.0).max() for a, b in zip(run(check, few), reference, strict=True)]
            result[f"{dtype}_{name}"] = summary(times, GPU_TARGET) | {
                "largest_relative_difference_from_numpy_float64_to_step_200": float(max(off)),
                **floors(result["limits"], min(times), arrays.itemsize, name == "fused_kernel", dtype),
            }
    return result


def floors(limits: dict[str, float], best: float, itemsize: int, fused: bool, dtype: str) -> dict[str, float]:
    """Operations and bytes of all runs, and the least time that they take at the measured limits of the chip.

    An operation is a multiplication or an addition of an update or a gradient. The kernel reads the table and the
    batches from device memory once and its rows from the second-level cache; the array path also writes and reads the
    states at every step, some of it in that cache too.
    """
    rows, n = 1000 * GPU_STEPS, 1000
    operations = rows * n * (2 * BATCH + 7)
    table = itemsize * n * n + 8 * GPU_STEPS * BATCH
    # Array path, a step and setting: g written and read, v read and written, w read and written with v read again.
    memory = table if fused else table + rows * n * itemsize * 7
    counted = {
        "operations": operations,
        "least_bytes": memory,
        "cache_bytes": rows * n * itemsize * BATCH if fused else 0,
        "floor_s_operations": operations / limits[f"{dtype}_operations_per_s"],
        "floor_s_bytes": memory / limits["copied_bytes_per_s"],
        "reached_operations_per_s": operations / best,
    }
    counted["reached_cache_bytes_per_s"] = counted["cache_bytes"] / best
    return counted


def limits(torch: Any, device: str) -> dict[str, float]:
    """Measured: bytes read plus written by a large copy, and operations of a large matrix product in full precision."""

    def best(work: Callable[[], Any]) -> float:
        def timed() -> None:
            work()
            torch.cuda.synchronize(device)

        return min(seconds(timed, 5))

    source = torch.rand(1 << 28, device=device)
    target = torch.empty_like(source)
    found = {"copied_bytes_per_s": 2 * source.nbytes / best(lambda: target.copy_(source))}
    for dtype in ("float32", "float64"):
        a = torch.rand((8192, 8192), dtype=getattr(torch, dtype), device=device)
        found[f"{dtype}_operations_per_s"] = 2 * 8192**3 / best(lambda a=a: a @ a)
    return found


def gpu(torch: Any, device: str) -> dict[str, Any]:
    """The GPU and the libraries that drive it."""
    properties = torch.cuda.get_device_properties(device)
    versions = {
        name: importlib.metadata.version(name) for name in ("torch", "triton") if importlib.util.find_spec(name)
    }
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        **versions,
    }
