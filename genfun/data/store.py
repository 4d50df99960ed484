"""Where the eigenfeatures of a data set come from: memory, or the features read again block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Float
from genfun.data._arrays import block, slices, view

Blocks = Iterator[tuple[Float[Array, "block rank"], Float[Array, "block outputs"]]]

COPIED = 1 << 26
"""Features of so many bytes are copied where eigenfeatures are made later; larger ones are referred to till then."""
UNCHANGED = 1e-9
"""Part of the largest sum by which those of the eigenfeatures may differ from those of the features when first read:
their rounding is below 1e-12, and one changed feature in a million samples makes 1e-8 or more."""


@runtime_checkable
class FeatureStore(Protocol):
    """Eigenfeatures phi and targets y of a data set, by blocks of samples."""

    def blocks(self) -> Blocks:
        """Pairs (phi, y) over consecutive blocks of samples."""
        ...

    def arrays(self) -> tuple[Float[Array, "n rank"], Float[Array, "n outputs"]]:
        """phi and y whole."""
        ...

    def scaled(self, factor: float) -> FeatureStore:
        """The same data with phi multiplied by a number."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """(n, rank)."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the eigenfeatures are in memory."""
        ...

    @property
    def turn(self) -> Float[Array, "d rank"] | None:
        """The matrix that makes phi of the rows; None where they are phi."""
        ...

    def rows(self) -> Iterator[Array]:
        """Consecutive blocks of rows, as they are stored."""
        ...


class _Whole:
    """Rows that are eigenfeatures, in memory."""

    @property
    def whole(self) -> bool:
        """True."""
        return True

    @property
    def turn(self) -> None:
        """None: the rows are phi."""
        return None


@dataclass(frozen=True, eq=False)
class InMemory(_Whole):
    """Eigenfeatures held as an array, with the directions that make them of features where these are few."""

    eigenfeatures: Float[Array, "n rank"]
    targets: Float[Array, "n outputs"]
    directions: Float[Array, "d rank"] | None = None

    def __post_init__(self) -> None:
        self.eigenfeatures.setflags(write=False)
        self.targets.setflags(write=False)

    def blocks(self) -> Blocks:
        """Pairs (phi, y), views of the arrays."""
        for rows in slices(*self.eigenfeatures.shape):
            yield self.eigenfeatures[rows], self.targets[rows]

    def arrays(self) -> tuple[Float[Array, "n rank"], Float[Array, "n outputs"]]:
        """phi and y whole."""
        return self.eigenfeatures, self.targets

    @property
    def shape(self) -> tuple[int, int]:
        """(n, rank)."""
        return self.eigenfeatures.shape

    def rows(self) -> Iterator[Array]:
        """phi whole."""
        yield self.eigenfeatures

    def scaled(self, factor: float) -> InMemory:
        """The same data with phi multiplied by a number."""
        directions = None if self.directions is None else self.directions * factor
        return InMemory(self.eigenfeatures * factor, self.targets, directions)


