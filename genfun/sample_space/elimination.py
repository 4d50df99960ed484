"""Many small symmetric systems at once: Gaussian elimination along whole arrays of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from genfun._typing import Array, Bool, Float, Shaped
from genfun.sample_space.projection import symmetric

TOGETHER = 1024
"""Systems eliminated together, so that they stay in the cache."""
FEW = 200
"""Systems up to which a whole triangle is changed at once; of more, the columns one by one stay in a nearer cache."""
SMALL = 1e-3
"""A pivot this small, relative to the entries of its system, is no pivot: those systems are solved one by one."""


@lru_cache
def _places(m: int) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """Where packed rows of an upper triangle have its columns one after the other, and its diagonal then is.

    With the row and the column of every entry of the leading triangles, which are at the front.
    """
    rows = np.zeros((m, m), dtype=np.int64)
    rows[np.triu_indices(m)] = np.arange(m * (m + 1) // 2)
    second, first = np.tril_indices(m)
    entries = [(first[: i * (i + 1) // 2], second[: i * (i + 1) // 2]) for i in range(m)]
    return rows[first, second], np.cumsum(np.arange(1, m + 1)) - 1, entries


def _eliminate(packed: Array, right: Array | None, m: int) -> Array:
    """Eliminates all unknowns but the first in place, the last one first; returns the pivots, shape (m, k)."""
    _, diagonal, entries = _places(m)
    few = packed.shape[1] <= FEW
    for i in range(m - 1, 0, -1):
        start = diagonal[i] - i
        column = packed[start : start + i]
        factors = column / packed[start + i]
        if few:
            first, second = entries[i]
            packed[:start] -= factors[first] * column[second]
        else:
            for j in range(i):
                packed[diagonal[j] - j : diagonal[j] + 1] -= factors[: j + 1] * column[j]
        if right is not None:
            right[:i] -= factors * right[i]
    return packed[diagonal]


def _minus(kernel: Array, z: Array, m: int) -> Array:
    """I - zK, packed column by column."""
    columns, diagonal, _ = _places(m)
    packed = kernel[columns] * -z
    packed[diagonal] += 1.0
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
            matrix = np.eye(m) - z[small, None, None] * symmetric(kernel[:, small], m)
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


def solutions(matrix: Shaped[Array, "k m m"], source: Shaped[Array, "k m"], z: Shaped[Array, " k"]) -> Array:
    """All unknowns of every system (I - zK) x = b, shape (k, m).

    Parameters
    ----------
    matrix : array, shape (k, m, m)
        K.
    source : array, shape (k, m)
        b.
    z : array, shape (k,)
    """
    return np.linalg.solve(np.eye(matrix.shape[1]) - z[:, None, None] * matrix, source[:, :, None])[:, :, 0]
