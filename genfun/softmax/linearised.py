"""What a linearisation of softmax regression consists of."""

from __future__ import annotations

from typing import NamedTuple

from genfun._typing import Array, Float


class Linearised(NamedTuple):
    """The gradient near a mean, averaged over the weights about it.

    Attributes
    ----------
    features : array, shape (N, d)
        x.
    gradient : array, shape (m,)
        g = mean over samples of x (x) E r, r = p - y.
    curvature : array, shape (N, k, k) or (N, C, C)
        E J of each sample, in the zero-sum basis or, where classes are followed apart, in class coordinates.
    hessian : array, shape (blocks, size, size)
        The blocks that are followed of H = mean x x^T (x) E J.
    noise : array, shape (blocks, size, size)
        The same of S, the covariance of the gradient of one sample, averaged.
    basis : array, shape (C, k), or None
        Of the zero-sum basis, where the curvature is in class coordinates.
    """

    features: Float[Array, "N d"]
    gradient: Float[Array, " m"]
    curvature: Float[Array, "N k k"]
    hessian: Float[Array, "G s s"]
    noise: Float[Array, "G s s"]
    basis: Float[Array, "C k"] | None = None

    def product(self, weights: Float[Array, "m c"]) -> Float[Array, "m c"]:
        """The whole H times some columns.

        Parameters
        ----------
        weights : array, shape (m, c)
        """
        (n, d), k = self.features.shape, self.curvature.shape[1]
        if self.basis is not None:
            weights = self.basis @ weights.reshape(d, self.basis.shape[1], -1)
        inside = (self.features @ weights.reshape(d, -1)).reshape(n, k, -1)
        found = (self.features.T @ (self.curvature @ inside).reshape(n, -1)).reshape(d, k, -1) / n
        found = found if self.basis is None else self.basis.T @ found
        return found.reshape(-1, found.shape[2])
