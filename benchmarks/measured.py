"""The data's own noise against its targets: measured once, then edges, curves, maps, advice; whole and read in blocks.

Targets are of wall-clock times; those of the processor stand beside them, which what else the machine does disturbs
less.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.simulate import both_clocks
from benchmarks.timing import machine

STEPS = np.unique(np.rint(np.geomspace(1, 1e9, 200)).astype(np.int64))
BATCH = 10
ROWS, COLUMNS, OUTPUTS = 60_000, 784, 10
MEMORY_LIMIT = 1 << 28


def digits() -> gf.LinearData:
    return gf.data.mnist(n=1000, model="ntk")


def tiny() -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 15)) * np.logspace(0, -1, 15)
    return gf.LinearData.from_features(X, X @ rng.standard_normal(15) + 0.3 * rng.standard_normal(120))


def once(run: Callable[[], Any], target: float | None = None) -> dict[str, Any]:
    """A first time that cannot be repeated."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    result = {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}
    return result if target is None else result | {"target_s": target, "target_met": result["wall_s"] <= target}


def on_digits(repeats: int) -> dict[str, Any]:
    """1,000 MNIST digits, tangent kernel."""
    data = digits()
    result: dict[str, Any] = {"measured_noise_once": once(lambda: data.measured_noise, 4.0)}
    noise = data.measured_noise
    result["vectors"], result["pairs"] = noise.pairs.size, int(noise.pairs.first.size)
    result["first_curve_with_its_few_pairs"] = once(lambda: gf.predict(data, gf.SGD(0.1, 0.0, BATCH), STEPS))
    result["first_search_with_its_few_pairs"] = once(lambda: gf.optimize(data, batch_size=BATCH, steps=1000))
    for beta in (0.0, 0.9):
        edge = gf.max_learning_rate(data, beta, BATCH)
        result[f"edge_momentum_{beta:g}"] = both_clocks(
            lambda beta=beta: gf.max_learning_rate(data, beta, BATCH), repeats, 0.010
        )
        for share in (0.05, 0.5, 0.95):
            method = gf.SGD(share * edge, beta, BATCH)
            result[f"curve_200_steps_to_1e9_momentum_{beta:g}_share_{share:g}"] = both_clocks(
                lambda method=method: gf.predict(data, method, STEPS), repeats, 0.050
            )
    rates, momenta = np.geomspace(0.01, 1.0, 100), np.linspace(-0.9, 0.9, 100)
    few = min(repeats, 3)
    result["loss_map_100x100"] = both_clocks(lambda: gf.loss_map(data, rates, momenta, 10_000, BATCH), few, 5.0)
    result["optimize_1000_steps"] = both_clocks(lambda: gf.optimize(data, batch_size=BATCH, steps=1000), few, 1.0)
    loss = float(gf.predict(data, gf.SGD(0.3, 0.0, BATCH), 1000).loss)
    result["critical_batch_size"] = both_clocks(lambda: gf.critical_batch_size(data, loss=loss), few, 1.0)
    result["exact_edge"] = both_clocks(lambda: gf.max_learning_rate(data, 0.9, BATCH, noise="exact"), few, 2.0)
    return result


def explained(repeats: int) -> dict[str, Any]:
    """What a newcomer waits for on 120 samples of 15 features: the noise measured and everything explained."""
    return both_clocks(lambda: gf.explain(tiny(), gf.SGD(0.05, 0.5, 8)), min(repeats, 3), 1.0)


def report() -> dict[str, Any]:
    """`genfun report mnist`, a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "genfun", "report", "mnist", "--out", folder]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        result = once(lambda: subprocess.run(command, check=True, capture_output=True), 10.0)
        return result | {"processor_s": resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before}


def streamed(folder: Path) -> dict[str, Any]:
    """60,000 x 784 in a file, eigenfeatures beyond the memory limit: the noise measured from blocks of rows."""
    rng = np.random.default_rng(0)
    path = folder / "rows.f32"
    rows = np.memmap(path, dtype=np.float32, mode="w+", shape=(ROWS, COLUMNS))
    mixing = rng.standard_normal((40, COLUMNS)) * np.arange(1, 41)[:, None] ** -0.5
    classes, y = rng.standard_normal((40, OUTPUTS)), np.empty((ROWS, OUTPUTS))
    for start in range(0, ROWS, 5_000):
        part = slice(start, start + 5_000)
        hidden = rng.standard_normal((5_000, 40))
        rows[part] = np.maximum(hidden @ mixing, 0.0) + 0.05 * rng.standard_normal((5_000, COLUMNS))
        y[part] = np.eye(OUTPUTS)[(hidden @ classes).argmax(axis=1)] - 0.1
    rows.flush()
    X = np.memmap(path, dtype=np.float32, mode="r", shape=(ROWS, COLUMNS))
    found: list[gf.LinearData] = []

    def read() -> None:
        found.append(gf.LinearData.from_features(X, y, memory_limit=MEMORY_LIMIT))

    result: dict[str, Any] = {"rows": ROWS, "columns": COLUMNS, "spectrum": once(read)}
    data = found[0]
    result["measured_noise_once"] = once(lambda: data.measured_noise, 100.0)
    noise = data.measured_noise
    result |= {"products": noise.products, "edge_error": noise.error, "loss_error": noise.loss_error}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result | {"peak_resident_bytes": peak, "target_bytes": 2_000_000_000, "memory_target_met": peak <= 2e9}


def measured(repeats: int) -> dict[str, Any]:
    """All of it but what is read in blocks."""
    return {
        "genfun": gf.__version__,
        "machine": machine(),
        "mnist_ntk_1000": on_digits(repeats),
        "explain_120x15": explained(repeats),
        "report_mnist": report(),
    }


def in_blocks() -> dict[str, Any]:
    """What is read in blocks; some minutes."""
    with tempfile.TemporaryDirectory() as folder:
        return {"genfun": gf.__version__, "machine": machine(), "rows_in_blocks": streamed(Path(folder))}
