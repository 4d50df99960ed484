"""The products of sample space with features read block by block, in single precision where they are many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.sample_space.operator import ROWS, SampleFeatures

SINGLE = 5e8
"""Operations of half a product, N r^2, from which the search for vectors runs in single precision."""
KEPT = 1 << 26
"""Bytes of rows in single precision that are kept, at most, beside those that are in memory in double precision."""


@dataclass(frozen=True, eq=False)
class StreamedFeatures(SampleFeatures):
    r"""Eigenfeatures as blocks of rows x that a matrix turns into them, :math:`\varphi_i = V^T x_i`.

    .. math:: Q(p) = V^T\Big(\tfrac1N\sum_i p_i\,x_ix_i^T\Big)V,\qquad
              \varphi_i^T R\,\varphi_i = x_i^T\,(V R V^T)\,x_i

    So the rows themselves are never turned, and nothing larger than a block and a d x d matrix is held. Sums over
    blocks are double.

    Parameters
    ----------
    phi : FeatureStore
        Where the rows come from: `shape` (N, r), `rows(dtype)` blocks of them, and `turn`, V, or None where the rows
        are the eigenfeatures.
    lam : array, shape (r,)
        lambda_k.
    single : bool
        Whether products are made in single precision.
    """

    single: bool = False

    @property
    def host(self) -> bool:
        """The products run in NumPy."""
        return True

    @property
    def many(self) -> bool:
        """Whether products are so long that searches had better do with few."""
        return self.single

    @property
    def dtype(self) -> Any:
        """The precision of the products."""
        return np.float32 if self.single else np.float64

    @property
    def kept(self) -> Any:
        """Packed matrices are as precise as the products that they come from."""
        return self.dtype

    def rows(self) -> Iterator[tuple[slice, Any]]:
        """Blocks of samples with their rows x."""
        width = self.phi.shape[1] if self.phi.turn is None else self.phi.turn.shape[0]
        few = self.single and self.phi.whole and 4 * self.phi.shape[0] * width <= KEPT
        return iter(self._converted) if few else self._read()

    @cached_property
    def _converted(self) -> list[tuple[slice, Any]]:
        return list(self._read())

    def _read(self) -> Iterator[tuple[slice, Any]]:
        start = 0
        for whole in self.phi.rows():
            for low in range(0, whole.shape[0], ROWS):
                block = np.ascontiguousarray(whole[low : low + ROWS], dtype=self.dtype)
                yield slice(start, start + block.shape[0]), block
                start += block.shape[0]

    def into_modes(self, total: Any) -> Any:
        """V^T G V, of G the upper triangle."""
        turn = self.phi.turn
        return total if turn is None else turn.T @ (total + np.triu(total, 1).T) @ turn

    def out_of_modes(self, upper: Float[Array, "r r"]) -> Float[Array, "d d"]:
        """The upper triangle of V R V^T, off the diagonal twice."""
        turn = self.phi.turn
        if turn is None:
            return upper
        whole = turn @ (0.5 * (upper + upper.T)) @ turn.T
        return np.triu(2.0 * whole) - np.diag(np.diag(whole))

    def column(self, mode: int) -> Float[Array, " N"]:
        """One eigenfeature of every sample.

        Parameters
        ----------
        mode : int
        """
        turn = self.phi.turn
        return np.concatenate([x[:, mode] if turn is None else x @ turn[:, mode] for x in self.phi.rows()])

    def turned(self) -> Iterator[Any]:
        """Consecutive blocks of the eigenfeatures."""
        turn = self.phi.turn
        if turn is None:
            return super().turned()
        turn = turn.astype(self.dtype)
        return (block @ turn for _, block in self.rows())

    def in_double(self) -> SampleFeatures:
        """The same with products in double precision, if single loses digits.

        Of rows that are the eigenfeatures it keeps seven digits of every moment, relative to its two modes. Of rows
        that are turned, relative to the largest mode.
        """
        return replace(self, single=False) if self.single and self.phi.turn is not None else self


def features_of(data: Any) -> SampleFeatures:
    """The eigenfeatures of data for products: whole where they are in memory and few, in blocks else.

    Parameters
    ----------
    data : Any
        A LinearData, or what has its `store`, eigenvalues and n_samples.
    """
    single = float(data.n_samples) * data.rank**2 > SINGLE
    if data.store.whole and not single:
        return SampleFeatures(data.eigenfeatures, data.eigenvalues)
    return StreamedFeatures(data.store, data.eigenvalues, single)
