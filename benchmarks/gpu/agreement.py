"""The GPU's two ways through a run beside NumPy's, on the same batches: largest relative differences of the losses."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.gpu.findings import Findings
from genfun.experiments.simulation.backend import Dtype, NumPyBackend
from genfun.experiments.simulation.batches import index_blocks
from genfun.experiments.simulation.engine import run_chunk
from genfun.experiments.simulation.space import Space
from genfun.experiments.simulation.updates import Updates

MOMENTA = (-0.5, 0.0, 0.5, 0.9)
RUNS = 3


@dataclass(frozen=True)
class Case:
    """Samples, length of the state, batch size (None: all, without chance), outputs, space, share of a stable rate."""

    n: int
    d: int
    b: int | None
    outputs: int = 1
    on_samples: bool = False
    replacement: bool = False
    share: float = 0.2
    steps: int = 300

    @property
    def name(self) -> str:
        where = "samples" if self.on_samples else "weights"
        words = f"D={self.d}, N={self.n}, b={'N' if self.b in (None, self.n) else self.b}, {where}"
        words += f", {self.outputs} outputs" if self.outputs > 1 else ""
        words += ", with replacement" if self.replacement else ""
        return words + (", diverging" if self.share > 1.0 else "")


CASES = (
    Case(1000, 1, 1),
    Case(1000, 1, 10, outputs=3),
    Case(1000, 1000, 1, on_samples=True),
    Case(1000, 1000, 10, outputs=10, on_samples=True),
    Case(1000, 1000, 10, outputs=2),
    Case(1000, 1000, None),
    Case(1000, 1000, 1000, replacement=True, on_samples=True),
    Case(1000, 1000, 1000, replacement=True, outputs=2),
    Case(4096, 4096, 10, on_samples=True),
    Case(4096, 4096, 100, outputs=2),
    Case(4096, 4096, 1, on_samples=True, share=30.0),
    Case(1000, 1000, 10, outputs=2, share=100.0),
    Case(1000, 1, 1, share=1000.0),
)
SMALL = (
    Case(60, 1, 1, steps=12),
    Case(60, 60, 2, outputs=2, on_samples=True, steps=12),
    Case(60, 20, 3, steps=12),
    Case(60, 20, None, steps=12),
    Case(60, 60, 60, replacement=True, on_samples=True, steps=12),
    Case(60, 60, 1, on_samples=True, share=1e16, steps=40),
)


def measure(findings: Findings) -> None:
    cases = SMALL if findings.small else CASES
    ways, why = ["graph", "fused"], no_kernel(findings.device)
    if why:
        ways = ["graph"]
        findings.keep("fused", {"left out": why})
    references: dict[tuple[Case, Dtype], np.ndarray] = {}
    # The graph first: after a bad address in the kernel the device answers nothing more.
    for way in ways:
        for case in cases:
            for dtype in ("float64", "float32"):

                def work(case: Case = case, dtype: Dtype = dtype, way: str = way) -> dict[str, Any]:
                    for kind in ("float64", dtype):
                        if (case, kind) not in references:
                            references[case, kind] = losses(case, kind, "numpy", findings.device)
                    return compared(
                        losses(case, dtype, way, findings.device),
                        references[case, "float64"],
                        references[case, dtype],
                        case.share > 1.0,
                    )

                findings.attempt(f"{way}, {dtype}: {case.name}", work, needs=2.0)


def no_kernel(device: str) -> str:
    """Why the kernel cannot run here, if it cannot."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if device == "cpu" and np.lib.NumpyVersion(np.__version__) >= "2.4.0":
        # int() of an array of one number, on which its loops rest, is an error since.
        return "triton's interpreter, as of 3.6, needs NumPy before 2.4"
    return ""


def losses(case: Case, dtype: Dtype, way: str, device: str) -> np.ndarray:
    """Losses (runs, settings, t) after every step of the same runs by NumPy, the replayed graph or the kernel."""
    space, edge = problem(case)
    settings = Updates.of([gf.SGD(case.share * edge * (1.0 + m) ** 2, m, case.b) for m in MOMENTA])
    run, runs, blocks = run_chunk, RUNS, None
    if case.b is None:
        runs = 1
    else:
        seeds = np.random.SeedSequence(1).spawn(RUNS)
        blocks = index_blocks(seeds, case.n, case.b, case.replacement, "fresh")
    arrays: Any = NumPyBackend(dtype)
    if way != "numpy":
        from genfun.experiments.simulation.torch_backend import TorchBackend

        arrays = TorchBackend(device, dtype)
    if way == "fused":
        from genfun.experiments.simulation.triton_kernel import run_fused

        run = run_fused
    kept = np.arange(case.steps + 1)
    return run(space, settings, blocks, (runs, case.b or case.n), kept, arrays, lambda done: None)


@lru_cache(maxsize=1)
def problem(case: Case) -> tuple[Space, float]:
    """Random features whose lengths fall as a power, at most 64 of them not zero, and about the largest stable rate."""
    rng = np.random.default_rng(case.d)
    rank = min(case.d, 64)
    phi = rng.standard_normal((case.n, rank)) * np.arange(1.0, rank + 1.0) ** -0.75
    edge = 1.0 / (phi**2).sum(axis=1).max()
    errors = 0.1 * rng.standard_normal((case.n, case.outputs))
    if case.on_samples:
        start = -(phi @ np.ones((rank, case.outputs)) + errors).T
        return Space(phi @ phi.T, np.ascontiguousarray(start), np.full(case.n, 0.5 / case.n), 0.0, None), edge
    rows = np.zeros((case.n, case.d))
    rows[:, :rank] = phi
    weights = np.zeros(case.d)
    weights[:rank] = 0.5 * (phi**2).mean(axis=0)
    return Space(rows, -np.ones((case.outputs, case.d)), weights, 0.005, errors), edge


def compared(found: np.ndarray, double: np.ndarray, same: np.ndarray, diverging: bool) -> dict[str, Any]:
    """Differences from NumPy in double and in the same precision, where all are finite; where losses are inf.

    `numpy_from_double` is what rounding alone does to NumPy itself.
    """
    finite = np.isfinite(found) & np.isfinite(double) & np.isfinite(same)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = {
            "from_double": abs(found / double - 1.0)[finite].max(),
            "from_numpy": abs(found / same - 1.0)[finite].max(),
            "numpy_from_double": abs(same / double - 1.0)[finite].max(),
        }
    result: dict[str, Any] = {name: float(value) for name, value in apart.items()}
    result |= {"nan": bool(np.isnan(found).any()), "last_is_inf": bool(np.isinf(found[..., -1]).all())}
    result["inf_at_the_steps_of_numpy"] = bool((np.isinf(found) == np.isinf(same)).all())
    if result["nan"] or result["last_is_inf"] != bool(np.isinf(same[..., -1]).all()):
        raise ArithmeticError(f"losses are nan, or inf where NumPy's are not: {result}")
    if diverging and not result["last_is_inf"]:
        result["note"] = "NumPy's runs did not reach inf either"
    return result
