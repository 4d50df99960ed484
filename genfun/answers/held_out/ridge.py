"""Ridge regression at the penalty of least leave-one-out loss: the baseline that needs no training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun._typing import Array, Float
from genfun.data.linear import LinearData

PER_DECADE = 8
"""Penalties that are tried."""


class Resolvent:
    """(K/N + p)^-1 of the data: its diagonal, and times the targets.

    Parameters
    ----------
    data : LinearData
    """

    def __init__(self, data: LinearData) -> None:
        self.unit = data.eigenfeatures / np.sqrt(data.n_samples * data.eigenvalues)
        self.lam = data.eigenvalues
        self.overlap = self.unit.T @ data.targets
        self.outside = data.targets - self.unit @ self.overlap
        self.square = self.unit**2
        self.rest = np.maximum(1.0 - self.square.sum(axis=1), 0.0)

    def diagonal(self, p: Array, rows: slice = slice(None)) -> Array:
        """p [(K/N + p)^-1]_ii for each p, shape (samples, points).

        Parameters
        ----------
        p : array, shape (points,)
        rows : slice
            Of the samples.
        """
        return self.square[rows] @ (p / (self.lam[:, None] + p)) + self.rest[rows, None]

    def residual(self, p: Array, output: int, rows: slice = slice(None)) -> Array:
        """p [(K/N + p)^-1 y]_i for each p.

        Parameters
        ----------
        p : array, shape (points,)
        output : int
        rows : slice
            Of the samples.
        """
        weights = self.overlap[:, output, None] * (p / (self.lam[:, None] + p))
        return self.unit[rows] @ weights + self.outside[rows, output, None]


@dataclass(frozen=True)
class Ridge:
    """Ridge regression at its best penalty.

    Parameters
    ----------
    penalty : float
        Added to the eigenvalues.
    loss : float
        Its leave-one-out loss.
    """

    penalty: float
    loss: float

    def coefficients(self, data: LinearData) -> Float[Array, "rank outputs"]:
        """Its weights in the eigenbasis.

        Parameters
        ----------
        data : LinearData
            The data it was fitted to.
        """
        shrunk = data.eigenvalues / (data.eigenvalues + self.penalty)
        return data.coefficients * shrunk[:, None]


def best_ridge(data: LinearData) -> Ridge:
    r"""The penalty of least leave-one-out loss on a grid of 8 a decade.

    .. math:: \frac{1}{2N}\sum_i\left|\frac{[(K/N+p)^{-1}y]_i}{[(K/N+p)^{-1}]_{ii}}\right|^2

    Parameters
    ----------
    data : LinearData

    References
    ----------
    Golub, Heath and Wahba, Technometrics 21 (1979) 215.

    Examples
    --------
    >>> import genfun as gf
    >>> best_ridge(gf.LinearData.from_features([[1.0], [2.0], [-1.0]], [1.0, 2.0, 0.0])).penalty < 1.0
    True
    """
    resolvent = Resolvent(data)
    largest, least = float(data.eigenvalues[0]), float(data.eigenvalues[-1])
    low = max(min(1e-3 * least, 1e-6 * largest), 1e-10 * largest)
    p = np.geomspace(low, 1e3 * largest, int(PER_DECADE * np.log10(1e3 * largest / low)) + 1)
    diagonal = resolvent.diagonal(p)
    squares = sum(((resolvent.residual(p, k) / diagonal) ** 2).mean(axis=0) for k in range(data.n_outputs))
    best = int(np.argmin(squares))
    return Ridge(float(p[best]), 0.5 * float(np.asarray(squares)[best]))
