"""Where the eigenfeatures of a data set come from: memory, or the features read again block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Float
from genfun.data._arrays import block, slices, view

Blocks = Iterator[tuple[Float[Array, "block rank"], Float[Array, "block outputs"]]]


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


@dataclass(frozen=True, eq=False)
class InMemory:
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

    @property
    def whole(self) -> bool:
        """True."""
        return True

    @property
    def turn(self) -> None:
        """None: the rows are phi."""
        return None

    def rows(self) -> Iterator[Array]:
        """phi whole."""
        yield self.eigenfeatures

    def scaled(self, factor: float) -> InMemory:
        """The same data with phi multiplied by a number."""
        directions = None if self.directions is None else self.directions * factor
        return InMemory(self.eigenfeatures * factor, self.targets, directions)


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
