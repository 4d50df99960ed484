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
    together: int | None
    """Rows of a run whose products are one product; None where all of them are."""
    sparse: bool
    """Whether rows of samples may be added up as products of sparse matrices of SciPy."""

    def multiply(self, a: Any, b: Any, out: Any) -> Any:
        """a * b into out."""
        ...

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """Matrix products a @ b of the rows of each run with its own matrix, into out, shape (runs, rows, .)."""
        ...

    def through(self, x: Any, matrix: Any, out: Any) -> Any:
        """x @ matrix of the rows of all runs with one matrix, into out, shape (runs, rows, .)."""
        ...

    def weighted(self, x: Any, weights: Any) -> Any:
        """Weighted sums of all rows, shape (runs, rows)."""
        ...

    def squares(self, x: Any) -> Any:
        """Sums of the squares of all rows, shape (runs, rows)."""
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

    chunk_bytes = 1 << 23
    """Measured best among 2^19 to 2^25 with 1 MiB of second-level cache and 32 of the third: fewer calls of NumPy weigh
    more than what leaves the second."""
    together: int | None = None
    sparse = True

    def __init__(self, dtype: Dtype) -> None:
        self.dtype = np.dtype(dtype)
        self.itemsize = self.dtype.itemsize
        self._table: tuple[Any, Any] = (None, None)
        self._starts = np.zeros((0, 0, 1), dtype=np.int64)

    def multiply(self, a: Any, b: Any, out: Any) -> Any:
        """By broadcasting."""
        return np.multiply(a, b, out=out)

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """By BLAS."""
        return np.matmul(a, b, out=out)

    def through(self, x: Any, matrix: Any, out: Any) -> Any:
        """By BLAS, all rows in one product."""
        return np.matmul(_flat(x), matrix, out=_flat(out))

    def weighted(self, x: Any, weights: Any) -> Any:
        """By BLAS."""
        return x @ weights

    def squares(self, x: Any) -> Any:
        """By BLAS, each row by itself."""
        return np.matmul(x[:, :, None, :], x[:, :, :, None])[:, :, 0, 0]

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
        if self._starts.shape[:2] != x.shape[:2] or self._starts[-1, -1, 0] != x.size - x.shape[2]:
            self._starts = x.shape[2] * np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1)
        return x.reshape(-1).take(index[:, None, :] + self._starts, mode="clip")

    def counts(self, index: Any, n: int) -> Any:
        """By one histogram for all runs."""
        runs = index.shape[0]
        flat = index + n * np.arange(runs)[:, None]
        return np.bincount(flat.ravel(), minlength=runs * n).reshape(runs, n).astype(self.dtype)

    def ready(self, step: Callable[[], None]) -> Callable[[], None]:
        """As it is."""
        return step


class EachAlone(NumPyBackend):
    """NumPy whose settings, each of as many rows as the data have outputs, have the bits that they would have alone.

    BLAS adds in an order that depends on how many rows a product has. Here a product has those of one setting, so that
    what a setting gives does not depend on those that it is run with; batches and their rows are shared all the same.

    Parameters
    ----------
    outputs : int
    """

    sparse = False

    def __init__(self, outputs: int) -> None:
        super().__init__("float64")
        self.together: int | None = outputs

    def matmul(self, a: Any, b: Any, out: Any) -> Any:
        """By BLAS, for each run and setting."""
        return np.matmul(self._apart(a), b[:, None], out=self._apart(out))

    def through(self, x: Any, matrix: Any, out: Any) -> Any:
        """By BLAS, all runs of a setting in one product."""
        moved = np.ascontiguousarray(self._apart(x).swapaxes(0, 1))
        found = np.matmul(moved.reshape(moved.shape[0], -1, x.shape[2]), matrix)
        self._apart(out)[...] = found.reshape(*moved.shape[:3], -1).swapaxes(0, 1)

    def weighted(self, x: Any, weights: Any) -> Any:
        """By BLAS, for each run and setting."""
        return (self._apart(x) @ weights).reshape(x.shape[:2])

    def _apart(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1, self.together, x.shape[2])


def _flat(x: Any) -> Any:
    return x.reshape(-1, x.shape[-1])
