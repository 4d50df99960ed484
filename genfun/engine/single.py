"""The direct recursion of one setting, as a generating function follows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun.engine.recursion import Recursion
from genfun.scaled import Scaled


class SingleRecursion:
    """The direct recursion of one generating function.

    Parameters
    ----------
    G : GeneratingFunction
        On the measures that are to be followed.
    real : type
        np.float64 or np.longdouble.
    """

    def __init__(self, G: Any, real: Any = np.float64) -> None:
        self.function, self.real = G, real
        self._run = Recursion(G.problem, [G.method], G.noise_model, (G.capacity, G.signal_measure), real)
        self._next = 0

    @property
    def size(self) -> int:
        """Number of modes."""
        return self._run.state.shape[-1]

    def losses(self, until: int) -> Scaled:
        """Losses from the first step not asked for yet to `until`, inclusive.

        Parameters
        ----------
        until : int
        """
        mantissas, exponents = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
        while self._next <= until:
            while self._run.step < self._next:
                self._run.advance()
            mantissa, exponent = self.function.observed(self._run)
            mantissas.append(mantissa.astype(np.float64))
            exponents.append(exponent)
            self._next += 1
        return Scaled(np.concatenate(mantissas), np.concatenate(exponents))
