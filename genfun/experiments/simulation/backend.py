"""The few array operations that runs are made of, in NumPy; `torch_backend` has the same in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np

Dtype = Literal["float64", "float32"]
DTYPES: tuple[str, ...] = get_args(Dtype)


@runtime_checkable
class Backend(Protocol):
    """Array operations on one device in one precision; arrays also support `[...] =`, `+=`, `*=`, `@` and reshape."""

    itemsize: int
    """Bytes of a number."""
    chunk_bytes: int
    """Memory that one chunk of runs works on."""

    def multiply(self, a: Any, b: Any, out: Any) -> Any:
        """a * b into out."""
        ...

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """Matrix products a @ b, batched over leading axes, into out."""
        ...

    def put(self, array: Any) -> Any:
        """A NumPy array of floats on the device, in the precision of the runs."""
        ...

    def table(self, array: Any) -> Any:
        """As `put`, remembered until another table is asked for: chunks share it."""
        ...

    def numbers(self, array: Any) -> Any:
        """A NumPy array of sample numbers on the device."""
        ...

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Memory on the device."""
        ...

    def fetch(self, array: Any) -> Any:
        """The array as NumPy doubles."""
        ...

    def take_rows(self, table: Any, index: Any, out: Any) -> None:
        """table[index] into out: (N, D) at (runs, b) gives (runs, b, D)."""
        ...

    def pick(self, x: Any, index: Any) -> Any:
        """x[r, s, index[r, j]], shape (runs, settings, b)."""
        ...

    def counts(self, index: Any, n: int) -> Any:
        """How often each of n samples is in the batch of each run, shape (runs, n)."""
        ...

    def ready(self, step: Callable[[], None]) -> Callable[[], None]:
        """The step in the form in which it is fastest to repeat; it works in place on fixed memory."""
        ...


class NumPyBackend:
    """NumPy on the CPU.

    Parameters
    ----------
    dtype : "float64" or "float32"
    """

    chunk_bytes = 1 << 20
    """Fits in the second-level cache of one core; measured best among 2^18 to 2^25 on 1,000 samples."""

    def __init__(self, dtype: Dtype) -> None:
        self.dtype = np.dtype(dtype)
        self.itemsize = self.dtype.itemsize
        self._table: tuple[Any, Any] = (None, None)

    def multiply(self, a: Any, b: Any, out: Any) -> Any:
        """By broadcasting."""
        return np.multiply(a, b, out=out)

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """By BLAS."""
        return np.matmul(a, b, out=out)

    def put(self, array: Any) -> Any:
        """A copy in the precision of the runs, unless it is that already."""
        return np.ascontiguousarray(array, dtype=self.dtype)

    def table(self, array: Any) -> Any:
        """As `put`, kept."""
        if self._table[0] is not array:
            self._table = array, self.put(array)
        return self._table[1]

    def numbers(self, array: Any) -> Any:
        """As it is."""
        return array

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Memory."""
        return np.empty(shape, dtype=self.dtype)

    def fetch(self, array: Any) -> Any:
        """As doubles."""
        return np.asarray(array, dtype=np.float64)

    def take_rows(self, table: Any, index: Any, out: Any) -> None:
        """Whole rows, copied."""
        # Batches are in range; with mode="raise" NumPy would copy through a buffer.
        np.take(table, index, axis=0, out=out, mode="clip")

    def pick(self, x: Any, index: Any) -> Any:
        """One number for each sample of the batch."""
        starts = x.shape[2] * np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1)
        return x.reshape(-1).take(index[:, None, :] + starts)

    def counts(self, index: Any, n: int) -> Any:
        """By one histogram for all runs."""
        runs = index.shape[0]
        flat = index + n * np.arange(runs)[:, None]
        return np.bincount(flat.ravel(), minlength=runs * n).reshape(runs, n).astype(self.dtype)

    def ready(self, step: Callable[[], None]) -> Callable[[], None]:
        """As it is."""
        return step
