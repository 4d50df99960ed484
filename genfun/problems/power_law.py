"""Power-law problems without truncation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.problems.bins import bin_edges
from genfun.problems.measure import BIN_WIDTH, NODES_PER_BIN, SpectralMeasure
from genfun.problems.problem import check_scales

FINE_DEPTH, COARSE_DEPTH = 1e-17, 1e-60
"""An infinite spectrum is resolved finely down to FINE_DEPTH * lambda_max, which matters to the contour at t = 10^15;
with wider bins, good for real arguments, down to COARSE_DEPTH; the rest enters through its exact moments."""

SLOW = 1e-6
MAX_RATIO = 1.1
"""Largest log-ratio of the mode numbers in a block: k^-nu is singular at k = 0, and a Gauss rule of 12 nodes on
[a, 3a] errs by 3.7^-24 = 1e-14."""


def _edges(nu: float, n_modes: int | None, width: float) -> Float[Array, " e"]:
    """Block boundaries in the mode number k, ascending whole numbers from 1 to n_modes + 1."""
    width = min(width, MAX_RATIO * nu)
    if n_modes is None:
        # Narrow bins are asked for to resolve oscillations, of which the slow modes below SLOW have none.
        top, bottom = -np.log(SLOW), -np.log(FINE_DEPTH)
        wide = max(width, min(BIN_WIDTH, MAX_RATIO * nu))
        fine = np.concatenate((np.arange(0.0, top, width), np.arange(top, bottom, wide)))
        coarse = np.arange(-np.log(FINE_DEPTH), -np.log(COARSE_DEPTH), MAX_RATIO * min(nu, 1.0))
        k = np.exp(np.concatenate((fine, coarse)) / nu)
        return np.unique(np.ceil(k))
    if n_modes == 1:
        return np.array([1.0, 2.0])
    least = float(n_modes) ** -nu
    gaps = (least * np.expm1(-nu * np.log1p(-1.0 / n_modes)), -np.expm1(-nu * np.log(2.0)))
    k = np.ceil(bin_edges(least, 1.0, gaps, width) ** (-1.0 / nu))
    inner = k[(k > 2) & (k < n_modes)]
    return np.unique(np.concatenate(([1.0, 2.0, float(n_modes), n_modes + 1.0], inner)))


def _lattice_rule(nu: float, n_modes: int | None, width: float) -> tuple[Array, Array, float]:
    r"""Nodes k (not whole numbers) and weights W with sum_k F(k) = sum_i W_i F(k_i); and the first k left out.

    A block of M consecutive integers has the discrete Chebyshev polynomials as orthogonal polynomials, whose
    recurrence is known in closed form for any M, so that the Gauss rule of 10^40 modes costs as much as that of 100:
    in units of M/2 about the centre, beta_n = n^2 (1 - n^2/M^2)/(4 n^2 - 1) (Gautschi, Orthogonal Polynomials, 2004,
    section 1.5.2). No Euler-Maclaurin remainder is left.
    """
    edges = _edges(nu, n_modes, width)
    counts = np.diff(edges)
    small = counts <= 2 * NODES_PER_BIN
    single = [np.arange(a, a + c) for a, c in zip(edges[:-1][small], counts[small], strict=True)]
    start, size = edges[:-1][~small], counts[~small]
    n = np.arange(1, NODES_PER_BIN, dtype=float)
    off = np.sqrt(n**2 * (1.0 - (n / size[:, None]) ** 2) / (4.0 * n**2 - 1.0))
    jacobi = np.zeros((size.size, NODES_PER_BIN, NODES_PER_BIN))
    index = np.arange(NODES_PER_BIN - 1)
    jacobi[:, index, index + 1] = jacobi[:, index + 1, index] = off
    roots, vectors = np.linalg.eigh(jacobi)
    nodes = (start + (size - 1.0) / 2.0)[:, None] + (size / 2.0)[:, None] * roots
    weights = size[:, None] * vectors[:, 0, :] ** 2
    k = np.concatenate([*single, nodes.ravel()])
    w = np.concatenate([np.ones(k.size - nodes.size), weights.ravel()])
    order = np.argsort(k)
    return k[order], w[order], float(edges[-1])


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""B_2, B_4, ..., B_20."""


