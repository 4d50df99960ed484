"""The operator that turns second moments of the residuals into the noise that drives them, as products only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.sample_space.pairs import PairResponses

ROWS, COLUMNS = 2_048, 8_192
"""Samples, and pairs of modes, in a working array."""


@dataclass(frozen=True, eq=False)
class SampleFeatures:
    r"""Eigenfeatures with the two products of which everything in sample space is made.

    .. math:: Q(p) = \frac1N \Phi^T \operatorname{diag}(p)\,\Phi,\qquad R \mapsto \varphi_i^T R\,\varphi_i

    Symmetric r x r matrices are kept as their upper triangles, "packed": their r (r + 1)/2 entries in row order. In a
    packed matrix of weights, entries off the diagonal count twice.

    **Assumptions.** No N x N matrix is formed; working memory is r^2 and 2,048 rows of features. NumPy features take
    half the operations of general products (2 N r^2 for both), because both are symmetric.

    Parameters
    ----------
    phi : array or torch tensor, shape (N, r)
        Eigenfeatures, mean_i phi_ij phi_ik = lambda_j delta_jk. A tensor's device and precision are those of the
        products; weights are always double.
    lam : array, shape (r,)
        lambda_k.

    Examples
    --------
    >>> features = SampleFeatures(np.array([[1.0, 1.0], [1.0, -1.0]]), np.ones(2))
    >>> features.moment(np.array([1.0, 0.0]))  # Q_11, Q_12, Q_22
    array([0.5, 0.5, 0.5])
    >>> features.quadratic(np.array([1.0, 2.0, 1.0]))
    array([4., 0.])
    """

    phi: Any
    lam: Float[Array, " r"]

    @property
    def size(self) -> int:
        """N."""
        return int(self.phi.shape[0])

    @property
    def host(self) -> bool:
        """Whether the products run in NumPy."""
        return isinstance(self.phi, np.ndarray)

    @property
    def many(self) -> bool:
        """Whether products are so long that searches had better do with few."""
        return False

    @cached_property
    def pair_index(self) -> tuple[Array, Array]:
        """j <= k of every packed entry."""
        return np.triu_indices(self.lam.size)

    @cached_property
    def _triangle(self) -> Any:
        """Where an upper triangle lies in a whole matrix: of NumPy a mask, of others the places in the flat matrix."""
        r = self.lam.size
        if self.host:
            return np.triu(np.ones((r, r), dtype=bool))
        j, k = self.pair_index
        return self.phi.new_tensor(j * r + k).long()

    @cached_property
    def _lam_pairs(self) -> tuple[Any, Any]:
        return tuple(self._double(self.lam[index]) for index in self.pair_index)  # pyright: ignore

    @cached_property
    def _twice(self) -> Any:
        j, k = self.pair_index
        return self._double(2.0 - (j == k))

    def _double(self, array: Array) -> Any:
        """An array in double precision beside the features, made by their own methods: torch is not imported."""
        if self.host:
            return array
        if np.iscomplexobj(array):
            return self._double(np.real(array)) + 1j * self._double(np.imag(array))
        return self.phi.new_tensor(array, dtype=self.phi.new_tensor(1.0).double().dtype)

    def double(self, array: Any) -> Any:
        """An operand in double precision."""
        return array.astype(np.float64, copy=False) if self.host else array.double()

    def empty(self, count: int) -> Any:
        """Memory for packed matrices, as the rows of one array."""
        shape = (count, self.lam.size * (self.lam.size + 1) // 2)
        return np.empty(shape, dtype=self.kept) if self.host else self.phi.new_empty(shape)

    @property
    def kept(self) -> Any:
        """The precision in which NumPy keeps packed matrices."""
        return np.float64

    def put(self, array: Array) -> Any:
        """An array as an operand of the products."""
        return array if self.host else self.phi.new_tensor(array)

    def fetch(self, array: Any) -> Array:
        """An operand as NumPy doubles."""
        return array.astype(np.float64, copy=False) if self.host else np.asarray(array.double().cpu().numpy())

    def blocks(self) -> list[slice]:
        """Consecutive blocks of samples."""
        return [slice(i, min(i + ROWS, self.size)) for i in range(0, self.size, ROWS)]

    def rows(self) -> Iterator[tuple[slice, Any]]:
        """Consecutive blocks of samples, each with its rows of the features that the products are made with."""
        return ((rows, self.phi[rows]) for rows in self.blocks())

    def column(self, mode: int) -> Float[Array, " N"]:
        """One eigenfeature of every sample.

        Parameters
        ----------
        mode : int
        """
        return np.asarray(self.fetch(self.phi[:, mode]))

    def moment(self, p: Float[Array, " N"]) -> Any:
        """Q(p), packed; N r^2 operations in NumPy.

        Parameters
        ----------
        p : array, shape (N,)
            Weights of the samples, of either sign.
        """
        total: Any = None
        for rows, block in self.rows():
            weight = p[rows]
            if not self.host:
                product = (self.put(weight)[:, None] * block).T @ block
                total = product if total is None else total + product
                continue
            # Each sign apart, so that both are squares, which take half the operations. Sums over blocks are double.
            square: Any = None
            for sign, chosen in ((1.0, weight > 0.0), (-1.0, weight < 0.0)):
                if chosen.any():
                    part = block[chosen]
                    part *= np.sqrt(np.abs(weight[chosen])).astype(block.dtype)[:, None]
                    square = _plus_square(square, part, sign)
            if square is not None:
                total = square if total is None else np.add(total, square, dtype=np.float64)
        r = self.lam.size
        if total is None:
            return self.put(np.zeros(r * (r + 1) // 2))
        whole = self.into_modes(total)
        found = (whole if self.host else whole.reshape(-1))[self._triangle]
        return (self.double(found) if self.host else found) / self.size

    def into_modes(self, total: Any) -> Any:
        """A sum of squares of rows, turned from the features of the products to the modes: here those are the same.

        Of NumPy arrays only the upper triangle is given, and needed.
        """
        return total

    def out_of_modes(self, upper: Float[Array, "r r"]) -> Float[Array, "d d"]:
        """The upper triangle of a quadratic form, off the diagonal twice, turned the other way."""
        return upper

    def quadratic(self, packed: Any) -> Float[Array, " N"]:
        """sum_{j <= k} R_jk phi_ij phi_ik for every sample; N r^2 operations in NumPy.

        Parameters
        ----------
        packed : array, shape (r (r + 1)/2,)
            R; entries off the diagonal are to hold both halves.
        """
        r = self.lam.size
        if not self.host:
            upper = self.phi.new_zeros(r * r)
            upper[self._triangle] = packed.to(upper.dtype)
            parts = [((self.phi[rows] @ upper.reshape(r, r)) * self.phi[rows]).sum(1) for rows in self.blocks()]
            return np.concatenate([self.fetch(part) for part in parts])
        return _forms(self.out_of_modes(self._upper(packed)), (block for _, block in self.rows()))

    def _upper(self, packed: Array) -> Float[Array, "r r"]:
        """A packed matrix as an upper triangle, in the precision of the products."""
        r = self.lam.size
        upper = np.zeros((r, r), dtype=self.kept)
        upper[self._triangle] = packed
        return upper

    def squares(self, packed: Any) -> Float[Array, " N"]:
        """The same of the squares of the eigenfeatures, sum_{j <= k} R_jk phi_ij^2 phi_ik^2.

        Parameters
        ----------
        packed : array, shape (r (r + 1)/2,)
        """
        if not self.host:
            return SampleFeatures(self.phi**2, self.lam).quadratic(packed)
        return _forms(self._upper(packed), (phi**2 for phi in self.turned()))

    def turned(self) -> Iterator[Any]:
        """Consecutive blocks of the eigenfeatures."""
        return (block for _, block in self.rows())

    def in_double(self) -> SampleFeatures:
        """The same with products as precise as what is kept of them should be: these are."""
        return self

    def weights(self, pairs: PairResponses, q: complex) -> Any:
        r"""gamma alpha^2 u_jk(z), packed; off the diagonal twice that. Real and double, or complex where q is.

        Parameters
        ----------
        pairs : PairResponses
        q : float or complex
            1 - z.
        """
        alpha = pairs.method.learning_rate
        found = self.pair_values(pairs, q, 0)
        found *= self._twice
        found *= pairs.gamma * alpha**2
        return found

    @np.errstate(all="ignore")
    def pair_values(self, pairs: PairResponses, q: complex, which: int) -> Any:
        """u (which = 0) or v (which = 1) of all pairs, packed.

        Parameters
        ----------
        pairs : PairResponses
        q : float or complex
            1 - z.
        which : int
        """
        alpha = pairs.method.learning_rate
        asked = pairs.kick if which == 0 else lambda *at: pairs.dressed(*at)[1]
        if self.host and pairs.momentum is not None:
            found = np.empty(self._lam_pairs[0].size, dtype=np.result_type(q, np.float64))
            for start in range(0, found.size, COLUMNS):  # so that what is worked on stays in the cache
                some = slice(start, start + COLUMNS)
                found[some] = asked(q, *(alpha * lam[some] for lam in self._lam_pairs))
            return found
        if self.host or pairs.momentum is not None:
            return asked(q, *(alpha * lam for lam in self._lam_pairs))
        return self._double(asked(q, *(alpha * self.lam[index] for index in self.pair_index)))

    def positive(self, pairs: PairResponses, q: float) -> bool:
        """Whether q, real, lies right of the poles of all pairs.

        Parameters
        ----------
        pairs : PairResponses
        q : float
            1 - z.
        """
        alpha = pairs.method.learning_rate
        return bool(np.all(pairs.positive(q, *(alpha * self.lam[index] for index in self.pair_index))))


@dataclass(frozen=True, eq=False)
class SampleOperator:
    r"""The operator of the noise in sample space.

    .. math:: A(z)\,p = \gamma\alpha^2 \operatorname{diag}\big(\Phi\,(u(z)\circ Q(p))\,\Phi^T\big),\qquad
              A_{il} = \frac{\gamma\alpha^2}{N}\sum_{jk}\varphi_{ij}\varphi_{ik}\varphi_{lj}\varphi_{lk}\,u_{jk}(z)

    The second moments of the residuals obey (I - z A(z)) p~ = b~. A is symmetric, and on the real axis right of the
    poles of the pairs positive semidefinite.

    **Assumptions.** None on the data. Batches drawn anew at every step.

    Parameters
    ----------
    features : SampleFeatures
    pairs : PairResponses
        Of the method, with its learning rate and gamma.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> features = SampleFeatures(np.array([[1.0], [1.0]]), np.ones(1))
    >>> A = SampleOperator(features, PairResponses(SGD(0.5), gamma=1.0))
    >>> A(0.0, np.ones(2))  # alpha^2 u = 1/4 over S = 3/4 + 1/4
    array([0.25, 0.25])
    """

    features: SampleFeatures
    pairs: PairResponses

    def __call__(self, q: complex, p: Array) -> Array:
        """A(1 - q) p.

        Parameters
        ----------
        q : float or complex
            1 - z.
        p : array, shape (N,) or (N, m)
            Real or complex; several columns go one by one.
        """
        p = np.asarray(p)
        if p.ndim == 2:
            return np.stack([self(q, column) for column in p.T], axis=1)
        weights = self.features.weights(self.pairs, q)
        if np.iscomplexobj(p):
            return self._half(weights, np.real(p)) + 1j * self._half(weights, np.imag(p))
        return self._half(weights, p)

    def _half(self, weights: Any, p: Float[Array, " N"]) -> Array:
        return quadratic(self.features, weights, self.features.moment(p))

    def diagonal(self, q: float, weights: Any = None) -> Float[Array, " N"]:
        """A_ii, on the real axis; the largest is a lower bound of the largest eigenvalue.

        Parameters
        ----------
        q : float
            1 - z, real.
        weights : array, shape (r (r + 1)/2,), optional
            From `SampleFeatures.weights`, where they are known.
        """
        f = self.features
        return f.squares(f.weights(self.pairs, q) if weights is None else weights) / f.size


def _plus_square(upper: Any, rows: Float[Array, "n d"], sign: float) -> Float[Array, "d d"]:
    """The upper triangle of a sum with sign X^T X, zeros below: NumPy would copy it into the other half.

    Parameters
    ----------
    upper : array, shape (d, d), or None
        What is added to, and used up; None is nothing.
    rows : array, shape (n, d)
        X.
    sign : float
    """
    from scipy.linalg import get_blas_funcs

    square: Any = get_blas_funcs("syrk", (rows,))
    if upper is None:
        return square(sign, rows.T, lower=1).T
    return square(sign, rows.T, beta=1.0, c=upper.T, lower=1, overwrite_c=1).T


def _forms(upper: Float[Array, "d d"], blocks: Iterator[Any]) -> Float[Array, " N"]:
    """The quadratic forms of an upper triangle, off the diagonal twice, for every row of some blocks."""
    from scipy.linalg import get_blas_funcs

    parts, lower = [], upper.T
    for block in blocks:
        multiply: Any = get_blas_funcs("trmm", (block,))
        columns = block.T
        lower = lower.astype(block.dtype, copy=False)
        parts.append(np.einsum("ji,ji->i", multiply(1.0, lower, columns, lower=1), columns))
    return np.concatenate(parts).astype(np.float64, copy=False)


def quadratic(features: SampleFeatures, weights: Any, packed: Any, imaginary: Any = None) -> Array:
    """The quadratic forms of weights times a packed matrix, both real or complex; two real products where complex.

    Parameters
    ----------
    features : SampleFeatures
    weights : array, shape (r (r + 1)/2,)
        Off the diagonal twice the weight, as `SampleFeatures.weights` gives them.
    packed : array, shape (r (r + 1)/2,)
        Its real part.
    imaginary : array or None
        Its imaginary part, if it has one.
    """
    real, turned = parts(weights)
    first = real * packed
    second = None if turned is None else turned * packed
    if imaginary is not None:
        first = first if turned is None else first - turned * imaginary
        second = real * imaginary if second is None else second + real * imaginary
    result = features.quadratic(first)
    return result if second is None else result + 1j * features.quadratic(second)


def parts(weights: Any) -> tuple[Any, Any]:
    """Real and imaginary part, None for that of real numbers; arrays of either library."""
    complex_ = np.iscomplexobj(weights) if isinstance(weights, np.ndarray) else weights.is_complex()
    return (weights.real, weights.imag) if complex_ else (weights, None)
