"""Every kind of run that `simulate` takes, on the device and by NumPy: largest relative differences of the losses."""

from __future__ import annotations

from typing import Any

import numpy as np

import genfun as gf
from benchmarks.gpu.findings import Findings
from genfun.experiments import simulate
from genfun.experiments.simulation.backend import Dtype

STEPS, RUNS, B = 600, 3, 8
"""More steps than one block of batches has."""
ROUNDING: dict[Dtype, float] = {"float64": 1e-11, "float32": 1e-4}
"""Largest difference allowed: two summations of one run, at half of a stable rate."""


def measure(findings: Findings) -> None:
    for name, data in problems(findings.small).items():
        for what, method in methods(data).items():
            for dtype in ROUNDING:

                def work(data: gf.LinearData = data, method: Any = method, dtype: Dtype = dtype) -> dict[str, Any]:
                    return compared(data, method, dtype, findings.device)

                findings.attempt(f"{what}, {name}, {dtype}", work, needs=2.0)


def problems(small: bool) -> dict[str, gf.LinearData]:
    """One that runs on its residuals and one, of two outputs, on its weights."""
    n, wide, tall = (40, 60, 10) if small else (400, 600, 50)
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((n, wide)), rng.standard_normal((wide, 2))
    falling = rows * np.arange(1.0, wide + 1.0) ** -0.5
    one = gf.LinearData.from_features(falling, falling @ weights[:, 0])
    some = falling[:, :tall]
    two = gf.LinearData.from_features(some, some @ weights[:tall] + 0.1 * rng.standard_normal((n, 2)))
    return {"residuals": one, "weights of two outputs": two}


def methods(data: gf.LinearData) -> dict[str, Any]:
    """Settings at about half of the largest stable rate."""
    rate = 0.5 * gf.max_learning_rate(data, batch_size=B)
    steps = np.arange(STEPS)
    rates, momenta = rate / np.sqrt(1.0 + steps / 100.0), 0.5 - 0.5 * steps / STEPS
    sizes = np.where(steps < STEPS // 2, B // 2, B)
    plain = gf.SGD(rate, 0.5, B)
    return {
        "SGD": plain,
        "full batch": gf.SGD(rate, 0.5),
        "with replacement": gf.SGD(rate, -0.3, B, replacement=True),
        "epochs": gf.SGD(rate, 0.5, B, sampling="epochs"),
        "dampening and weight decay": gf.SGD(rate, 0.5, B, dampening=0.3, weight_decay=0.01),
        "Nesterov": gf.SGD(0.5 * rate, 0.7, B, nesterov=True),
        "QHM": gf.QHM(0.5 * rate, 0.9, 0.5, B),
        "running average": gf.Averaged(plain, "ema", decay=0.9),
        "average of a tail": gf.Averaged(plain, "tail", start=100),
        "schedule of torch": gf.ScheduledSGD(rates, momenta, B, dampening=0.2),
        "schedule of Keras": gf.ScheduledSGD(rates, momenta, B, convention="keras"),
        "growing batches": gf.ScheduledSGD(0.5 * rates, momenta, sizes),
    }


def compared(data: gf.LinearData, method: Any, dtype: Dtype, device: str) -> dict[str, Any]:
    """Largest relative difference from NumPy in the same precision; an error where it exceeds rounding."""
    runs = 1 if method.batch_size is None else RUNS
    place = "torch" if device == "cpu" else device
    ours = simulate(data, method, STEPS, runs, place, dtype=dtype).loss
    theirs = simulate(data, method, STEPS, runs, "cpu", dtype=dtype).loss
    apart = float(abs(ours / theirs - 1.0).max())
    if not apart < ROUNDING[dtype]:
        raise ArithmeticError(f"losses differ by {apart:.1e} of their value, more than the {ROUNDING[dtype]:.0e} known")
    return {"from_numpy": apart, "last_loss": float(ours[:, -1].mean())}