def _zeta_tail(s: float, first: float) -> float:
    r"""Sum of k^-s over k >= first, the Hurwitz zeta function, by Euler-Maclaurin from a k of 20 + s on.

    .. math:: \frac{K^{1-s}}{s-1} + \frac{K^{-s}}{2} + \sum_j \frac{B_{2j}}{(2j)!} s(s+1)\cdots(s+2j-2) K^{-s-2j+1}

    scipy.special has it too, whose import takes longer than the rest of the package.
    """
    if s <= 1.0:
        return np.inf
    count = max(int(np.ceil(20.0 + s - first)), 0)
    start = first + count
    factor, total = start**-s, start ** (1.0 - s) / (s - 1.0) + 0.5 * start**-s
    for j, number in enumerate(BERNOULLI, start=1):
        # s (s+1) ... (s+2j-2) K^(-s-2j+1) / (2j)!
        factor *= s / (2.0 * start) if j == 1 else (s + 2 * j - 3) * (s + 2 * j - 2) / ((2 * j - 1) * 2 * j * start**2)
        total += number * factor
    return float((first + np.arange(count)) ** -s @ np.ones(count) + total)


@dataclass(frozen=True)
class PowerLaw(Displayed):
    r"""A power-law problem; by default with infinitely many modes.

    .. math:: \lambda_k = \Lambda k^{-\nu},\qquad \sum_{j\ge k} s_j = Q\,\lambda_k^{\zeta}\quad\text{exactly},
              \qquad k = 1, 2, \dots

    **Assumptions.** With `n_modes` = n the last mode carries the whole tail, s_n = Q lambda_n^zeta, so that the sum
    rule holds for every k <= n. Index tails fall as k^-kappa with kappa = nu * zeta.

    Parameters
    ----------
    nu : float
        Capacity exponent > 0, dimensionless. nu <= 1 has an infinite trace, nu <= 1/2 diverges at the first step.
    zeta : float
        Source exponent > 0, dimensionless.
    eigenvalue_scale : float
        Lambda > 0, the largest eigenvalue.
    signal_scale : float
        Q > 0.
    n_modes : int or None
        Number of modes; None means no truncation.
    n_samples : int or None
        N; None means streaming data.
    noise_variance : float
        sigma^2 >= 0.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    arXiv 2206.11124, section 5, eq. (15).

    Examples
    --------
    >>> p = PowerLaw(nu=1.5, zeta=0.5)
    >>> p.trace  # the Riemann zeta function at 1.5
    2.612375348685...
    >>> PowerLaw(nu=1.5, zeta=2.0, n_modes=3).eigenvalues
    array([1.        , 0.35355339, 0.19245009])
    """

    nu: float
    zeta: float
    eigenvalue_scale: float = 1.0
    signal_scale: float = 1.0
    n_modes: int | None = None
    n_samples: int | None = None
    noise_variance: float = 0.0
    _cache: dict[float, tuple[SpectralMeasure, SpectralMeasure]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("nu", "zeta", "eigenvalue_scale", "signal_scale"):
            object.__setattr__(self, name, _check.positive(name, getattr(self, name)))
        for name in ("n_modes", "n_samples"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _check.integer(name, getattr(self, name), 1))
        if self.nu > 50.0:
            raise ValueError(f"nu must be at most 50, got {self.nu!r}; use LinearProblem for a few separated modes")
        object.__setattr__(self, "noise_variance", _check.nonnegative("noise_variance", self.noise_variance))
        check_scales(self.eigenvalue_scale, np.array([self.signal_total]), self.noise_variance)

    @property
    def kappa(self) -> float:
        """Exponent of the index tails, nu * zeta."""
        return self.nu * self.zeta

    @property
    def lambda_max(self) -> float:
        """Largest eigenvalue, Lambda."""
        return self.eigenvalue_scale

    @property
    def lambda_min(self) -> float:
        """Smallest eigenvalue; 0.0 without truncation."""
        return 0.0 if self.n_modes is None else self.eigenvalue_scale * float(self.n_modes) ** -self.nu

    @property
    def signal_total(self) -> float:
        """Q Lambda^zeta, twice the initial excess loss."""
        return self.signal_scale * self.eigenvalue_scale**self.zeta

    @property
    def trace(self) -> float:
        """Tr H; inf for nu <= 1 without truncation."""
        if self.n_modes is None and self.nu <= 1.0:
            return np.inf
        capacity = self.measures()[0]
        return float((capacity.weights / capacity.nodes).sum())

    @property
    def capacity_total(self) -> float:
        """Sum of the squared eigenvalues; inf for nu <= 1/2 without truncation."""
        if self.n_modes is None and self.nu <= 0.5:
            return np.inf
        return self.measures()[0].total

    def _signal_at(self, k: Array) -> Array:
        """s_k for real k, without cancellation: tail(k) - tail(k+1)."""
        return self.signal_total * k**-self.kappa * -np.expm1(-self.kappa * np.log1p(1.0 / k))

    def _mode_numbers(self) -> Array:
        if self.n_modes is None:
            raise ValueError("n_modes is None: an infinite spectrum cannot be listed; set n_modes or use measures()")
        return np.arange(1.0, self.n_modes + 1.0)

    @property
    def eigenvalues(self) -> Float[Array, " n"]:
        """All lambda_k, descending (needs n_modes)."""
        return self.eigenvalue_scale * self._mode_numbers() ** -self.nu

    @property
    def signal(self) -> Float[Array, " n"]:
        """All s_k (needs n_modes); the last mode carries the tail."""
        s = self._signal_at(self._mode_numbers())
        s[-1] = self.signal_scale * self.lambda_min**self.zeta
        return s

    def measures(self, bin_width: float = BIN_WIDTH) -> tuple[SpectralMeasure, SpectralMeasure]:
        """Capacity and signal measures on shared nodes, exact to rounding for the sums over all modes.

        Parameters
        ----------
        bin_width : float
            See `SpectralMeasure.compress`.
        """
        if bin_width not in self._cache:
            k, w, rest = _lattice_rule(self.nu, self.n_modes, bin_width)
            lam, s = self.eigenvalue_scale * k**-self.nu, w * self._signal_at(k)
            square = w * lam**2
            if self.n_modes is None:
                lam, square, s = self._append_tail(lam, square, s, rest)
            else:
                s[-1] = self.signal_scale * self.lambda_min**self.zeta
            self._cache[bin_width] = (SpectralMeasure.trusted(lam, square), SpectralMeasure.trusted(lam, s))
        return self._cache[bin_width]

    def _append_tail(self, lam: Array, square: Array, s: Array, rest: float) -> tuple[Array, Array, Array]:
        """One node each for capacity and signal below COARSE_DEPTH, with the exact total and 1/lambda moment."""
        scale, nu = self.eigenvalue_scale, self.nu
        edge = scale * rest**-nu
        mass, inverse = scale**2 * _zeta_tail(2.0 * nu, rest), scale * _zeta_tail(nu, rest)
        if np.isinf(mass):
            mass, node = 0.0, edge
        else:
            node = edge if np.isinf(inverse) else mass / inverse
        tail = self.signal_scale * edge**self.zeta
        signal_node = edge * (self.zeta - 1.0) / self.zeta if self.zeta > 1.0 else edge
        return (
            np.concatenate((lam, [node, signal_node])),
            np.concatenate((square, [mass, 0.0])),
            np.concatenate((s, [0.0, tail])),
        )
