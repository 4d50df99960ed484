"""A growing subspace of sample space, on which the operator is a small matrix whatever the setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Shaped
from genfun.sample_space.operator import SampleFeatures, parts, quadratic

COLUMNS = 1 << 13
"""Pairs of modes in a working array."""
MEMORY = 1 << 28
"""Bytes that are asked for at once."""
DEPENDENT = 1e-9
"""Part of a vector outside the subspace, relative to it, below which the vector is not added."""


@dataclass(frozen=True)
class RitzPair:
    """The leading eigenvalue on a subspace.

    Attributes
    ----------
    value, second : float
        The two largest eigenvalues on the subspace, lower bounds of those of the operator.
    coordinates : array, shape (m,)
        Of the unit eigenvector of the first.
    """

    value: float
    second: float
    coordinates: Float[Array, " m"]


class GalerkinSpace:
    r"""Orthonormal vectors X_a of sample space and their moments Q(X_a), which know nothing of the method.

    .. math:: X_a^T A\,X_b = N \sum_{jk} Q(X_a)_{jk}\,\gamma\alpha^2 u_{jk}\,Q(X_b)_{jk}

    So one subspace serves every rate, momentum, batch and point z, at m^2 r^2 operations and no product with the
    features; a product is made to add a vector, and half a one to apply A to a vector of the subspace.

    Parameters
    ----------
    features : SampleFeatures

    Attributes
    ----------
    vectors : array, shape (m, N)
        Orthonormal rows.
    halves : int
        Half products with the features made so far (2 N r^2 operations each, in general products).
    """

    def __init__(self, features: SampleFeatures) -> None:
        self.features = features
        self.vectors = np.zeros((0, features.size))
        # What is not written to takes no memory in NumPy, and what need not grow is not copied.
        room = MEMORY // (8 * features.lam.size**2) if features.host else 0
        self._moments: Any = features.empty(min(max(room, 4), 64))
        self.halves = 0

    def __len__(self) -> int:
        return self.vectors.shape[0]

    def add(self, vector: Float[Array, " N"]) -> bool:
        """Take a vector in; False if it lies in the subspace already.

        Parameters
        ----------
        vector : array, shape (N,)
        """
        size = float(np.linalg.norm(vector))
        if not 0.0 < size < np.inf or len(self) == self.features.size:
            return False
        new = vector / size
        for round_ in range(3):
            new = new - self.vectors.T @ (self.vectors @ new)
            norm = float(np.linalg.norm(new))
            if norm < (DEPENDENT if round_ == 0 else 0.5):
                return False
            new = new / norm
        m = len(self)
        if m == self._moments.shape[0]:
            old, self._moments = self._moments, self.features.empty(2 * m)
            self._moments[:m] = old
        self._moments[m] = self.features.moment(new)
        self.vectors = np.concatenate((self.vectors, new[None]))
        self.halves += 1
        return True

    def keep(self, coordinates: Float[Array, "m k"]) -> Float[Array, "m n"]:
        """Reduce the subspace to the span of some of its vectors, without a product.

        Parameters
        ----------
        coordinates : array, shape (m, k)

        Returns
        -------
        array, shape (m, n)
            Orthonormal columns: the new vectors in the old ones.
        """
        turn, triangle = np.linalg.qr(coordinates)
        size = np.abs(np.diag(triangle))
        turn = turn[:, size > 1e-12 * size.max()]
        kept = self._operand(np.ascontiguousarray(turn.T)) @ self._moments[: len(self)]
        self._moments = kept
        self.vectors = turn.T @ self.vectors
        return turn

    def moment(self, coordinates: Float[Array, "... m"]) -> Any:
        """Q of a vector of the subspace, packed, or of several.

        Parameters
        ----------
        coordinates : array, shape (m,) or (k, m)
        """
        return self._operand(coordinates) @ self._moments[: len(self)]

    def _operand(self, array: Array) -> Any:
        """An array to be multiplied with moments, in their precision."""
        return array.astype(self._moments.dtype, copy=False) if self.features.host else self.features.put(array)

    def seen(self, weights: Any) -> Reduced:
        """The operator at given weights on the subspace, which may grow meanwhile.

        Parameters
        ----------
        weights : array, shape (r (r + 1)/2,)
            From `SampleFeatures.weights`, real or complex.
        """
        return Reduced(self, weights)

    def rows(self, weights: Any, first: int = 0) -> Shaped[Array, "k m"]:
        """The operator on the subspace, its rows of all vectors from one on.

        Parameters
        ----------
        weights : array, shape (r (r + 1)/2,)
        first : int
        """
        m, f, pairs = len(self), self.features, weights.shape[0]
        some = [self._operand(part) if f.host else part for part in parts(weights) if part is not None]
        totals: list[Any] = []
        chunk = COLUMNS if f.host else pairs
        for start in range(0, pairs, chunk):
            columns = slice(start, start + chunk)
            block = self._moments[:m, columns] if f.host else f.double(self._moments[:m, columns])
            weighed = [block[first:] * part[columns] for part in some]
            if f.host and len(some) == 2:  # the moments, which are large, pass the memory once for both parts
                weighed = [np.concatenate(weighed)]
            products = [f.double(left @ block.T) for left in weighed]
            totals = [a + b for a, b in zip(totals, products, strict=True)] if totals else products
        found = f.size * np.concatenate([f.fetch(total) for total in totals])
        return found if len(some) == 1 else found[: m - first] + 1j * found[m - first :]

    def apply(self, weights: Any, coordinates: Shaped[Array, " m"]) -> Shaped[Array, " N"]:
        """A times a vector of the subspace: half a product, or two halves where complex.

        Parameters
        ----------
        weights : array, shape (r (r + 1)/2,)
        coordinates : array, shape (m,)
            Real or complex.
        """
        turned = self.moment(np.imag(coordinates)) if np.iscomplexobj(coordinates) else None
        self.halves += 1 if turned is None and parts(weights)[1] is None else 2
        return quadratic(self.features, weights, self.moment(np.real(coordinates)), turned)

    def leading(self, weights: Any) -> RitzPair:
        """The leading eigenvalue of the operator on the subspace.

        Parameters
        ----------
        weights : array, shape (r (r + 1)/2,)
            Real.
        """
        return self.seen(weights).leading()


class Reduced:
    """The operator at given weights on a growing subspace: what is known of it stays known as the subspace grows.

    Parameters
    ----------
    space : GalerkinSpace
        It may grow, but not be reduced.
    weights : array, shape (r (r + 1)/2,)
        From `SampleFeatures.weights`, real or complex.
    """

    def __init__(self, space: GalerkinSpace, weights: Any) -> None:
        self.space, self.weights = space, weights
        self._matrix: Array = np.zeros((0, 0))

    def matrix(self) -> Shaped[Array, "m m"]:
        """The operator on the subspace as it is now."""
        m, n = len(self.space), self._matrix.shape[0]
        if m > n:
            rows = self.space.rows(self.weights, n)
            grown = np.empty((m, m), dtype=rows.dtype)
            grown[:n, :n], grown[n:], grown[:, n:] = self._matrix, rows, rows.T
            self._matrix = grown
        return self._matrix

    def leading(self) -> RitzPair:
        """The leading eigenvalue, of real weights."""
        matrix = self.matrix()
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        return RitzPair(float(values[-1]), float(values[-2]) if values.size > 1 else 0.0, vectors[:, -1])
