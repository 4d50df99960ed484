"""Runs of SGD in double wells: how long they take from one minimum to the other, and where they are found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Bool, Float, Int
from genfun.methods.sgd import SGD
from genfun.noise import sampling_factor

PACK = 64
"""Steps between which runs that have arrived are carried along."""


@runtime_checkable
class Field(Protocol):
    """The full-data gradient at the places of all runs."""

    def __call__(self, x: Float[Array, "runs d"], /) -> Float[Array, "runs d"]:
        """Gradients, shape (runs, d)."""
        ...


@runtime_checkable
class Inside(Protocol):
    """Which runs are inside."""

    def __call__(self, x: Float[Array, "runs d"], /) -> Bool[Array, " runs"]:
        """True where inside."""
        ...


@dataclass(frozen=True)
class DoubleWell:
    r"""Two minima of their own curvatures and depths, and the saddle between them.

    .. math:: f(x, y) = \tfrac14 h (x^2-1)^2 + c\,x + \tfrac12 k(x)\, y^2,\qquad
              k(x) = \sqrt{k_- k_+}\,(k_+/k_-)^{x/2}

    **Assumptions.** |tilt| < 2 h / 3^(3/2), so that there are two minima, both at y = 0.

    Parameters
    ----------
    height : float
        h > 0; without tilt the barrier is h/4.
    tilt : float
        c, which lowers the left minimum.
    stiffness : tuple of two floats, or None
        (k_-, k_+), curvature in y at x = -1 and x = 1; None leaves y out: one dimension.

    Examples
    --------
    >>> well = DoubleWell(1.0)
    >>> well.critical_points.round(6), well.hessian(1.0)
    (array([-1.,  0.,  1.]), array([2.]))
    """

    height: float
    tilt: float = 0.0
    stiffness: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check.positive("height", self.height)
        if abs(_check.number("tilt", self.tilt)) >= 2.0 * self.height / math.sqrt(27.0):
            raise ValueError(f"tilt must be below 2 height / 3^(3/2) for two minima, got {self.tilt!r}; lower it")
        for k in self.stiffness or ():
            _check.positive("stiffness", k)

    @property
    def dimension(self) -> int:
        """1 or 2."""
        return 1 if self.stiffness is None else 2

    @property
    def critical_points(self) -> Float[Array, " 3"]:
        """x of the left minimum, the saddle and the right minimum."""
        roots = np.roots([self.height, 0.0, -self.height, self.tilt])
        return np.sort(np.real(roots)) + 0.0

    def across(self, x: Any) -> Any:
        """k(x).

        Parameters
        ----------
        x : float or array
        """
        low, high = self.stiffness or (1.0, 1.0)
        return np.sqrt(low * high) * (high / low) ** (0.5 * np.asarray(x))

    def loss(self, x: Any) -> Any:
        """f(x, 0).

        Parameters
        ----------
        x : float or array
        """
        x = np.asarray(x)
        return 0.25 * self.height * (x * x - 1.0) ** 2 + self.tilt * x

    def hessian(self, x: float) -> Float[Array, " d"]:
        """Eigenvalues of the Hessian at (x, 0), along x first.

        Parameters
        ----------
        x : float
        """
        along = self.height * (3.0 * x * x - 1.0)
        return np.array([along] if self.stiffness is None else [along, float(self.across(x))])

    def gradient(self, x: Float[Array, "runs d"]) -> Float[Array, "runs d"]:
        """At the places of all runs.

        Parameters
        ----------
        x : array, shape (runs, d)
        """
        first = x[:, 0]
        found = self.height * first * (first * first - 1.0) + self.tilt
        if self.stiffness is None:
            return found[:, None]
        k, y = self.across(first), x[:, 1]
        slope = 0.25 * math.log(self.stiffness[1] / self.stiffness[0])
        return np.stack((found + slope * k * y * y, k * y), axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class Passages(Displayed):
    """Steps that runs took to arrive.

    Attributes
    ----------
    steps : integer array, shape (runs,)
        First step inside the region; that of the last step for runs that had not arrived.
    arrived : bool array, shape (runs,)
        Which ones had.

    Examples
    --------
    >>> Passages(np.array([3, 5, 10]), np.array([True, True, False]))
    Passages(2 of 3 runs arrived, after 9 +- 6.36 steps on average)
    """

    steps: Int[Array, " runs"]
    arrived: Bool[Array, " runs"]

    def __repr__(self) -> str:
        count = int(self.arrived.sum())
        mean = f"{self.mean:.6g} +- {self.sem:.3g}"
        return f"Passages({count} of {self.steps.size} runs arrived, after {mean} steps on average)"

    @property
    def mean(self) -> float:
        """Mean steps, all steps run per arrival; unbiased by the runs that had not arrived if times are exponential."""
        count = int(self.arrived.sum())
        return float(self.steps.sum()) / count if count else math.inf

    @property
    def sem(self) -> float:
        """Standard error of the mean, for exponential times."""
        count = int(self.arrived.sum())
        return self.mean / math.sqrt(count) if count else math.inf


def passages(
    gradient: Field,
    start: Any,
    region: Inside,
    method: SGD,
    gradient_variance: float,
    runs: int = 1000,
    steps: int = 100_000,
    seed: int = 0,
) -> Passages:
    r"""Steps of independent runs of SGD until they first enter a region.

    .. math:: f_i(x) = f(x) + \langle\xi_i, x\rangle,\qquad \xi_i \sim \mathcal N(0, \sigma^2 I)

    **Assumptions.** Streaming samples: the noise of a batch is Gaussian of variance sigma^2/b in every direction.

    Parameters
    ----------
    gradient : callable
        Of f, for all runs at once: (runs, d) -> (runs, d).
    start : array, shape (d,)
        Where all runs begin, at rest.
    region : callable
        (runs, d) -> bool, shape (runs,): whether a run has arrived.
    method : SGD
        alpha, beta and b.
    gradient_variance : float
        sigma^2 >= 0.
    runs : int
        Independent runs.
    steps : int
        After which runs that have not arrived are stopped.
    seed : int
        Of `numpy.random.default_rng`.

    Returns
    -------
    Passages

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    arXiv 1812.00542.

    Examples
    --------
    >>> import genfun as gf
    >>> well = DoubleWell(1.0)
    >>> setting = gf.SGD(0.1, batch_size=1)
    >>> passages(well.gradient, [-1.0], lambda x: x[:, 0] > 1.0, setting, 1.25, runs=20, steps=20_000).arrived.all()
    np.True_
    """
    count, last = _check.integer("runs", runs, 1), _check.integer("steps", steps, 1)
    when, alive = np.full(count, last), np.arange(count)
    arrived, reached = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    walk = _Walk(gradient, start, method, gradient_variance, count, seed)
    for t in range(1, last + 1):
        inside = region(walk.step()) & ~reached
        if inside.any():
            when[alive[inside]], arrived[alive[inside]] = t, True
            reached |= inside
        if t % PACK == 0 and reached.any():
            walk.keep(~reached)
            alive, reached = alive[~reached], reached[~reached]
            if alive.size == 0:
                break
    return Passages(when, arrived)


def occupation(
    gradient: Field,
    start: Any,
    region: Inside,
    method: SGD,
    gradient_variance: float,
    runs: int = 1000,
    steps: int = 10_000,
    burn_in: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    r"""Share of the time that runs of SGD spend in a region, and its standard error.

    .. math:: P = \frac1K \sum_{t=B+1}^{B+K} 1[x_t \in R]

    **Assumptions.** As for `passages`; after `burn_in` steps the start is forgotten. The error is that of independent
    runs.

    Parameters
    ----------
    gradient : callable
        (runs, d) -> (runs, d).
    start : array, shape (d,) or (runs, d)
        Where the runs begin.
    region : callable
        (runs, d) -> bool, shape (runs,).
    method : SGD
        alpha, beta and b.
    gradient_variance : float
        sigma^2 >= 0.
    runs : int
        Independent runs, at least 2.
    steps : int
        That are counted, K.
    burn_in : int
        Steps before, B.
    seed : int
        Of `numpy.random.default_rng`.

    Returns
    -------
    (float, float)
        Share and standard error.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    arXiv 1812.00542.

    Examples
    --------
    >>> import genfun as gf
    >>> well, setting = DoubleWell(1.0), gf.SGD(0.1, batch_size=1)
    >>> share, error = occupation(well.gradient, [1.0], lambda x: x[:, 0] > 0.0, setting, 4.0, 50, 400, 400)
    >>> abs(share - 0.5) < 5 * error
    True
    """
    count, kept = _check.integer("runs", runs, 2), _check.integer("steps", steps, 1)
    walk = _Walk(gradient, start, method, gradient_variance, count, seed)
    for _ in range(_check.integer("burn_in", burn_in, 0)):
        walk.step()
    inside = np.zeros(count)
    for _ in range(kept):
        inside += region(walk.step())
    share = inside / kept
    return float(share.mean()), float(share.std(ddof=1) / math.sqrt(count))


class _Walk:
    """Heavy-ball SGD of all runs in step."""

    def __init__(
        self, gradient: Field, start: Any, method: SGD, gradient_variance: float, runs: int, seed: int
    ) -> None:
        place = np.atleast_1d(np.asarray(start, dtype=np.float64))
        self.x = np.array(np.broadcast_to(place, (runs, place.shape[-1])))
        self.v = np.zeros_like(self.x)
        _check.options(method, nesterov=False)
        sigma2 = _check.nonnegative("gradient_variance", gradient_variance)
        self.kick = method.learning_rate * math.sqrt(sampling_factor(method.batch_size, None) * sigma2)
        self.gradient, self.method = gradient, method
        self.rng = np.random.default_rng(seed)

    def step(self) -> Float[Array, "runs d"]:
        self.v *= self.method.momentum
        self.v -= self.method.learning_rate * self.gradient(self.x)
        if self.kick:
            self.v += self.kick * self.rng.standard_normal(self.x.shape)
        self.x += self.v
        return self.x

    def keep(self, pick: Bool[Array, " runs"]) -> None:
        self.x, self.v = self.x[pick], self.v[pick]
