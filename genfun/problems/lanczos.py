"""Gauss rules of the spectral measures of an operator that is known only by its products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.problems.problem import LARGEST_SCALE, check_scales

EPS = float(np.finfo(np.float64).eps)
CONVERGED = 1e-6
"""A Ritz vector is deflated where its residual is below this times the largest Ritz value: the Ritz value is then off
by the square of it over the gap."""


class Products:
    """Products v -> K v / N with one operator: checked and counted.

    Parameters
    ----------
    operator : object
        With `matvec`, or a callable, or anything that `@` multiplies.
    size : int
        Length of the vectors.
    tick : callable
        Called after each product.

    Attributes
    ----------
    count : int
        Products so far.
    eps : float
        Relative rounding of what the operator returns.
    scale : float
        Largest amplification of a vector so far.
    """

    def __init__(self, operator: Any, size: int, tick: Callable[[], None]) -> None:
        if callable(getattr(operator, "matvec", None)):
            self._apply: Callable[[Array], Any] = operator.matvec
        elif hasattr(operator, "__matmul__"):
            self._apply = lambda v: operator @ v
        elif callable(operator):
            self._apply = operator
        else:
            raise TypeError(
                f"operator must have .matvec, be callable or multiply by @, got {type(operator).__name__}; "
                "pass a function that returns K v / N"
            )
        self.size, self.tick, self.count, self.eps, self.scale = size, tick, 0, EPS, 0.0

    def __call__(self, v: Float[Array, " n"]) -> Float[Array, " n"]:
        """One product."""
        raw = np.asarray(_check.plain("operator", self._apply(v)))
        if raw.size != self.size or raw.dtype.kind not in "iuf":
            raise ValueError(
                f"operator must return {self.size} real numbers for as many, got {raw.dtype} of shape {raw.shape}; "
                "it is K/N, with one row a sample (or a sample and output)"
            )
        if not np.isfinite(raw).all():
            raise ValueError("operator returned a value that is not finite; scale it, or look for overflow in it")
        if raw.dtype.kind == "f":
            self.eps = max(self.eps, float(np.finfo(raw.dtype).eps))
        if float(np.abs(raw).max(initial=0.0)) > LARGEST_SCALE * float(np.abs(v).max(initial=0.0)):
            check_scales(float(np.abs(raw.astype(np.float64)).max() / np.abs(v).max()), v[:0], of="the operator")
        self.count += 1
        self.tick()
        result = raw.astype(np.float64).ravel()
        self.scale = max(self.scale, float(np.linalg.norm(result) / np.linalg.norm(v)))
        return result


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """What Lanczos leaves: K restricted to a Krylov space, and a basis of that.

    Parameters
    ----------
    diagonal : array, shape (k,)
    offdiagonal : array, shape (k,)
        The last entry is the length of what leaves the space: 0 where it is invariant.
    basis : array, shape (k, n)
        Orthonormal rows.
    mass : float
        Squared length of the start.
    """

    diagonal: Float[Array, " k"]
    offdiagonal: Float[Array, " k"]
    basis: Float[Array, "k n"]
    mass: float

    @property
    def size(self) -> int:
        """k."""
        return self.diagonal.size

    def _eigen(self, k: int) -> tuple[Array, Array]:
        matrix = np.diag(self.diagonal[:k])
        index = np.arange(k - 1)
        matrix[index, index + 1] = matrix[index + 1, index] = self.offdiagonal[: k - 1]
        return np.linalg.eigh(matrix)

    def rule(self, k: int) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
        """Nodes and weights of the Gauss rule of the first k steps; the weights add up to the mass.

        Parameters
        ----------
        k : int
        """
        nodes, vectors = self._eigen(min(k, self.size))
        return nodes, self.mass * vectors[0] ** 2

    def converged(self, most: int) -> tuple[Float[Array, " m"], Float[Array, "m n"]]:
        """The largest Ritz values whose vectors are eigenvectors as far as CONVERGED says, descending, and those.

        Parameters
        ----------
        most : int
        """
        nodes, vectors = self._eigen(self.size)
        nodes, vectors = nodes[::-1], vectors[:, ::-1]
        good = np.abs(self.offdiagonal[-1] * vectors[-1]) <= CONVERGED * np.abs(nodes).max()
        # Only those before the first that has not converged: the rest is left to the probes.
        m = min(most, int(np.argmin(good)) if not good.all() else good.size)
        return nodes[:m], vectors[:, :m].T @ self.basis

    def ritz(self) -> tuple[Float[Array, " k"], Float[Array, "k n"]]:
        """All Ritz values, descending, and their vectors."""
        nodes, vectors = self._eigen(self.size)
        return nodes[::-1], vectors[:, ::-1].T @ self.basis


def lanczos(products: Products, start: Float[Array, " n"], steps: int, apart: Float[Array, "m n"]) -> Tridiagonal:
    r"""Lanczos with full reorthogonalisation, in the complement of given orthonormal vectors.

    .. math:: K q_j = b_{j-1} q_{j-1} + a_j q_j + b_j q_{j+1}

    Parameters
    ----------
    products : Products
        v -> K v / N.
    start : array, shape (n,)
        Not zero.
    steps : int
        Products at most; fewer where the space is invariant.
    apart : array, shape (m, n)
        Orthonormal rows that the space is kept orthogonal to.

    Returns
    -------
    Tridiagonal

    Raises
    ------
    ValueError
        If the operator is not symmetric.
    """

    def project(x: Array) -> Array:
        return x - apart.T @ (apart @ x)

    v = project(start)
    mass = float(v @ v)
    basis, diagonal, offdiagonal = np.empty((steps, start.size)), np.zeros(steps), np.zeros(steps)
    v = v / np.sqrt(mass)
    for j in range(steps):
        basis[j] = v
        w = project(products(v))
        overlap = basis[: j + 1] @ w
        diagonal[j] = overlap[j]
        # Exactly symmetric K has the overlaps 0, ..., 0, b_(j-1), a_j: those cost no product.
        odd = np.abs(overlap[:j] - np.append(np.zeros(max(j - 1, 0)), offdiagonal[j - 1 : j])[:j])
        if j:
            check_scales(products.scale, v[:0], of="the operator")
        if j and odd.max() > np.sqrt(products.eps) * products.scale:
            raise ValueError(
                f"operator must be symmetric, but <q_i, K q_j> and <q_j, K q_i> differ by {odd.max():.2g} where "
                f"vectors grow by up to {products.scale:.2g}; pass K/N of a kernel matrix, J J^T/N of a model"
            )
        for _ in range(2):
            w = project(w)
            w -= basis[: j + 1].T @ (basis[: j + 1] @ w)
        rest = float(np.linalg.norm(w))
        if rest <= 10.0 * products.eps * products.scale:
            return Tridiagonal(diagonal[: j + 1], offdiagonal[: j + 1], basis[: j + 1], mass)
        offdiagonal[j] = rest
        v = w / rest
    return Tridiagonal(diagonal, offdiagonal, basis, mass)
