"""Many small symmetric systems at once: Gaussian elimination along whole arrays of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from genfun._typing import Array, Bool, Float, Shaped
from genfun.sample_space.projection import symmetric

TOGETHER = 512
"""Systems eliminated together, so that they stay in the cache."""
SMALL = 1e-3
"""A pivot this small, relative to the entries of its system, is no pivot: those systems are solved one by one."""


@lru_cache
def _places(m: int) -> tuple[Array, list[Array]]:
    """Where a packed upper triangle has its rows' starts, and the part of every column above the diagonal."""
    starts = np.concatenate([[0], np.cumsum(np.arange(m, 1, -1))])
    return starts, [np.array([starts[j] + i - j for j in range(i)], dtype=np.int64) for i in range(m)]


def _eliminate(packed: Array, right: Array | None, m: int) -> Array:
    """Eliminates all unknowns but the first in place, the last one first; returns the pivots, shape (m, k)."""
    starts, columns = _places(m)
    for i in range(m - 1, 0, -1):
        column = packed[columns[i]]
        factors = column / packed[starts[i]]
        for j in range(i):
            packed[starts[j] : starts[j] + i - j] -= factors[j] * column[j:]
        if right is not None:
            right[:i] -= factors * right[i]
    return packed[starts]


def _minus(kernel: Array, z: Array, m: int) -> Array:
    """I - zK, packed."""
    packed = kernel * -z
    packed[_places(m)[0]] += 1.0
    return packed


@np.errstate(all="ignore")
def first_solutions(
    kernel: Shaped[Array, "mm k"], source: Shaped[Array, "m k"], z: Shaped[Array, " k"]
) -> Shaped[Array, " k"]:
    r"""The first unknown of every system :math:`(I - zK)\,x = b`.

    **Assumptions.** I - zK needs no exchange of rows as long as its symmetric part is positive, which is so inside the
    disc of convergence; where a pivot is small after all, that system is solved by itself.

    Parameters
    ----------
    kernel : array, shape (m (m + 1)/2, k)
        Upper triangles of K, row by row.
    source : array, shape (m, k)
        b.
    z : array, shape (k,)
    """
    m = source.shape[0]
    result = np.empty(z.size, dtype=np.result_type(kernel, source, z))
    for start in range(0, z.size, TOGETHER):
        part = slice(start, start + TOGETHER)
        packed, right = _minus(kernel[:, part], z[part], m), source[:, part].astype(result.dtype)
        size = np.abs(packed).max(axis=0)
        pivots = _eliminate(packed, right, m)
        result[part] = right[0] / packed[0]
        small = np.flatnonzero(~(np.abs(pivots).min(axis=0) > SMALL * size)) + start
        if small.size:
            matrix = symmetric(_minus(kernel[:, small], z[small], m), m)
            sound = np.isfinite(matrix).all(axis=(1, 2))
            result[small[~sound]] = np.nan
            small = small[sound]
            result[small] = np.linalg.solve(matrix[sound], source[:, small].T[:, :, None])[:, 0, 0]
    return result


@np.errstate(all="ignore")
def gain_below_one(kernel: Float[Array, "mm k"], z: Float[Array, " k"], m: int) -> Bool[Array, " k"]:
    """Whether the largest eigenvalue of zK is below 1, z > 0: all pivots of I - zK are positive.

    Parameters
    ----------
    kernel : array, shape (m (m + 1)/2, k)
        Upper triangles of K, row by row.
    z : array, shape (k,)
    m : int
    """
    below = np.empty(z.size, dtype=bool)
    for start in range(0, z.size, TOGETHER):
        part = slice(start, start + TOGETHER)
        below[part] = (_eliminate(_minus(kernel[:, part], z[part], m), None, m) > 0.0).all(axis=0)
    return below
