"""1,000 settings x 10^4 steps on 1,000 MNIST digits by every way there is, against what the chip can do."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.machine import limits, wait
from benchmarks.simulate import BATCH, spread
from benchmarks.timing import seconds, summary
from genfun.experiments import log_grid, simulate_many
from genfun.experiments.simulation.batches import index_blocks
from genfun.experiments.simulation.devices import device_of
from genfun.experiments.simulation.engine import run_chunk
from genfun.experiments.simulation.ensemble import run_ensemble

TARGET = 1.0
REPEATS = 3


def measure(findings: Findings) -> None:
    import torch

    device, small = findings.device, findings.small
    data = gf.data.mnist(n=100 if small else 1000, seed=0)
    settings, steps = (spread(data, 3, 2), 60) if small else (spread(data, 50, 20), 10_000)
    facts = {"samples": data.n_samples, "batch_size": BATCH, "settings": len(settings), "steps": steps}
    findings.keep("problem", facts)
    reached = findings.attempt("limits", lambda: limits(torch, device, small))
    for name, (dtype, build) in engines(device, small).items():
        findings.attempt(
            f"{name}, {dtype}", lambda d=dtype, b=build, n=name: timed(data, settings, steps, d, b, n, reached, device)
        )
    findings.attempt("peers", lambda: peers(data, settings, steps, 20 if small else 300, device))
    findings.attempt("many runs", lambda: many_runs(data, 4 if small else 64, steps, device))


def engines(device: str, small: bool) -> dict[str, tuple[str, Callable[[], tuple[Any, Any]]]]:
    """By name: precision, and arrays and engine, made where a failure is caught."""
    from genfun.experiments.simulation.torch_backend import TorchBackend

    def fused(dtype: Any) -> tuple[Any, Any]:
        from genfun.experiments.simulation.triton_kernel import run_fused

        return TorchBackend(device, dtype), run_fused

    found: dict[str, tuple[str, Callable[[], tuple[Any, Any]]]] = {}
    for dtype in ("float32", "float64"):
        d: Any = dtype
        found[f"replayed graph {dtype}"] = dtype, lambda d=d: (TorchBackend(device, d), run_chunk)
        found[f"launched from the host {dtype}"] = dtype, lambda d=d: (TorchBackend(device, d, graph=False), run_chunk)
    # Last, and never slowly in the interpreter: a bad address would spoil the device for the others.
    if importlib.util.find_spec("triton") is not None and not small:
        for dtype in ("float32", "float64"):
            found[f"fused kernel {dtype}"] = dtype, lambda d=dtype: fused(d)
    return found


def timed(
    data: gf.LinearData,
    settings: list[gf.SGD],
    steps: int,
    dtype: str,
    build: Callable[[], tuple[Any, Any]],
    name: str,
    reached: dict[str, float] | None,
    device: str,
) -> dict[str, Any]:
    """Wall-clock times from the settings to the losses on the host, what bounds them, and how right the losses are."""
    arrays, engine = build()
    few = log_grid(min(200, steps))

    def run(methods: list[gf.SGD], kept: Any) -> Any:
        found = run_ensemble(data, methods, kept, 1, 0, "fresh", arrays, engine, lambda done: None)
        wait(device)
        return found

    check = settings[:: max(1, len(settings) // 4)]
    reference = [r.loss for r in simulate_many(data, check, int(few[-1]), 1, "cpu", record=few)]
    off = max(abs(a / b - 1.0).max() for a, b in zip(run(check, few), reference, strict=True))
    kept = log_grid(steps)
    times = seconds(lambda: run(settings, kept), REPEATS)
    result = summary(times, TARGET) | {f"largest_relative_difference_from_numpy_float64_to_step_{few[-1]}": float(off)}
    if reached is not None:
        rows = len(settings) * steps
        result |= floors(reached, min(times), arrays.itemsize, "fused" in name, dtype, rows, data.n_samples, steps)
    return result


def floors(
    limits: dict[str, float], best: float, itemsize: int, fused: bool, dtype: str, rows: int, n: int, steps: int
) -> dict[str, float]:
    """Operations and bytes of all runs, and the least time that they take at the measured limits of the chip.

    An operation is a multiplication or an addition of an update or a gradient. The kernel reads the table and the
    batches from device memory once and its rows from the second-level cache; the array path also writes and reads the
    states at every step, some of it in that cache too. `rows` is settings times steps.
    """
    operations = rows * n * (2 * BATCH + 7)
    table = itemsize * n * n + 8 * steps * BATCH
    # Array path, a step and setting: g written and read, v read and written, w read and written with v read again.
    memory = table if fused else table + rows * n * itemsize * 7
    counted = {
        "operations": operations,
        "least_bytes": memory,
        "state_bytes": 2 * rows // steps * n * itemsize,
        "cache_bytes": rows * n * itemsize * BATCH if fused else 0,
        "floor_s_operations": operations / limits[f"{dtype}_operations_per_s"],
        "floor_s_bytes": memory / limits["copied_bytes_per_s"],
        "reached_operations_per_s": operations / best,
        "reached_memory_bytes_per_s": memory / best,
    }
    counted["reached_cache_bytes_per_s"] = counted["cache_bytes"] / best
    return counted


def peers(data: gf.LinearData, settings: list[gf.SGD], steps: int, few: int, device: str) -> dict[str, Any]:
    """The usual way: one run of one setting after another, a Python loop over steps in torch; EXTRAPOLATED."""
    import torch

    phi, error = (torch.tensor(a, dtype=torch.float32, device=device) for a in (data.eigenfeatures, data.residuals))
    lam = torch.tensor(data.eigenvalues, dtype=torch.float32, device=device)
    start = torch.tensor(-data.coefficients[:, 0], dtype=torch.float32, device=device)

    def run() -> None:
        m = settings[0]
        w, v, losses = start.clone(), torch.zeros_like(start), []
        for _ in range(few):
            losses.append(0.5 * (w**2 @ lam + data.noise_variance))
            index = torch.randint(data.n_samples, (BATCH,), device=device)
            rows = phi[index]
            misfit = rows @ w - error[index, 0]
            v = m.momentum * v - m.learning_rate / BATCH * (misfit @ rows)
            w = w + v
        torch.stack(losses).cpu()

    per_step = min(seconds(run, REPEATS)) / few
    return {
        "s_per_run_and_step": per_step,
        "steps_timed": few,
        "extrapolated_s_of_all_settings_and_steps": per_step * steps * len(settings),
        "note": "one setting was timed over the steps timed; the rest is that time in proportion",
    }


def many_runs(data: gf.LinearData, replicas: int, steps: int, device: str) -> dict[str, Any]:
    """16 settings of many runs each, whose batches differ: the host draws them while the device works."""
    settings = spread(data, 4, 4)
    seeds = np.random.SeedSequence(0).spawn(replicas)
    start, drawn = time.perf_counter(), 0
    for block in index_blocks(seeds, data.n_samples, BATCH, False, "fresh"):
        drawn += len(block)
        if drawn >= steps:
            break
    drawing = time.perf_counter() - start
    place, kept = "torch" if device == "cpu" else device, log_grid(steps)
    arrays, engine = device_of(place, "float32")

    def run() -> Any:
        return run_ensemble(data, settings, kept, replicas, 0, "fresh", arrays, engine, lambda done: None)

    return {
        "settings": len(settings),
        "replicas": replicas,
        "steps": steps,
        "drawing_alone_s": drawing,
        "s": min(seconds(run, 2)),
    }
