"""How the modes of a problem feed each other's noise, in units in which every mode counts as it does in the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Shaped
from genfun.symbolic.arrays import responses

DENSE = 160
"""Beyond so many modes the largest eigenvalue is found by products alone."""


@dataclass(frozen=True, eq=False)
class Coupling:
    r"""Fourth moments of a problem's modes over those of modes that vary independently.

    .. math:: \mu_{kl} = \frac{M_{kl}}{\lambda_k\lambda_l},\qquad
              \delta_k = \mu_{kk} - \frac{\sum_{l\ne k}\lambda_l\mu_{kl}}{\sum_{l\ne k}\lambda_l}

    What the diagonal has beyond the mean of its row, delta, is counted to the mode's own dynamics, the rest couples
    modes: 1 - tau2 and tau1 for spectrally expressible moments. Which way it is split changes no loss.

    Parameters
    ----------
    eigenvalues, signal : array, shape (n,)
        lambda and s.
    matrix : array, shape (n, n)
        mu, with mu_kk - delta_k on the diagonal; symmetric, not negative.
    own : array, shape (n,)
        delta.
    label : array, shape (n,)
        E/lambda; sigma^2 of the problem where the noise has none.
    cross : array, shape (n, n), or None
        C_kl/lambda_k with C the cross term of the noise.
    noise_variance : float
        sigma^2.
    """

    eigenvalues: Float[Array, " n"]
    signal: Float[Array, " n"]
    matrix: Float[Array, "n n"]
    own: Float[Array, " n"]
    label: Float[Array, " n"]
    cross: Float[Array, "n n"] | None
    noise_variance: float

    @classmethod
    def of(cls, noise: Any, problem: Any) -> Coupling:
        """That of a noise model on a problem of its modes.

        Parameters
        ----------
        noise : FourthMoments
        problem : Problem
            With listed eigenvalues and signal.
        """
        lam = np.asarray(problem.eigenvalues, dtype=np.float64)
        matrix = noise.matrix / lam[:, None] / lam
        diagonal, others = matrix.diagonal().copy(), lam.sum() - lam
        rest = matrix @ lam - diagonal * lam
        # A single mode has no row; tau1 = 1 is the usual choice. Nor has one whose others are at rounding.
        mean = np.where(others > 1e-12 * lam.sum(), rest / np.where(others > 0.0, others, 1.0), 1.0)
        mean = np.maximum(mean, 0.0) if lam.size > 1 else np.minimum(diagonal, 1.0)
        np.fill_diagonal(matrix, mean)
        label = np.full(lam.size, problem.noise_variance) if noise.label is None else noise.label / lam
        cross = None if noise.cross is None else noise.cross / lam[:, None]
        return cls(lam, np.asarray(problem.signal), matrix, diagonal - mean, label, cross, problem.noise_variance)

    def responses(
        self, kind: type[Any], a: Array, q: Any, hyper: tuple[Any, ...], gamma: Any
    ) -> tuple[Array, Array, Array]:
        """w, v and S of every mode, the modes last.

        Parameters
        ----------
        kind : type
            Class of the method.
        a : array, shape (..., n)
            Learning rate times eigenvalue.
        q : array, shape (..., 1)
            1 - z.
        hyper : tuple of float or arrays, shape (..., 1)
        gamma : float or array, shape (..., 1)
            Sampling factors.
        """
        d, n_u, n_v = responses(kind)(a, q, *hyper)
        noisy = gamma * a * a
        S = d + noisy * (1.0 - self.own) * (1.0 - q) * n_u
        return noisy * n_u / S, n_v / S, S

    def solve(self, z: Shaped[Array, " k"], w: Shaped[Array, "k n"], source: Array) -> Shaped[Array, "k n"]:
        """(I - z K) y = source at every point, K = diag(w) mu.

        Parameters
        ----------
        z : array, shape (k,)
        w : array, shape (k, n)
        source : array, shape (k, n)
        """
        matrix = np.eye(self.eigenvalues.size) - (z[:, None] * w)[:, :, None] * self.matrix
        return np.linalg.solve(matrix, source[:, :, None])[:, :, 0]

    def loss(self, q: Shaped[Array, " k"], w: Array, v: Array, mean: Array | None) -> Shaped[Array, " k"]:
        """L~ at z = 1 - q.

        Parameters
        ----------
        q : array, shape (k,)
        w, v : array, shape (k, n)
        mean : array, shape (k, n), or None
            g~, the response of each mode's mean to a unit initial error, where there is a cross term.
        """
        z, source = 1.0 - q, v * self.signal
        if self.cross is not None and mean is not None:
            source = source - 2.0 * z[:, None] * w * (mean @ self.cross.T)
        if self.label.any():
            source = source + (z / q)[:, None] * w * self.label
        total = self.solve(z, w, source).sum(axis=1)
        return 0.5 * (total + self.noise_variance / q if self.noise_variance > 0.0 else total)

    def leading(self, w: Float[Array, "k n"]) -> Float[Array, " k"]:
        """Largest eigenvalue of diag(w) mu, w >= 0; inf where w is not finite.

        Parameters
        ----------
        w : array, shape (k, n)
        """
        values, finite = np.full(w.shape[0], np.inf), np.isfinite(w).all(axis=1)
        for i in np.flatnonzero(finite):
            values[i] = self._largest(np.sqrt(np.maximum(w[i], 0.0)))
        return values

    def _largest(self, root: Float[Array, " n"]) -> float:
        """Of the symmetric matrix of the same eigenvalues, which is not negative: its vector has one sign."""
        if root.size <= DENSE or not root.any():
            return float(np.linalg.eigvalsh(root[:, None] * self.matrix * root)[-1])
        from scipy.sparse.linalg import eigsh  # on first use: importing it takes longer than genfun

        matrix = root[:, None] * self.matrix * root
        return float(eigsh(matrix, 1, which="LA", v0=root, return_eigenvectors=False)[0])
