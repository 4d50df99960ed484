r"""Learning rates that are constant over periods of T steps and fall from one to the next, and their sums.

In units of the first rate and of the accuracy, a bound D1/A1(K) + s A2(K)/A1(K) <= 1, with A_n(K) the sum of the n-th
powers of the first K rates, says F(K) >= D1 for F = A1 - s A2. A step at rate r adds r (1 - s r): F falls while r > 1/s
and rises from then on, so that it crosses D1 once. Whole periods are found by bisection, the steps in the last one by a
division.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array

NEGLIGIBLE = 1e-12
"""Step decay: later pieces add less than this share to the sum of the rates."""
DIRECT = 64
"""Sums of powers are added up to here, and follow from Euler and Maclaurin beyond."""
FARTHEST = 1e300
HALVINGS = 80
"""Of a bracket of periods: a dozen in the logarithm, the others down to the spacing of doubles."""
NEAR, FINE, ROUNDS = 1.02, 41, 4
"""Least samples: ratio of the first grid of batch sizes, points of the finer ones, and how many of these."""


@runtime_checkable
class Pieces(Protocol):
    """Rates of one period after another, the first being 1; arrays of whole numbers of periods j are floats."""

    @property
    def period(self) -> int:
        """T, steps at one rate."""
        ...

    @property
    def last(self) -> float:
        """Periods that are looked at."""
        ...

    def at(self, j: Any) -> Any:
        """The rate after j whole periods."""
        ...

    def sums(self, j: Any, power: int) -> Any:
        """A_n after j whole periods."""
        ...

    def below(self, level: Any) -> Any:
        """The first period at a rate below the level."""
        ...


@dataclass(frozen=True)
class Powers:
    """(j + 1)^-p.

    Parameters
    ----------
    period : int
        T.
    exponent : float
        p in (0, 1).
    last : float
        Periods that are looked at.
    """

    period: int
    exponent: float
    last: float = FARTHEST

    def at(self, j: Any) -> Any:
        """The rate after j whole periods.

        Parameters
        ----------
        j : array
        """
        return (j + 1.0) ** -self.exponent

    def sums(self, j: Any, power: int) -> Any:
        """A_n after j whole periods.

        Parameters
        ----------
        j : array
        power : int
            n.
        """
        q = power * self.exponent
        table = _direct(q)
        far = np.maximum(j, float(DIRECT))
        tail = table[-1] + _tail(far, q) - float(_tail(np.array(float(DIRECT)), q))
        near = table[np.minimum(j, float(DIRECT)).astype(np.int64)]
        return self.period * np.where(j > DIRECT, tail, near)

    def below(self, level: Any) -> Any:
        """The first period at a rate below the level.

        Parameters
        ----------
        level : array
        """
        return np.clip(np.ceil(level ** (-1.0 / self.exponent) - 1.0), 0.0, self.last)


@dataclass(frozen=True)
class StepDecay:
    """eta^j.

    Parameters
    ----------
    period : int
        T.
    factor : float
        eta in (0, 1).
    """

    period: int
    factor: float

    @property
    def last(self) -> float:
        """Periods after which the sum of the rates is complete."""
        return float(math.ceil(math.log(NEGLIGIBLE) / math.log(self.factor)) + 1)

    def at(self, j: Any) -> Any:
        """The rate after j whole periods.

        Parameters
        ----------
        j : array
        """
        return self.factor**j

    def sums(self, j: Any, power: int) -> Any:
        """A_n after j whole periods.

        Parameters
        ----------
        j : array
        power : int
            n.
        """
        log = power * math.log(self.factor)
        return self.period * np.expm1(j * log) / math.expm1(log)

    def below(self, level: Any) -> Any:
        """The first period at a rate below the level.

        Parameters
        ----------
        level : array
        """
        return np.clip(np.ceil(np.log(level) / math.log(self.factor)), 0.0, self.last)


@lru_cache(maxsize=8)
def _direct(q: float) -> Array:
    """The sums of i^-q for i <= 0, 1, ..., DIRECT."""
    return np.concatenate(([0.0], np.cumsum(np.arange(1.0, DIRECT + 1.0) ** -q)))


def _tail(j: Any, q: float) -> Any:
    """The sum of i^-q for i <= j, up to a constant: Euler and Maclaurin, to 1e-16 from 64 on."""
    whole = np.log(j) if q == 1.0 else np.expm1((1.0 - q) * np.log(j)) / (1.0 - q)
    first = q / 12.0 * j ** (-q - 1.0)
    second = q * (q + 1.0) * (q + 2.0) / 720.0 * j ** (-q - 3.0)
    third = q * (q + 1.0) * (q + 2.0) * (q + 3.0) * (q + 4.0) / 30240.0 * j ** (-q - 5.0)
    return whole + 0.5 * j**-q - first + second - third


def first_step(pieces: Pieces, start: float, noise: Any) -> Any:
    """Where F crosses D1, as a number with a fraction of the last step; inf where it never does.

    Parameters
    ----------
    pieces : Pieces
        The rates.
    start : float
        D1.
    noise : array
        s, for every batch size.
    """

    def reached(j: Any) -> Any:
        return pieces.sums(j, 1) - noise * pieces.sums(j, 2)

    with np.errstate(divide="ignore", over="ignore", invalid="ignore", under="ignore"):
        low = pieces.below(1.0 / noise)
        high = np.full_like(low, pieces.last)
        ever = (reached(high) >= start) & (low < high)
        # reached(low) < D1 <= reached(high), both after the turn; the crossing lies in the period that begins at low.
        for _ in range(HALVINGS):
            middle = np.floor(
                np.where(high > 4.0 * (low + 1.0), np.sqrt(low + 1.0) * np.sqrt(high), 0.5 * (low + high))
            )
            above = reached(middle) >= start
            before = low, high
            low, high = np.where(above, low, middle), np.where(above, middle, high)
            if np.array_equal(before, (low, high)):
                break
        rate = pieces.at(low)
        inside = (start - reached(low)) / (rate * (1.0 - noise * rate))
        found = low * pieces.period + np.clip(inside, 0.0, pieces.period)
    return np.where(ever, found, np.inf)


def least_samples(steps: Callable[[Any], Any], scale: float) -> float:
    """The batch size of least K(b) b; nan without noise, where samples only grow, and inf where K is never finite.

    Parameters
    ----------
    steps : callable
        K(b), of arrays, without rounding.
    scale : float
        The batch size at which noise at the first rate is as large as the accuracy.
    """
    if scale == 0.0:
        return math.nan
    b = scale * np.geomspace(1e-12, 1e6, math.ceil(math.log(1e18) / math.log(NEAR)))
    best = math.nan
    for _ in range(1 + ROUNDS):
        with np.errstate(over="ignore"):
            log_samples = np.log(steps(b)) + np.log(b)
        if not np.isfinite(log_samples).any():
            return math.inf
        i = int(log_samples.argmin())
        best = float(b[i])
        b = np.geomspace(b[max(i - 1, 0)], b[min(i + 1, b.size - 1)], FINE)
    return best
