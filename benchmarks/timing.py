"""Medians of repeats, and the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def seconds(
    run: Callable[..., Any],
    repeats: int,
    fresh: Callable[[], Any] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Wall-clock seconds of each repeat, after one that is not counted; with time.process_time those of the processor.

    `fresh`, if given, makes the argument of every repeat anew, outside the clock, so that nothing stays cached.
    """
    times = []
    for _ in range(repeats + 1):
        arguments = () if fresh is None else (fresh(),)
        start = clock()
        run(*arguments)
        times.append(clock() - start)
    return times[1:]


def summary(times: list[float], target: float | None = None) -> dict[str, Any]:
    """Median, least and greatest, and whether the target is met by the median."""
    result: dict[str, Any] = {
        "median_s": statistics.median(times),
        "min_s": min(times),
        "max_s": max(times),
        "repeats": len(times),
    }
    if target is not None:
        result |= {"target_s": target, "target_met": result["median_s"] <= target}
    return result


def timed(
    run: Callable[..., Any], repeats: int, target: float | None = None, fresh: Callable[[], Any] | None = None
) -> dict[str, Any]:
    """`summary` of the wall clock, with the median of the processor's time of the same repeats."""
    marks: list[float] = []

    def both() -> float:
        marks.append(time.process_time())
        return time.perf_counter()

    result = summary(seconds(run, repeats, fresh, both), target)
    spent = [stop - start for start, stop in zip(marks[2::2], marks[3::2], strict=True)]
    return result | {"processor_median_s": statistics.median(spent)}


def import_seconds(code: str, repeats: int) -> list[float]:
    """Seconds that a fresh interpreter prints, after one start that is not counted (files then are in the cache)."""

    def once() -> float:
        return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)

    return [once() for _ in range(repeats + 1)][1:]


def machine() -> dict[str, Any]:
    """What the timings depend on."""
    model = platform.processor() or "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "scipy")},
    }