@dataclass(frozen=True, eq=False)
class Deferred(_Whole):
    r"""Features in memory whose eigenfeatures are made when first asked for, and kept in their place.

    Features that are too large to be copied at once may have been changed by then. It shows in

    .. math:: \sum_i\varphi_k(i)^2 = N\lambda_k,\qquad \sum_i\varphi_k(i)\,y_i = N\lambda_k c_k

    Parameters
    ----------
    features : array, shape (n, d), or None
        X; None once the eigenfeatures are made.
    targets : array, shape (n, outputs)
        y.
    directions : array, shape (d, rank)
        Eigenvectors.
    squares : array, shape (rank,)
        N lambda_k.
    overlaps : array, shape (rank, outputs)
        N lambda_k c_k.
    factor : float
        What the eigenfeatures are multiplied with.
    """

    features: Array | None
    targets: Float[Array, "n outputs"]
    directions: Float[Array, "d rank"]
    squares: Float[Array, " rank"]
    overlaps: Float[Array, "rank outputs"]
    factor: float = 1.0

    @classmethod
    def of(
        cls, features: Array, targets: Array, directions: Array, eigenvalues: Array, coefficients: Array
    ) -> Deferred:
        """With a copy of features that are not large.

        Parameters
        ----------
        features : array, shape (n, d)
        targets : array, shape (n, outputs)
        directions : array, shape (d, rank)
        eigenvalues : array, shape (rank,)
        coefficients : array, shape (rank, outputs)
        """
        squares = features.shape[0] * eigenvalues
        own = features.copy() if features.nbytes <= COPIED else features
        return cls(own, targets, directions, squares, squares[:, None] * coefficients)

    @property
    def _made(self) -> InMemory:
        """The eigenfeatures; the features are let go."""
        features, kept = self.features, vars(self)
        if features is not None:
            turn = self.directions * self.factor
            phi = np.empty((features.shape[0], turn.shape[1]))
            squares, overlaps = np.zeros(turn.shape[1]), np.zeros((turn.shape[1], self.targets.shape[1]))
            with np.errstate(over="ignore", invalid="ignore"):
                for rows in slices(*features.shape):
                    piece = np.matmul(view("X", features, rows, False), turn, out=phi[rows])
                    squares += np.einsum("ij,ij->j", piece, piece)
                    overlaps += piece.T @ self.targets[rows]
            self._compare(squares / self.factor**2, overlaps / self.factor)
            kept["_memory"] = InMemory(phi, self.targets, turn)
            kept["features"] = None
        return kept["_memory"]

    def _compare(self, squares: Array, overlaps: Array) -> None:
        """Refuse features that are not those of which the basis was made."""
        largest = float(self.squares[0])
        size = np.sqrt(largest) * float(np.linalg.norm(self.targets))
        same = np.abs(squares - self.squares).max() <= UNCHANGED * largest
        if not (same and np.abs(overlaps - self.overlaps).max(initial=0.0) <= UNCHANGED * size):
            raise ValueError(
                f"X was changed after LinearData.from_features had read it, and its {self.squares.size} eigenfeatures, "
                f"which are made of it when first needed, would be others; X of {COPIED >> 20} MiB or less is copied, "
                "of a larger one pass X.copy()"
            )

    def blocks(self) -> Blocks:
        """Pairs (phi, y), views of the arrays."""
        return self._made.blocks()

    def arrays(self) -> tuple[Float[Array, "n rank"], Float[Array, "n outputs"]]:
        """phi and y whole."""
        return self._made.arrays()

    @property
    def shape(self) -> tuple[int, int]:
        """(n, rank)."""
        return self.targets.shape[0], self.directions.shape[1]

    def rows(self) -> Iterator[Array]:
        """phi whole."""
        return self._made.rows()

    def scaled(self, factor: float) -> FeatureStore:
        """The same data with phi multiplied by a number."""
        made = self.features is None
        return self._made.scaled(factor) if made else replace(self, factor=self.factor * factor)


@dataclass(frozen=True, eq=False)
class Streamed:
    """Eigenfeatures recomputed as X times the eigenvectors whenever they are read."""

    features: Any
    targets: Any
    directions: Float[Array, "d rank"]
    memory_limit: int
    factor: float = 1.0

    def blocks(self) -> Blocks:
        """Pairs (phi, y), each block of X read anew."""
        n, d = self.features.shape
        for rows in slices(n, d):
            phi = view("X", self.features, rows) @ (self.directions * self.factor)
            yield phi, block("y", self.targets, rows)

    def arrays(self) -> tuple[Float[Array, "n rank"], Float[Array, "n outputs"]]:
        """phi and y whole, if they fit."""
        n, rank = self.features.shape[0], self.directions.shape[1]
        if 8 * n * rank > self.memory_limit:
            raise MemoryError(
                f"the eigenfeatures take {8 * n * rank / 1e9:.3g} GB ({n} samples x {rank} modes), more than "
                f"memory_limit={self.memory_limit / 1e9:.3g} GB; read them with LinearData.blocks(), "
                "or pass a larger memory_limit to LinearData.from_features"
            )
        features, start = np.empty((n, rank)), 0
        targets = []
        for phi, y in self.blocks():
            features[start : start + len(phi)] = phi
            targets.append(y)
            start += len(phi)
        return features, np.concatenate(targets)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, rank)."""
        return int(self.features.shape[0]), self.directions.shape[1]

    @property
    def whole(self) -> bool:
        """False."""
        return False

    @property
    def turn(self) -> Float[Array, "d rank"]:
        """The eigenvectors."""
        return self.directions * self.factor

    def rows(self) -> Iterator[Array]:
        """Blocks of X, which was found sound when the basis was made."""
        n, d = self.features.shape
        for rows in slices(n, d):
            piece = self.features[rows]
            yield np.asarray(piece.toarray() if hasattr(piece, "toarray") else piece)

    def scaled(self, factor: float) -> Streamed:
        """The same data with phi multiplied by a number."""
        return replace(self, factor=self.factor * factor)
