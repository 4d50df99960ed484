r"""The signal as points of a straight line in logarithms, with the error of each.

Tail sums S_k lack what lies beyond the last mode, and one chance value moves all of them. Sums over disjoint bins do
neither. The mean signal of a bin is that of a power law q k^-p at an *effective mode number* of the bin, which lies
inside it and hardly depends on p, so that a straight line fits with no correction of order 1/k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from genfun._typing import Array, Float, Int

Rule = Literal["single modes", "tail sums", "complete tails"]
"""What is a power of k: s_k = q k^-p in bins; S_k = C k^-(p - 1) in bins (they differ by O(1/k)); the S_k as they are,
nothing being beyond the last mode."""
EXTRA: dict[Rule, float] = {"single modes": 1.0, "tail sums": 1.0, "complete tails": 0.0}
"""The line falls with slope -(kappa + EXTRA)."""
LISTED = 64
"""Bins that start below are summed mode by mode; above, the Euler-Maclaurin formula errs by less than 1e-7."""
FIRST_PAIR = 8
"""Neighbours are compared from here on, where k^-p with a slightly wrong p no longer matters."""
PAIRS = 5000
"""No more are compared; of longer lists, log-spaced ones."""
TINY = float(np.finfo(float).tiny)
"""Smaller numbers are subnormal and have no relative accuracy."""
LEAST_SCATTER = 0.1**2
"""A smaller variance of neighbours is curvature, not chance."""


@dataclass(frozen=True, eq=False)
class SignalBins:
    """Bins [edges[i], edges[i+1]) of modes, counted from 1.

    Parameters
    ----------
    edges : integer array, shape (m + 1,)
        Ascending from 1; the mode edges[m] is in no bin, as it may carry all that lies beyond it.
    signal : array, shape (n,)
        s_k.
    """

    edges: Int[Array, " e"]
    signal: Float[Array, " n"]

    @property
    def counts(self) -> Int[Array, " m"]:
        """Modes in each bin."""
        return np.diff(self.edges)

    def means(self) -> Float[Array, " m"]:
        """Mean signal per mode; a bin without signal counts as e^-3 of the least with signal."""
        means = self.sums() / self.counts
        means[means <= 0.0] = np.exp(-3.0) * means[means > 0.0].min(initial=np.inf)
        return np.maximum(means, TINY)

    def sums(self, power: int = 1) -> Float[Array, " m"]:
        """Sum over each bin of s_k to a power."""
        return np.add.reduceat(self.signal[: self.edges[-1] - 1] ** power, self.edges[:-1] - 1)

    def tails(self, power: int = 1) -> Float[Array, " m"]:
        """Sum of s_k to a power over the modes from the start of each bin to the last."""
        rest = float((self.signal[self.edges[-1] - 1 :] ** power).sum())
        return np.cumsum(self.sums(power)[::-1])[::-1] + rest

    def log_modes(self, p: float, rule: Rule) -> Float[Array, " m"]:
        r"""Logarithm of the effective mode number X_i of each bin of n_i modes; of its first mode for complete tails.

        .. math:: X^{-p} = \frac1n\sum_{k=a}^{b-1} k^{-p}\qquad\text{or}\qquad
                  X^{-p} = \frac{a^{1-p} - b^{1-p}}{n(p-1)}
        """
        if rule == "complete tails":
            return np.log(self.edges[:-1])
        p = min(max(p, 0.1), 100.0)
        if rule == "tail sums":
            return -(_log_integral(p, self.edges) - np.log(self.counts)) / p
        listed = int(np.searchsorted(self.edges[:-1], LISTED))
        ends, rest = self.edges[: listed + 1], self.edges[listed:] - 0.5
        k, first = np.arange(1.0, ends[-1]), np.repeat(ends[:-1], np.diff(ends))
        logs = np.log(np.add.reduceat((k / first) ** -p, ends[:-1] - 1)) - p * np.log(ends[:-1])
        if rest.size > 1:
            # The integral from a - 1/2 to b - 1/2, less (f'(b - 1/2) - f'(a - 1/2))/24.
            log_integral, width = _log_integral(p, rest), np.diff(np.log(rest))
            relative = np.exp(log_integral + (p - 1.0) * np.log(rest[:-1])) * rest[:-1] ** 2
            logs = np.concatenate((logs, log_integral + np.log1p(p / 24.0 * np.expm1(-(p + 1.0) * width) / relative)))
        return -(logs - np.log(self.counts)) / p

    def scatter(self, p: float, first: int, stop: int) -> float:
        r"""Relative variance of single s_k about a power law, from neighbours in the bins first, ..., stop - 1.

        .. math:: \varphi = \frac{2d}{1-d},\qquad
                  d = \Big\langle\Big(\frac{r_k-r_{k+1}}{r_k+r_{k+1}}\Big)^2\Big\rangle,\qquad r_k = k^p s_k

        Exact for independent gamma variables (r_k/(r_k + r_{k+1}) is then a beta variable); 2 for the square of a
        normal, 2/c for the mean of c squares. Each decade of k counts the same.
        """
        p = min(p, 100.0)
        a, b = int(self.edges[first]), int(self.edges[stop])
        a = max(a, min(FIRST_PAIR, b // 4))
        if b - a < 3:
            return 0.0
        k = np.arange(a, b - 1) if b - a < PAIRS else np.unique(np.geomspace(a, b - 2, PAIRS).astype(np.int64))
        here, after = self.signal[k - 1], self.signal[k] * (1.0 + 1.0 / k) ** p
        both = here + after
        w = np.where(both > 0.0, np.gradient(np.log(k)), 0.0)
        if not w.any():
            return 0.0
        d = min(float(w @ ((here - after) / np.where(both > 0.0, both, 1.0)) ** 2 / w.sum()), 0.9)
        variance = 2.0 * d / (1.0 - d)
        return variance if variance > LEAST_SCATTER else 0.0

    def logs(self, rule: Rule, scatter: float) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        r"""Log of the expected signal per mode of each bin, and its variance; of its tail sum, without variance.

        The mean of n gamma variables of relative variance phi is a gamma variable of shape a = n/phi, whose logarithm
        has mean psi(a) - log a and variance psi'(a). Tail sums have nearly one error in common, which moves the line
        but not the points about it.
        """
        if rule == "complete tails":
            tails = self.tails()
            return np.log(tails), np.zeros_like(tails)
        means = self.means()
        if scatter == 0.0:
            return np.log(means), np.zeros_like(means)
        from scipy.special import digamma, polygamma  # on first use: importing it takes longer than the package

        shape = self.counts / scatter
        return np.log(means) - (digamma(shape) - np.log(shape)), polygamma(1, shape)

    def error(self, rule: Rule, of: Array, scatter: float, first: int) -> float:
        r"""Standard error that the scatter of s_k gives to sum_i of_i y_i, y the logs of the bins from `first` on.

        .. math:: \sum_i c_i\frac{\delta S_i}{S_i} = \sum_j\delta s_j\sum_{i:\,k_i\le j}\frac{c_i}{S_i}

        The errors of tail sums S_i are not independent, those of s_j are, with variance phi E[s]^2.
        """
        here = slice(first, first + of.size)
        if rule != "complete tails":
            return float(np.sqrt(of**2 @ self.logs(rule, scatter)[1][here]))
        moved, squares = np.cumsum(of / self.tails()[here]), self.sums(2)[here]
        squares[-1] = self.tails(2)[here][-1]
        return float(np.sqrt(scatter / (1.0 + scatter)) * np.linalg.norm(np.sqrt(squares) * moved))


def _log_integral(p: float, ends: Array) -> Array:
    """Log of the integral of x^-p between neighbouring ends."""
    q = p - 1.0 if abs(p - 1.0) > 1e-9 else 1e-9
    return -q * np.log(ends[:-1]) + np.log(-np.expm1(-q * np.diff(np.log(ends))) / q)
