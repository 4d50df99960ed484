"""From the name of a device to the arrays and the engine that serve it."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from genfun.experiments.simulation.backend import Backend, Dtype, NumPyBackend
from genfun.experiments.simulation.engine import run_chunk

Run = Callable[..., Any]
"""An engine: see `genfun.experiments.simulation.engine.run_chunk`."""

DRIVERS = ("libcuda.so.1", "nvcuda.dll")


def device_of(name: str, dtype: Dtype) -> tuple[Backend, Run]:
    """Arrays and engine of a device.

    "cpu" is NumPy. "cuda" or "cuda:1" is that GPU through torch: the fused kernel if triton is there and the state
    fits, the array path otherwise. "torch" is the array path of torch on the CPU, which gives the numbers of NumPy and
    is there to check the GPU's. "auto" is "cuda" where torch sees a GPU and "cpu" elsewhere.

    Parameters
    ----------
    name : str
    dtype : "float64" or "float32"
    """
    if not isinstance(name, str):
        raise TypeError(f"device must be 'auto', 'cpu', 'torch' or 'cuda', got {name!r}")
    if name == "auto":
        name = "cuda" if _sees_gpu() else "cpu"
    if name == "cpu":
        return NumPyBackend(dtype), run_chunk
    if name != "torch" and name != "cuda" and not (name.startswith("cuda:") and name[5:].isdigit()):
        raise ValueError(f"device must be 'auto', 'cpu', 'torch', 'cuda' or 'cuda:<number>', got {name!r}")
    if importlib.util.find_spec("torch") is None:
        raise ValueError(f"device={name!r} needs torch; install genfun[experiments], or use device='cpu'")
    from genfun.experiments.simulation.torch_backend import TorchBackend, usable_gpus

    if name == "torch":
        return TorchBackend("cpu", dtype), run_chunk
    number = int(name[5:] or 0)
    if number >= usable_gpus():
        raise ValueError(f"device={name!r} is not there: torch sees {usable_gpus()} GPUs; use device='cpu'")
    arrays = TorchBackend(f"cuda:{number}", dtype)
    if importlib.util.find_spec("triton") is None:
        return arrays, run_chunk
    from genfun.experiments.simulation.triton_kernel import run_fused

    return arrays, run_fused


def _sees_gpu() -> bool:
    """Whether torch is installed and sees a GPU; without the driver torch is not even imported."""
    if importlib.util.find_spec("torch") is None:
        return False
    if "torch" not in sys.modules and not any(_loads(driver) for driver in DRIVERS):
        return False
    from genfun.experiments.simulation.torch_backend import usable_gpus

    return usable_gpus() > 0


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
