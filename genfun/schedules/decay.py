"""Schedules that decay, and warm-up before any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int


@dataclass(frozen=True)
class Polynomial:
    r"""Decay as a power of the step, in plateaus of equal length.

    .. math:: x_k = x_0\,(\lfloor k/T\rfloor + 1)^{-p}

    Parameters
    ----------
    initial : float
        x_0.
    power : float
        p >= 0, dimensionless; 1/4, 1/2 and 3/4 are those of the reference.
    period : int
        T >= 1, length of a plateau in steps; 1 decays at every step.

    Raises
    ------
    ValueError
        If power < 0 or period < 1.

    References
    ----------
    arXiv 2402.15344 (decaying learning rates).

    Examples
    --------
    >>> import numpy as np
    >>> Polynomial(1.0, 0.5, period=2)(np.array([0, 1, 6])).tolist()
    [1.0, 1.0, 0.5]
    """

    initial: float
    power: float
    period: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", _check.number("initial", self.initial))
        object.__setattr__(self, "power", _check.nonnegative("power", self.power, "0.5 decays as 1/sqrt(k)"))
        object.__setattr__(self, "period", _check.integer("period", self.period, 1, "1 decays at every step"))

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        return self.initial * (steps // self.period + 1.0) ** -self.power


@dataclass(frozen=True)
class StepDecay:
    r"""A factor at regular intervals.

    .. math:: x_k = x_0\,\eta^{\lfloor k/T\rfloor}

    Parameters
    ----------
    initial : float
        x_0.
    factor : float
        eta > 0, dimensionless.
    period : int
        T >= 1, in steps.

    Raises
    ------
    ValueError
        If factor <= 0 or period < 1.

    Examples
    --------
    >>> import numpy as np
    >>> StepDecay(1.0, 0.5, period=100)(np.array([0, 99, 100, 250])).tolist()
    [1.0, 1.0, 0.5, 0.25]
    """

    initial: float
    factor: float
    period: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", _check.number("initial", self.initial))
        object.__setattr__(self, "factor", _check.positive("factor", self.factor, "0.1 divides by ten"))
        object.__setattr__(self, "period", _check.integer("period", self.period, 1))

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        return self.initial * self.factor ** (steps // self.period).astype(np.float64)


@dataclass(frozen=True)
class Cosine:
    r"""Half a cosine from one value to another, which is kept afterwards.

    .. math:: x_k = x_T + \tfrac12 (x_0 - x_T)(1 + \cos(\pi \min(k/T, 1)))

    Parameters
    ----------
    initial : float
        x_0.
    period : int
        T >= 1, in steps.
    final : float
        x_T.

    Raises
    ------
    ValueError
        If period < 1.

    References
    ----------
    arXiv 1608.03983, eq. (5).

    Examples
    --------
    >>> import numpy as np
    >>> Cosine(1.0, 100)(np.array([0, 50, 100, 200])).round(12).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """

    initial: float
    period: int
    final: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", _check.number("initial", self.initial))
        object.__setattr__(self, "final", _check.number("final", self.final))
        object.__setattr__(self, "period", _check.integer("period", self.period, 1))

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        part = np.minimum(steps / self.period, 1.0)
        return self.final + (self.initial - self.final) * np.cos(0.5 * np.pi * part) ** 2


@dataclass(frozen=True)
class Warmup:
    r"""A linear rise to the start of any other schedule, which follows.

    .. math:: x_k = x_s + (y_0 - x_s)\,\frac{k+1}{T+1}\quad (k < T),\qquad x_k = y_{k-T}\quad (k\ge T)

    Parameters
    ----------
    steps : int
        T >= 0, length of the rise.
    then : float or Schedule
        y, a number or what follows; its step 0 is step T.
    start : float
        x_s, the value before the first step.

    Raises
    ------
    ValueError
        If steps < 0.
    TypeError
        If `then` is neither a number nor callable.

    References
    ----------
    arXiv 1706.02677, section 2.2 (gradual warm-up).

    Examples
    --------
    >>> import numpy as np
    >>> Warmup(3, then=Polynomial(0.4, 1.0))(np.arange(5)).round(12).tolist()
    [0.1, 0.2, 0.3, 0.4, 0.2]
    """

    steps: int
    then: Any
    start: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _check.integer("steps", self.steps, 0))
        object.__setattr__(self, "start", _check.number("start", self.start))
        if not callable(self.then):
            remedy = "pass a number or a schedule such as Cosine(0.5, 1000)"
            object.__setattr__(self, "then", _check.number("then", self.then, remedy))

    def _after(self, steps: Array) -> Array:
        return np.asarray(self.then(steps)) if callable(self.then) else np.full(steps.shape, float(self.then))

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        after = self._after(np.maximum(steps - self.steps, 0))
        if self.steps == 0:
            return after
        rising = self.start + (after - self.start) * ((steps + 1.0) / (self.steps + 1.0))
        return np.where(steps < self.steps, rising, after)
