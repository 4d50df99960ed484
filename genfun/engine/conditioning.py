"""How much the direct recursion amplifies rounding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Shaped
from genfun.engine.recursion import symmetric_square

SAMPLED = 24
"""Modes that are looked at, of a long spectrum."""
FADED = 30.0
"""A mode that has decayed by exp(-FADED) relative to the slowest no longer counts."""


def largest_off_axis(values: Shaped[Array, "..."]) -> float:
    """log of the largest modulus off the positive real axis; -inf if there is none.

    Parameters
    ----------
    values : complex array
        Eigenvalues.
    """
    off = (np.abs(np.imag(values)) > 1e-12 * np.abs(values)) | (np.real(values) < 0.0)
    with np.errstate(divide="ignore"):
        return float(np.log(np.where(off, np.abs(values), 0.0).max()))


@dataclass(frozen=True)
class MomentMaps:
    """The maps of the second moments of some of the modes, the extreme ones among them.

    Parameters
    ----------
    method : Method
    nodes : array, shape (n,)
        lambda_k, of all modes.
    """

    method: Any
    nodes: Shaped[Array, " n"]

    @cached_property
    def _kept(self) -> dict[float, Any]:
        return {}

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """The square of the update, and what is spared with own = 1."""
        nodes = np.sort(self.nodes)[np.unique(np.linspace(0, self.nodes.size - 1, SAMPLED).astype(int))]
        a = self.method.learning_rate * nodes
        square, kick = symmetric_square(self.method.update(a, *self.method.hyperparameters), a)
        return square, kick * (a * a)

    def of(self, own: float) -> Shaped[Array, "kept M M"]:
        """The maps.

        Parameters
        ----------
        own : float
            gamma tau2, a mode's correction of its own noise.
        """
        square, spared = self._parts
        maps = square.copy()
        maps[:, 0] -= own * spared
        return np.moveaxis(maps, 2, 0)

    def eigen(self, own: float) -> tuple[Shaped[Array, "kept M M"], Array, Array]:
        """The maps, their eigenvalues and their eigenvectors, which are kept.

        Parameters
        ----------
        own : float
            As for `of`.
        """
        if own not in self._kept:
            matrix = self.of(own)
            self._kept[own] = (matrix, *np.linalg.eig(matrix))
        return self._kept[own]

    def off_axis_rate(self, own: tuple[float, ...]) -> float:
        """log of the largest modulus of an eigenvalue off the positive real axis; -inf if there is none.

        Parameters
        ----------
        own : tuple of float
            Several values of what a mode is spared of its own noise.
        """
        return max(largest_off_axis(self.eigen(each)[1]) for each in own)


@dataclass(frozen=True)
class Conditioning:
    r"""Sensitivity of the second moments of single modes to rounding, relative, per step and eps.

    .. math:: \kappa = \frac{|y|^T |A|\, |x|}{|y^T x|\,|\mu|}

    for the dominant eigenvalue mu of the map A of the second moments, with its left and right eigenvectors y and x:
    the error grows as kappa t eps. Where eigenvalues coalesce (near the curvature limit of a momentum near 1), kappa
    is large, and bounded by the growth t^2 of powers of a Jordan block.

    Parameters
    ----------
    rates : array, shape (n,)
        log of the largest modulus of an eigenvalue of A.
    kappa : array, shape (n,)
    size : array, shape (n,)
        Sum of abs(A), over abs(mu).
    """

    rates: Shaped[Array, " n"]
    kappa: Shaped[Array, " n"]
    size: Shaped[Array, " n"]

    @classmethod
    def of(cls, maps: MomentMaps, own: float) -> Conditioning:
        """Of some of the modes, the extreme ones among them.

        Parameters
        ----------
        maps : MomentMaps
        own : float
            gamma tau2, a mode's correction of its own noise.
        """
        matrix, values, right = maps.eigen(own)
        top, each = np.argmax(np.abs(values), axis=1), np.arange(values.shape[0])
        modulus = np.abs(values[each, top])
        with np.errstate(all="ignore"):
            # Rows of the inverse are the left eigenvectors with y^T x = 1.
            spread = np.linalg.svd(right, compute_uv=False)
            defective = ~(spread[:, -1] > 1e-12 * spread[:, 0])
            whole = np.where(defective[:, None, None], np.eye(right.shape[1]), right)
            left = np.abs(np.linalg.inv(whole))[each, top]
            amount = np.einsum("ni,nij,nj->n", left, np.abs(matrix), np.abs(right[each, :, top]))
            size = np.abs(matrix).sum(axis=(1, 2)) / modulus
            return cls(np.log(modulus), np.where(defective, np.inf, amount / modulus), size)

    def growth(self, steps: Array) -> Shaped[Array, " t"]:
        """By what the relative error of a loss exceeds eps, at every step.

        Parameters
        ----------
        steps : array, shape (t,)
        """
        t = np.asarray(steps, dtype=np.float64)[:, None]
        with np.errstate(all="ignore"):
            lasting = (self.rates.max() - self.rates) * t < FADED
            amount = t * np.minimum(self.kappa, self.size**2 * (1.0 + t * t))
            return np.where(lasting, np.nan_to_num(amount, nan=0.0, posinf=1e300), 0.0).max(axis=1)
