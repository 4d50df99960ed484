"""Interpolation from few nodes to all eigenvalues, in log lambda."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genfun._typing import Array, Float
from genfun.problems.bins import bin_edges
from genfun.problems.measure import BIN_WIDTH, NODES_PER_BIN

RESOLVED = 1e-13
"""Relative distance below which two eigenvalues count as one."""


@dataclass(frozen=True)
class Interpolation:
    """Interpolation in log lambda, bin by bin, from nodes to the eigenvalues.

    Parameters
    ----------
    nodes : array, shape (n,)
        Ascending.
    bins : list of (slice, matrix or None)
        For every bin the eigenvalues (ascending) and the matrix (eigenvalues, nodes) of Lagrange polynomials; None
        where the eigenvalues are the nodes.
    """

    nodes: Float[Array, " n"]
    bins: list[tuple[slice, Array | None]]

    def fold(self, values: Float[Array, "r ..."]) -> Float[Array, "n ..."]:
        """Weights on the eigenvalues, along the first axis, moved to the nodes."""
        parts = [values[rows] if matrix is None else matrix.T @ values[rows] for rows, matrix in self.bins]
        return np.concatenate(parts)


def interpolation(lam: Float[Array, " r"], width: float = BIN_WIDTH, count: int = NODES_PER_BIN) -> Interpolation:
    """Chebyshev points in the bins of `bin_edges` (`genfun.problems.bins`); bins of few eigenvalues are kept.

    Unlike Gauss nodes they do not depend on weights, of which there are many here, of both signs. They include the ends
    of their bin, and so the ends of the spectrum, where the poles of the modes are.

    Parameters
    ----------
    lam : array, shape (r,)
        Ascending eigenvalues > 0.
    width : float
        Width of a bin in the logit coordinate, see `bin_edges`.
    count : int
        Nodes in a bin.
    """
    step = np.diff(lam)
    apart = np.flatnonzero(step > RESOLVED * lam[1:])
    if apart.size < 2 * count:
        edges = np.array([], dtype=float)
    else:
        edges = bin_edges(float(lam[0]), float(lam[-1]), (float(step[apart[0]]), float(step[apart[-1]])), width)
    starts = np.unique(np.concatenate(([0], np.searchsorted(lam, edges, side="right"), [lam.size])))
    nodes, bins = [], []
    for start, stop in pairwise(starts.tolist()):
        x = lam[start:stop]
        if edges.size == 0 or x.size <= count:
            nodes.append(x)
            if bins and bins[-1][1] is None:  # neighbours that are kept go together
                start = bins.pop()[0].start
            bins.append((slice(start, stop), None))
            continue
        s = np.cos(np.pi * np.arange(count)[::-1] / (count - 1.0))
        low, high = np.log(x[0]), np.log(x[-1])
        # All eigenvalues of a bin may be one to rounding: then every node is as good as any.
        half = max(0.5 * (high - low), 1e-14)
        at = (np.log(x) - 0.5 * (low + high)) / half
        matrix = np.ones((x.size, count))
        for k in range(count):
            for other in np.delete(np.arange(count), k):
                matrix[:, k] *= (at - s[other]) / (s[k] - s[other])
        nodes.append(np.exp(0.5 * (low + high) + half * s))
        bins.append((slice(start, stop), matrix))
    return Interpolation(np.concatenate(nodes), bins)
