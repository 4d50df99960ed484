"""Numbers beyond the range of double precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array

EPS = 2.3e-16
"""Rounding of doubles, from which the error estimates are built."""


@dataclass(frozen=True)
class Scaled:
    """An array m * 2^e.

    Parameters
    ----------
    mantissa : array
        m, real.
    exponent : integer array of the same shape
        e.
    """

    mantissa: Any
    exponent: Any

    @classmethod
    def exponential(cls, mantissa: Array, power: Array) -> Scaled:
        """m * exp(power), for any power."""
        exponent = np.floor(power / np.log(2.0))
        return cls(mantissa * np.exp(power - exponent * np.log(2.0)), exponent.astype(np.int64))

    @classmethod
    def join(cls, parts: list[Scaled]) -> Scaled:
        """Concatenation."""
        return cls(np.concatenate([p.mantissa for p in parts]), np.concatenate([p.exponent for p in parts]))

    def __getitem__(self, index: Any) -> Scaled:
        return Scaled(self.mantissa[index], self.exponent[index])

    def log(self) -> Any:
        """Natural logarithm; -inf at zero, nan below."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(self.mantissa) + self.exponent * np.log(2.0)

    def value(self) -> Any:
        """As doubles: 0 below their range, inf above."""
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(self.mantissa, np.clip(self.exponent, -4000, 4000).astype(np.int32))

    def plus(self, constant: float) -> Scaled:
        """The sum with a number >= 0.

        Parameters
        ----------
        constant : float
        """
        if constant == 0.0:
            return self
        mantissa, shift = np.frexp(self.mantissa)
        exponent = np.where(mantissa == 0.0, -(2**40), self.exponent + shift)
        own, at = np.frexp(constant)
        top = np.where(np.isfinite(mantissa), np.maximum(exponent, int(at)), exponent)
        part, rest = (np.clip(e - top, -8000, 0).astype(np.int32) for e in (exponent, int(at)))
        return Scaled(np.ldexp(mantissa, part) + np.ldexp(own, rest), top)

    def relative_difference(self, other: Scaled) -> Any:
        """|self - other| / |other|."""
        shift = np.clip(self.exponent - other.exponent, -4000, 4000).astype(np.int32)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            result = np.abs(np.ldexp(self.mantissa, shift) - other.mantissa) / np.abs(other.mantissa)
        return np.nan_to_num(result, nan=np.inf)
