"""The array operations of runs in torch. Imports torch: import this module inside functions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from genfun.experiments.simulation.backend import Dtype

WARM_UP = 3
"""Steps tried before a graph is captured, as torch asks."""


def usable_gpus() -> int:
    """GPUs that torch sees."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_names() -> list[str]:
    """What torch calls them."""
    return [torch.cuda.get_device_name(i) for i in range(usable_gpus())]


class TorchBackend:
    """Torch on one device; on a GPU a step is captured once as a CUDA graph and replayed.

    On a GPU it is checked by `bash benchmarks/gpu.sh`, whose figures are in benchmarks/gpu.json.

    Parameters
    ----------
    device : str
        As torch names it.
    dtype : "float64" or "float32"
    graph : bool
        Whether a GPU replays a graph; without it every operation is launched from the host.
    """

    together: int | None = None
    sparse = False

    def __init__(self, device: str, dtype: Dtype, graph: bool = True) -> None:
        self.device = torch.device(device)
        self.dtype = torch.float64 if dtype == "float64" else torch.float32
        self.itemsize = self.dtype.itemsize
        self.graph = graph and self.device.type == "cuda"
        # A quarter of what is free, as the arrays beside the states take their part too.
        self.chunk_bytes = torch.cuda.mem_get_info(self.device)[0] // 4 if self.device.type == "cuda" else 1 << 20
        self._table: tuple[Any, Any] = (None, None)

    def multiply(self, a: Any, b: Any, out: Any) -> torch.Tensor:
        """By broadcasting."""
        return torch.mul(a, b, out=out)

    def matmul(self, a: Any, b: Any, out: Any) -> torch.Tensor:
        """By BLAS, in full single precision unless torch is told otherwise."""
        return torch.matmul(a, b, out=out)

    def through(self, x: Any, matrix: Any, out: Any) -> torch.Tensor:
        """By BLAS, all rows in one product."""
        return torch.matmul(x.reshape(-1, x.shape[2]), matrix, out=out.reshape(-1, out.shape[2]))

    def weighted(self, x: Any, weights: Any) -> torch.Tensor:
        """By BLAS."""
        return x @ weights

    def squares(self, x: Any) -> torch.Tensor:
        """As torch does it."""
        return torch.linalg.vecdot(x, x)

    def put(self, array: Any) -> torch.Tensor:
        """A copy on the device."""
        return torch.tensor(np.ascontiguousarray(array), dtype=self.dtype, device=self.device)

    def table(self, array: Any) -> torch.Tensor:
        """As `put`, kept."""
        if self._table[0] is not array:
            self._table = array, self.put(array)
        return self._table[1]

    def numbers(self, array: Any) -> torch.Tensor:
        """A copy on the device."""
        return torch.tensor(array, device=self.device)

    def empty(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Memory on the device."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def fetch(self, array: torch.Tensor) -> Any:
        """As NumPy doubles."""
        return array.to("cpu", torch.float64).numpy()

    def take_rows(self, table: torch.Tensor, index: torch.Tensor, out: torch.Tensor) -> None:
        """Whole rows, copied."""
        torch.index_select(table, 0, index.reshape(-1), out=out.view(-1, table.shape[1]))

    def pick(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """One number for each sample of the batch."""
        return torch.take_along_dim(x, index[:, None, :], dim=2)

    def counts(self, index: torch.Tensor, n: int) -> torch.Tensor:
        """By one scattered sum."""
        result = torch.zeros((index.shape[0], n), dtype=self.dtype, device=self.device)
        return result.scatter_add_(1, index, torch.ones_like(index, dtype=self.dtype))

    def ready(self, step: Callable[[], None]) -> Callable[[], None]:
        """On a GPU the replay of its graph."""
        if not self.graph:
            return step
        with torch.cuda.device(self.device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
        return graph.replay
