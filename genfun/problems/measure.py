"""Measures on the spectrum: what the engine needs to know of a problem, and their compression to Gauss nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Inexact, Shaped
from genfun.problems.bins import MANY, compress_sorted, gauss_rules, into_narrow_bins

logger = logging.getLogger(__name__)

BIN_WIDTH = 0.7
"""Default width of a bin in the logit coordinate y of `bin_edges` (an e-fold of lambda is 1)."""
NODES_PER_BIN = 12
"""Default number of Gauss nodes in a bin. The integrands have their nearest singularity at least about 0.4 radians
off the real log-lambda axis, so that a bin converges like (2.6)^(-2 * 12) = 1e-10 at that worst point of the contour,
where the inversion weights are below 1e-3, and like 1e-14 where they are not."""


@dataclass(frozen=True, eq=False)
class SpectralMeasure:
    r"""A positive measure on the eigenvalues, sum_k w_k delta(lambda - lambda_k).

    Everything that the loss depends on is an integral against two of these: the capacity measure (weights
    lambda_k^2) and the signal measure (weights s_k).

    Parameters
    ----------
    nodes : array, shape (n,)
        lambda_k > 0, any order, in units of the Hessian.
    weights : array, shape (n,)
        w_k >= 0.

    Raises
    ------
    ValueError
        On empty, non-finite, unequal-length or negative input.

    References
    ----------
    arXiv 2206.11124, section 4 (spectral measures rho_H and rho_s).

    Examples
    --------
    >>> m = SpectralMeasure([1.0, 0.5], [2.0, 1.0])
    >>> m.total, m.integrate(lambda lam: 1 / lam)
    (3.0, 4.0)
    """

    nodes: Float[Array, " n"]
    weights: Float[Array, " n"]

    def __init__(self, nodes: object, weights: object) -> None:
        x, w = _check.vector("nodes", nodes), _check.vector("weights", weights)
        if x.size != w.size:
            raise ValueError(f"nodes and weights must have one length, got {x.size} and {w.size}")
        if x.min() <= 0.0:
            raise ValueError(f"nodes must be positive, got {float(x.min())!r}; drop zero eigenvalues")
        if w.min() < 0.0:
            raise ValueError(f"weights must be zero or positive, got {float(w.min())!r}")
        self._set(x, w)

    def _set(self, nodes: Array, weights: Array) -> None:
        for name, value in (("nodes", nodes), ("weights", weights)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    @classmethod
    def trusted(cls, nodes: Array, weights: Array) -> SpectralMeasure:
        """Build from arrays that are known to be sound, without copying or checking them.

        Parameters
        ----------
        nodes, weights : array, shape (n,)
            As for the class.
        """
        self = object.__new__(cls)
        self._set(nodes, weights)
        return self

    def __repr__(self) -> str:
        low, high = self.nodes.min(), self.nodes.max()
        return f"SpectralMeasure({self.nodes.size} nodes in [{low:.3g}, {high:.3g}], total {self.total:.6g})"

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum())

    def squares(self, real: Any = np.longdouble) -> Shaped[Array, " n"]:
        """The weights of a capacity measure in a precision: lambda^2 without its rounding where that is what they are.

        Next to the curvature limit what a mode feeds back to itself of its noise nearly cancels what it is spared.

        Parameters
        ----------
        real : type
            np.float64 or np.longdouble.
        """
        own = self.nodes.astype(real)
        return np.where(self.weights == self.nodes * self.nodes, own * own, self.weights)

    def integrate(self, function: Callable[[Array], Inexact[Array, "..."]]) -> float | complex:
        """Sum of w_k f(lambda_k).

        Parameters
        ----------
        function : callable
            Takes the nodes (n,) and returns values of the same shape, real or complex.
        """
        # np.sum adds pairwise; a dot product would lose 1e-13 on a million nodes sorted descending.
        return (np.asarray(function(self.nodes)) * self.weights).sum().item()

    def lump(self, below: float, nodes: int = 3) -> SpectralMeasure:
        r"""The same measure with everything below a threshold merged into one Gauss rule.

        Exact to relative order (below/scale)^(2 * nodes) for functions analytic where abs(lambda) < scale.

        Parameters
        ----------
        below : float
            Eigenvalue under which the functions to be integrated are nearly constant.
        nodes : int
            Gauss nodes that replace the modes below the threshold.

        Examples
        --------
        >>> import numpy as np
        >>> lam = 0.5 ** np.arange(60.0)
        >>> SpectralMeasure(lam, lam).lump(1e-6).nodes.size
        23
        """
        small = (self.nodes < below) & (self.weights > 0.0)
        if np.count_nonzero(small) <= nodes:
            return self
        order = np.argsort(self.nodes[small])
        x, w = gauss_rules(self.nodes[small][order], self.weights[small][order], np.array([0]), nodes)
        large = self.nodes >= below
        return SpectralMeasure.trusted(
            np.concatenate((x.ravel(), self.nodes[large])), np.concatenate((w.ravel(), self.weights[large]))
        )

    def coarser_below(self, below: float) -> SpectralMeasure:
        """The same measure with what lies below an eigenvalue compressed in bins of the usual width.

        Parameters
        ----------
        below : float
            Eigenvalue under which no function to be integrated oscillates.

        Examples
        --------
        >>> import numpy as np
        >>> lam = np.geomspace(1e-9, 1.0, 20_000)
        >>> narrow = SpectralMeasure(lam, lam).compress(0.05)
        >>> narrow.nodes.size, narrow.coarser_below(0.1).nodes.size
        (6327, 1681)
        """
        small = self.nodes < below
        if not small.any():
            return self
        part = SpectralMeasure.trusted(self.nodes[small].copy(), self.weights[small].copy()).compress()
        return SpectralMeasure.trusted(
            np.concatenate((part.nodes, self.nodes[~small])), np.concatenate((part.weights, self.weights[~small]))
        )

    def compress(self, bin_width: float = BIN_WIDTH, nodes_per_bin: int = NODES_PER_BIN) -> SpectralMeasure:
        r"""An equivalent measure with few nodes: Gauss rules in bins of log lambda.

        The bins are geometric towards both ends of the spectrum (`bin_edges`), so that functions with poles just
        outside [lambda_min, lambda_max] are integrated as well as those smooth in log lambda. The end points and
        sparsely filled bins are kept exactly.

        Parameters
        ----------
        bin_width : float
            Width of a bin in the logit coordinate; narrow it for integrands that oscillate in lambda.
        nodes_per_bin : int
            Gauss nodes in a bin.

        Returns
        -------
        SpectralMeasure
            With non-negative weights and the same total. Relative error below 1e-12 for the functions u, v of the
            theory on the inversion contour.

        Examples
        --------
        >>> import numpy as np
        >>> lam = np.arange(1.0, 100_001.0) ** -1.5
        >>> full = SpectralMeasure(lam, lam**2)
        >>> small = full.compress()
        >>> small.nodes.size < 500
        True
        >>> f = lambda lam: 1 / (lam + 1e-5)
        >>> abs(small.integrate(f) / full.integrate(f) - 1) < 1e-12
        True
        """
        width = _check.positive("bin_width", bin_width)
        m = _check.integer("nodes_per_bin", nodes_per_bin, 2)
        x, w = self.nodes, self.weights
        if x.size <= 2 * m:
            return self
        step = np.diff(x)
        if (step < 0.0).all():
            x, w = np.ascontiguousarray(x[::-1]), np.ascontiguousarray(w[::-1])
        elif (step < 0.0).any():
            order = np.argsort(x, kind="stable")
            x, w = x[order], w[order]
        # In narrower bins more points are needed for as many in a bin.
        if x.size * width > MANY * BIN_WIDTH:
            ((x, w),) = into_narrow_bins(x, [w], width)
        x, w = compress_sorted(x, w, width, m)
        logger.info("compressed %d nodes to %d", self.nodes.size, x.size)
        return self if x.size >= self.nodes.size else SpectralMeasure.trusted(x, w)
