"""Hold a value, then fall to 0 in a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int


@dataclass(frozen=True)
class HoldThenLinear:
    r"""Constant for a share of the steps, then linear to 0: "warmup-stable-decay" without its warm-up.

    .. math:: x_k = x_0 \min\left(1, \frac{1 - k/T}{1 - h}\right)\quad (k < T),\qquad x_k = 0\quad (k \ge T)

    h = 1 is a constant and h = 0 a line from the first step.

    Parameters
    ----------
    initial : float
        x_0, the value held.
    hold : float
        h in [0, 1], the share of the steps that it is held for.
    period : int
        T >= 1, steps in all.

    Raises
    ------
    ValueError
        If hold is outside [0, 1] or period < 1.

    References
    ----------
    arXiv 2405.18392 (constant rate and cooldown).

    Examples
    --------
    >>> import numpy as np
    >>> HoldThenLinear(0.4, 0.5, 8)(np.arange(9)).round(12).tolist()
    [0.4, 0.4, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1, 0.0]
    """

    initial: float
    hold: float
    period: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", _check.number("initial", self.initial))
        hold = _check.nonnegative("hold", self.hold, "0 falls from the first step")
        if hold > 1.0:
            raise ValueError(f"hold must be at most 1, got {hold!r}; it is a share of the steps")
        object.__setattr__(self, "hold", hold)
        object.__setattr__(self, "period", _check.integer("period", self.period, 1))

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        left = np.maximum(1.0 - steps / self.period, 0.0)
        fall = 1.0 - self.hold
        return self.initial * (np.minimum(1.0, left / fall) if fall > 0.0 else (left > 0.0).astype(np.float64))
