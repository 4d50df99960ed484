"""Batch sizes that grow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int


def _whole(values: Array, limit: int | None) -> Array:
    """Nearest whole numbers, at most the limit."""
    return np.rint(np.minimum(values, 2.0**53 if limit is None else limit))


def _checked(schedule: ExponentialGrowth | LinearGrowth) -> None:
    object.__setattr__(schedule, "initial", _check.positive("initial", schedule.initial, "a batch has 1 or more"))
    object.__setattr__(schedule, "period", _check.integer("period", schedule.period, 1, "1 grows at every step"))
    if schedule.limit is not None:
        object.__setattr__(schedule, "limit", _check.integer("limit", schedule.limit, 1, "None means no limit"))


@dataclass(frozen=True)
class ExponentialGrowth:
    r"""A batch size multiplied at regular intervals.

    .. math:: b_k = \operatorname{round}\min(b_0\,\eta^{\lfloor k/T\rfloor},\ b_{max})

    Parameters
    ----------
    initial : float
        b_0 > 0, samples.
    factor : float
        eta >= 1, dimensionless.
    period : int
        T >= 1, in steps.
    limit : int or None
        b_max; the size of the training set ends at the full batch. None means no limit.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    arXiv 1711.00489 (batch growth in place of rate decay).

    Examples
    --------
    >>> import numpy as np
    >>> ExponentialGrowth(8, 2.0, period=100, limit=50)(np.array([0, 100, 250, 900])).tolist()
    [8.0, 16.0, 32.0, 50.0]
    """

    initial: float
    factor: float
    period: int = 1
    limit: int | None = None

    def __post_init__(self) -> None:
        _checked(self)
        factor = _check.number("factor", self.factor)
        if factor < 1.0:
            raise ValueError(f"factor must be at least 1, got {factor!r}; a batch that shrinks is a StepDecay")
        object.__setattr__(self, "factor", factor)

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        exponent = np.log(self.initial) + np.log(self.factor) * (steps // self.period)
        return _whole(np.exp(np.minimum(exponent, 40.0)), self.limit)


@dataclass(frozen=True)
class LinearGrowth:
    r"""A batch size raised by equal amounts at regular intervals.

    .. math:: b_k = \operatorname{round}\min(b_0 + c\lfloor k/T\rfloor,\ b_{max})

    Parameters
    ----------
    initial : float
        b_0 > 0, samples.
    increment : float
        c >= 0, samples.
    period : int
        T >= 1, in steps.
    limit : int or None
        b_max; None means no limit.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> LinearGrowth(8, 0.5)(np.array([0, 1, 8, 100])).tolist()
    [8.0, 8.0, 12.0, 58.0]
    """

    initial: float
    increment: float
    period: int = 1
    limit: int | None = None

    def __post_init__(self) -> None:
        _checked(self)
        remedy = "a batch that shrinks is a Table or a StepDecay"
        object.__setattr__(self, "increment", _check.nonnegative("increment", self.increment, remedy))

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        return _whole(self.initial + self.increment * (steps // self.period), self.limit)
