"""The batch sizes of Big Batch SGD as a Markov chain on the ladder of its growth steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun._typing import Array, Float

LARGEST = 10**12
"""Stands for the full batch of streaming data, which have none: at this batch size the noise is negligible."""
NEGLIGIBLE = 1e-12
"""Batch sizes of smaller probability are not followed."""
ORDERS = np.arange(3.0)[:, None]
"""Added to the shape of a gamma law: its probability, first and second moment below a bound."""


def rungs(first: int, n_samples: int | None) -> Float[Array, " k"]:
    """First batch size, and a tenth more (at least one sample) at each rung, up to all of them."""
    top = LARGEST if n_samples is None else n_samples
    sizes = [min(first, top)]
    while sizes[-1] < top:
        sizes.append(min(top, sizes[-1] + max(1, sizes[-1] // 10)))
    return np.array(sizes, dtype=np.float64)


@dataclass(frozen=True)
class GradientNoise:
    """What the test sees of the gradient's distribution, at one step.

    Parameters
    ----------
    signal : float
        |G|^2.
    trace : float
        Tr Sigma, Sigma the population covariance of one sample's gradient.
    squared : float
        Tr Sigma^2.
    along : float
        G Sigma G.
    """

    signal: float
    trace: float
    squared: float
    along: float


class BatchChain:
    r"""The acceptance test on every rung, and the chain that it drives.

    A batch of b of N samples has the gradient g = G + W/b, W Gaussian of covariance Sigma b (N-b)/(N-1). Of
    S = |g|^2 only mean and variance are kept, by a gamma law. Adding m samples to a batch that failed keeps most of
    its gradient, with the factor rho of g - G:

    .. math:: E[S'|S] = \mu' + B\,(S - \mu),\quad B = \rho^2 + 2\rho(1-\rho)\kappa,\quad
              \kappa = \frac{\operatorname{Cov}(G\cdot g, S)}{\operatorname{Var} S},\quad
              \rho = \frac{b}{b'}\frac{N-b'}{N-b}

    so that one failure makes the next likely, and batches grow by several rungs at once. What of the variance of S'
    is not explained so shrinks with the mean of S', as a sum of squares does.

    Parameters
    ----------
    first : int
        The first batch size.
    n_samples : int or None
        N; None means streaming data.
    theta : float
        Of the test |g|^2 >= V/(theta^2 b), V = N Tr Sigma/(N-1).
    """

    def __init__(self, first: int, n_samples: int | None, theta: float) -> None:
        self.sizes = b = rungs(first, n_samples)
        self._squared_theta = theta**2
        if n_samples is None:
            self.gamma, self._sample = 1.0 / b, 1.0
            self._rho = b[:-1] / b[1:]
        else:
            n = float(n_samples)
            self.gamma, self._sample = (n - b) / (max(n - 1.0, 1.0) * b), n / max(n - 1.0, 1.0)
            self._rho = b[:-1] / b[1:] * (n - b[1:]) / np.maximum(n - b[:-1], 1.0)
        self.probability = np.zeros(b.size)
        self.probability[0] = 1.0

    @property
    def full(self) -> float:
        """Probability of the full batch."""
        return float(self.probability[-1])

    @property
    def mean_gamma(self) -> float:
        """Mean sampling factor of the batches."""
        return float(self.probability @ self.gamma)

    def mean(self) -> float:
        """Mean batch size."""
        return float(self.probability @ self.sizes)

    def quantile(self, level: float) -> float:
        """The smallest rung with at least this probability at or below it."""
        place = int(np.searchsorted(np.cumsum(self.probability), level - 1e-9))
        return float(self.sizes[min(place, self.sizes.size - 1)])

    def advance(self, noise: GradientNoise) -> None:
        """One step of training: every batch is drawn anew, tested, and grown until it passes.

        Parameters
        ----------
        noise : GradientNoise
            At the parameters of the step.
        """
        from scipy.special import gammainc

        if noise.signal + noise.trace <= 0.0:
            return  # at the optimum of noiseless data every test is 0 >= 0
        c, last = self.gamma, self.sizes.size - 1
        mu = noise.signal + c * noise.trace
        var = 2.0 * c * c * noise.squared + 4.0 * c * noise.along
        with np.errstate(divide="ignore"):  # of a theta whose square is 0: no batch but the full one passes
            threshold = self._sample * noise.trace / (self._squared_theta * self.sizes)
        threshold[self.sizes == 1.0] = np.inf  # one sample tells nothing of its noise
        kappa = np.divide(2.0 * c * noise.along, var, out=np.zeros_like(var), where=var > 0.0)
        slope = self._rho**2 + 2.0 * self._rho * (1.0 - self._rho) * kappa[:-1]
        slope_squared, mu_next = slope**2, mu[1:]
        rest = np.maximum(var[1:] - slope_squared * var[:-1], 0.0)
        settled = np.zeros_like(mu)
        settled[last] = self.probability[last]
        rung = np.flatnonzero(self.probability[:-1] > NEGLIGIBLE)
        mass, mean, spread = self.probability[rung], mu[rung], var[rung]
        while rung.size:
            spread = np.maximum(spread, 1e-12 * mean**2)
            shape, scale = mean**2 / spread, spread / mean
            x = threshold[rung] / scale
            below = gammainc(shape + ORDERS, x)
            chance, first, second = below
            # No rung is there twice.
            settled[rung] += mass * (1.0 - chance)
            mass = mass * chance
            failed = mass > NEGLIGIBLE
            if not failed.all():
                settled[rung[~failed]] += mass[~failed]
                rung, mass, shape, scale = rung[failed], mass[failed], shape[failed], scale[failed]
                chance, first, second = below[:, failed]
            # Mean and variance of S given the failure S < x.
            m1 = shape * scale * first / chance
            m2 = shape * (shape + 1.0) * scale**2 * second / chance
            above = mu_next[rung]
            mean = np.maximum(above + slope[rung] * (m1 - mu[rung]), 1e-3 * above)
            # At the optimum of noisy data the full gradient, the last mean, is 0.
            relative = np.divide(mean, above, out=np.zeros_like(mean), where=above > 0.0)
            spread = slope_squared[rung] * np.maximum(m2 - m1**2, 0.0) + rest[rung] * relative
            rung = rung + 1
            if rung.size and rung[-1] == last:
                settled[last] += mass[-1]
                rung, mass, mean, spread = rung[:-1], mass[:-1], mean[:-1], spread[:-1]
        self.probability = settled / settled.sum()
