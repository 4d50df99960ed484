"""The pair measure: the operator of sample space seen by a few vectors, as weights on pairs of eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from genfun._typing import Array, Bool, Float, Int, Shaped
from genfun.problems.measure import BIN_WIDTH, NODES_PER_BIN
from genfun.sample_space.interpolation import Interpolation, interpolation

MIXTURES = 8
"""Random mixtures of weights that are compared in place of all: of 8 normal numbers all are below a half of their
spread five times in ten thousand."""
MIRRORED = 64
"""Rows of a symmetric matrix whose halves are made equal together."""


@dataclass(frozen=True, eq=False)
class PairMeasure:
    r"""Signed weights on unordered pairs of eigenvalues, of all that the projected loss depends on.

    .. math:: K_{ab}(z) = \gamma\alpha^2\sum_P W^{ab}_P\,u_P(z),\qquad
              (X^T\tilde b)_a = \sum_P S^a_P\,v_P(z) + \sum_n E^a_n\,\tilde g_n(z) + \frac{R^a}{1-z}

    with P = (j, k) and, on the eigenvalues themselves,
    :math:`W^{ab}_{jk} = G^a_{jk}G^b_{jk}/N`, :math:`S^a_{jk} = G^a_{jk}\,(w^* w^{*T})_{jk}`,
    :math:`E^a_j = 2\sum_i X_{ia}\varepsilon_i\varphi_{ij}w^*_j`, :math:`R^a = \sum_i X_{ia}\varepsilon_i^2` and
    :math:`G^a = \Phi^T\operatorname{diag}(X_a)\,\Phi`.

    **Assumptions.** The basis X is orthonormal, its first vector is constant.

    Parameters
    ----------
    nodes : array, shape (n,)
        Ascending eigenvalues, or points of interpolation that stand for them; both ends of the spectrum.
    first, second : integer array, shape (P,)
        The two nodes of a pair, first <= second.
    kernel : array, shape (m (m + 1)/2, P)
        W of the products a <= b in the order of `itertools.combinations_with_replacement`; pairs of different nodes
        count twice.
    source : array, shape (m, P)
        S.
    modes : array, shape (m, n)
        E, zero without label noise.
    floor : array, shape (m,)
        R.
    norms : array, shape (m,)
        X^T (|phi_i|^2)_i.
    gradient : array, shape (m, n)
        lambda_k^2 G^a_kk / N.
    start : array, shape (n,)
        lambda_k^2 |w*_k|^2.
    """

    nodes: Float[Array, " n"]
    first: Int[Array, " P"]
    second: Int[Array, " P"]
    kernel: Float[Array, "kernels P"]
    source: Float[Array, "sources P"]
    modes: Float[Array, "m n"]
    floor: Float[Array, " m"]
    norms: Float[Array, " m"]
    gradient: Float[Array, "m n"]
    start: Float[Array, " n"]

    @property
    def size(self) -> int:
        """m, vectors of the basis."""
        return self.floor.size

    def among_first(self, count: int) -> Bool[Array, " kernels"]:
        """Which rows of the kernel are products of the first vectors.

        Parameters
        ----------
        count : int
        """
        first, second = np.triu_indices(self.size)
        return (first < count) & (second < count)

    def on_first(self, count: int) -> PairMeasure:
        """The same seen by the first vectors alone.

        Parameters
        ----------
        count : int
        """
        return replace(
            self,
            kernel=self.kernel[self.among_first(count)],
            source=self.source[:count],
            modes=self.modes[:count],
            floor=self.floor[:count],
            norms=self.norms[:count],
            gradient=self.gradient[:count],
        )

    @cached_property
    def features(self) -> Float[Array, "P 4"]:
        """1, s, p and d^2 of every pair: the sum, the product and the squared difference of its eigenvalues."""
        x, y = self.nodes[self.first], self.nodes[self.second]
        return np.stack([np.ones_like(x), x + y, x * y, (x - y) ** 2], axis=1)

    @cached_property
    def weights(self) -> Float[Array, "rows P"]:
        """Weights of K, of the source, and of the source times s."""
        return np.concatenate([self.kernel, self.source, self.source * self.features[:, 1]])

    @cached_property
    def sizes(self) -> tuple[Float[Array, " P"], Float[Array, " P"]]:
        """Norms of the weights of every pair, in K and in the source."""
        return np.linalg.norm(self.kernel, axis=0), np.linalg.norm(self.source, axis=0)

    @cached_property
    def mixtures(self) -> tuple[Float[Array, "k P"], Float[Array, "k P"]]:
        """Random mixtures of the rows of K, and of those of the source; the same for measures of as many vectors."""
        rng = np.random.default_rng(0)
        kernel, source = (rng.standard_normal((MIXTURES, x.shape[0])) @ x for x in (self.kernel, self.source))
        return kernel, source

    def __repr__(self) -> str:
        return f"PairMeasure({self.size} vectors, {self.nodes.size} nodes, {self.first.size} pairs)"


def label_moments(
    blocks: Callable[[], Any], basis: Float[Array, "N m"], coefficients: Float[Array, "r outputs"]
) -> tuple[Float[Array, "m r"], Float[Array, " m"]]:
    """E and R of a `PairMeasure` on the eigenvalues themselves, in one pass over the samples.

    Parameters
    ----------
    blocks : callable
        Returns an iterator over (eigenfeatures, targets) blocks, as `LinearData.blocks`.
    basis : array, shape (N, m)
        X.
    coefficients : array, shape (r, outputs)
        The optimum w* in the eigenbasis.
    """
    m, rank = basis.shape[1], coefficients.shape[0]
    modes, floor, start = np.zeros((m, rank)), np.zeros(m), 0
    for phi, y in blocks():
        x = basis[start : start + phi.shape[0]]
        start += phi.shape[0]
        residual = y - phi @ coefficients
        for a in range(m):
            modes[a] += 2.0 * ((phi.T @ (x[:, a, None] * residual)) * coefficients).sum(axis=1)
        floor += x.T @ (residual**2).sum(axis=1)
    return modes, floor


class PairFold:
    r"""Weights on all pairs of eigenvalues, moved to few nodes: :math:`W = \Lambda^T w \Lambda`, Lambda interpolates.

    Parameters
    ----------
    eigenvalues : array, shape (r,)
        lambda_k > 0, descending.
    width, count : float and int
        See `interpolation`; width 0 keeps every eigenvalue.
    """

    def __init__(self, eigenvalues: Float[Array, " r"], width: float = BIN_WIDTH, count: int = NODES_PER_BIN) -> None:
        lam = eigenvalues[::-1]
        whole = Interpolation(lam, [(slice(0, lam.size), None)])
        self.rule = interpolation(lam, width, count) if width > 0.0 else whole
        self.size = lam.size
        self.first, self.second = np.triu_indices(self.rule.nodes.size)
        self._twice = np.where(self.first == self.second, 1.0, 2.0)
        sizes = [rows.stop - rows.start if matrix is None else matrix.shape[1] for rows, matrix in self.rule.bins]
        stops = np.cumsum(sizes).tolist()
        self._bins = [
            (rows, stop - size, stop, matrix)
            for (rows, matrix), size, stop in zip(self.rule.bins, sizes, stops, strict=True)
        ]

    def ascending(self, packed: Float[Array, "m pairs"]) -> Float[Array, "m r r"]:
        """Packed symmetric matrices of descending eigenvalues as whole ones of ascending eigenvalues.

        Parameters
        ----------
        packed : array, shape (m, r (r + 1)/2)
        """
        whole = self._lower(packed, slice(0, self.size))
        for matrix in whole:  # the other half by blocks: single columns would take a cache line for every number
            for low in range(0, self.size, MIRRORED):
                rows = slice(low, low + MIRRORED)
                own = matrix[rows, rows]
                own[:] = np.tril(own) + np.tril(own, -1).T
                matrix[rows, rows.stop :] = matrix[rows.stop :, rows].T
        return whole

    def _lower(self, packed: Float[Array, "m pairs"], rows: slice) -> Float[Array, "m n k"]:
        """Some rows of the same up to their diagonal, zeros beyond it."""
        found = np.zeros((packed.shape[0], rows.stop - rows.start, rows.stop))
        # The last packed row is the first of ascending eigenvalues, its end the first entry.
        backwards = packed[:, ::-1]
        for i, last in enumerate(range(rows.start, rows.stop)):
            found[:, i, : last + 1] = backwards[:, last * (last + 1) // 2 : (last + 1) * (last + 2) // 2]
        return found

    def __call__(self, weights: Float[Array, "r r"]) -> Float[Array, " P"]:
        """Weights of the pairs of nodes, those of different nodes counted twice.

        Parameters
        ----------
        weights : array, shape (r, r)
            Symmetric, of ascending eigenvalues.
        """
        return self.rule.fold(self.rule.fold(weights).T)[self.first, self.second] * self._twice

    def products(
        self, packed: Float[Array, "m pairs"], other: Float[Array, "r r"], diagonal: Float[Array, " r"] | None = None
    ) -> tuple[Array, Array]:
        """Folds of the products, entry by entry, of any two of several matrices, and of each with another one.

        From the packed matrices, some rows at a time, so that what is multiplied stays in the cache; and of what is
        symmetric one half: a block T on the diagonal, its own diagonal halved, stands for T + T^T.

        Parameters
        ----------
        packed : array, shape (m, r (r + 1)/2)
            Symmetric, of descending eigenvalues.
        other : array, shape (r, r)
            Symmetric, of ascending eigenvalues.
        diagonal : array, shape (r,), optional
            That of the first of the matrices, of ascending eigenvalues, where it has nothing else.

        Returns
        -------
        (array, array)
            Shapes (m (m + 1)/2, P) and (m, P).
        """
        m, n = packed.shape[0], self.rule.nodes.size
        folds = np.empty((m * (m + 1) // 2 + m, self.first.size))
        for rows, low, high, matrix in self._bins:
            half = np.zeros((folds.shape[0], high - low, rows.stop))
            for start in range(rows.start, rows.stop, MIRRORED):
                some = slice(start, min(start + MIRRORED, rows.stop))
                factors = [*self._lower(packed, some), other[some, : some.stop]]
                if diagonal is not None:
                    factors[0][:] = np.diag(diagonal[: some.stop])[start:]
                turned = None if matrix is None else matrix[start - rows.start : some.stop - rows.start].T
                work = np.empty_like(factors[0])
                pairs = [(a, b) for a, b in combinations_with_replacement(range(m + 1), 2) if a < m]
                # Those with the other one come last, in the order of the result.
                for into, (a, b) in zip(half, sorted(pairs, key=lambda pair: pair[1] == m), strict=True):
                    np.multiply(factors[a], factors[b], out=work)
                    work.reshape(-1)[start :: some.stop + 1] *= 0.5
                    if turned is None:
                        into[start - rows.start : some.stop - rows.start, : some.stop] = work
                    else:
                        into[:, : some.stop] += turned @ work
            found = np.empty((folds.shape[0], high - low, high))
            for columns, left, right, across in self._bins:
                if left <= low:
                    part = half[:, :, columns]
                    found[:, :, left:right] = part if across is None else part @ across
            found[:, :, low:] += found[:, :, low:].swapaxes(1, 2).copy()
            second, first = np.tril_indices(high - low, low, high)
            folds[:, first * n - first * (first - 1) // 2 + second + low - first] = found[:, second, first]
        folds *= self._twice
        return folds[:-m], folds[-m:]


def pair_measure(
    moments: Float[Array, "m pairs"],
    labels: tuple[Float[Array, "m r"], Float[Array, " m"]],
    eigenvalues: Float[Array, " r"],
    coefficients: Float[Array, "r outputs"],
    n_samples: int,
    width: float = BIN_WIDTH,
    count: int = NODES_PER_BIN,
    first: Float[Array, " r"] | None = None,
) -> PairMeasure:
    r"""The weights of all pairs, moved to few nodes: :math:`W = \Lambda^T w \Lambda`, Lambda interpolates.

    Parameters
    ----------
    moments : array, shape (m, r (r + 1)/2)
        Q(X_a) = G^a/N, packed as in `SampleFeatures`.
    labels : (array, array)
        From `label_moments`.
    eigenvalues : array, shape (r,)
        lambda_k > 0, descending.
    coefficients : array, shape (r, outputs)
        The optimum w* in the eigenbasis.
    n_samples : int
        N.
    width, count : float and int
        See `interpolation`; width 0 keeps every eigenvalue.
    first : array, shape (r,), optional
        The diagonal of the first moment, where it has nothing else: better than `moments`, which may be single.
    """
    fold = PairFold(eigenvalues, width, count)
    start = (coefficients @ coefficients.T)[::-1, ::-1]
    kernel, source = fold.products(moments, start, None if first is None else first[::-1])
    kernel *= n_samples
    source *= n_samples
    rule, lam = fold.rule, eigenvalues[::-1]
    modes, floor = labels
    at = np.arange(lam.size)
    diagonals = n_samples * moments[:, -1 - at * (at + 3) // 2].astype(np.float64)
    if first is not None:
        diagonals[0] = n_samples * first[::-1]
    return PairMeasure(
        rule.nodes,
        fold.first,
        fold.second,
        kernel,
        source,
        rule.fold(modes[:, ::-1].T).T,
        floor,
        norms=diagonals.sum(axis=1),
        gradient=rule.fold((lam**2 * diagonals / n_samples).T).T,
        start=rule.fold(lam**2 * np.diag(start)),
    )


def weighted(weights: Float[Array, "rows P"], values: Shaped[Array, "P k"]) -> Shaped[Array, "rows k"]:
    """Their product, without a complex copy of the real weights."""
    if not np.iscomplexobj(values):
        return weights @ values
    return (weights @ np.ascontiguousarray(values).view(np.float64)).view(np.complex128)


def symmetric(columns: Shaped[Array, "mm k"], m: int) -> Shaped[Array, "k m m"]:
    """Symmetric matrices from the rows of their upper triangles."""
    matrix = np.empty((columns.shape[1], m, m), dtype=columns.dtype)
    first, second = np.triu_indices(m)
    matrix[:, first, second] = columns.T
    matrix[:, second, first] = columns.T
    return matrix
