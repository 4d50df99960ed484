"""The machine: processor, GPU, driver and versions, and what the chip reaches."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
from typing import Any

import genfun as gf
from benchmarks.gpu.findings import Findings
from benchmarks.timing import machine, seconds


def measure(findings: Findings) -> None:
    import torch

    findings.attempt("machine", lambda: {"genfun": gf.__version__, **machine(), **gpu(torch, findings.device)})
    findings.attempt("limits", lambda: limits(torch, findings.device, findings.small))


def gpu(torch: Any, device: str) -> dict[str, Any]:
    """The GPU and the libraries that drive it."""
    versions: dict[str, Any] = {
        name: importlib.metadata.version(name) for name in ("torch", "triton") if importlib.util.find_spec(name)
    }
    if torch.device(device).type == "cpu":
        return versions
    properties = torch.cuda.get_device_properties(device)
    versions |= {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
    }
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        versions["driver"] = done.stdout.strip().partition("\n")[0]
    return versions


def wait(device: str) -> None:
    """Until the device has done all that was launched."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def limits(torch: Any, device: str, small: bool = False) -> dict[str, float]:
    """Measured: bytes read plus written by a large copy, and operations of a large matrix product in full precision."""

    def best(work: Any) -> float:
        def timed() -> None:
            work()
            wait(device)

        return min(seconds(timed, 5))

    size, side = (1 << 20, 256) if small else (1 << 28, 8192)
    source = torch.rand(size, device=device)
    target = torch.empty_like(source)
    found = {"copied_bytes_per_s": 2 * source.nbytes / best(lambda: target.copy_(source))}
    for dtype in ("float32", "float64"):
        a = torch.rand((side, side), dtype=getattr(torch, dtype), device=device)
        found[f"{dtype}_operations_per_s"] = 2 * side**3 / best(lambda a=a: a @ a)
    return found
