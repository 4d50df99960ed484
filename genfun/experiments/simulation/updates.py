"""Many settings of one method, and the step of their states in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.methods.base import Method


@dataclass(frozen=True, eq=False)
class Updates:
    r"""Learning rates and hyperparameters of settings that share batches, as arrays.

    .. math:: x \leftarrow T x - \alpha\, k\, \nabla L_B

    for each component of the state x = (w - w*, memory...): T is the method's update at a = 0, k its kick.

    Attributes
    ----------
    rates : array, shape (settings,)
        alpha.
    transitions : array, shape (settings, m, m)
        T.
    kicks : array, shape (settings, m)
        k.
    """

    rates: Float[Array, " settings"]
    transitions: Float[Array, "settings m m"]
    kicks: Float[Array, "settings m"]

    @classmethod
    def of(cls, methods: Sequence[Method]) -> Updates:
        """The arrays of methods whose states have equally many components.

        Parameters
        ----------
        methods : sequence of Method
        """
        # The gradient enters through the kick alone, so T is taken at a = 0.
        updates = [m.update(0.0, *m.hyperparameters) for m in methods]
        return cls(
            np.array([m.learning_rate for m in methods], dtype=np.float64),
            np.array([rows for rows, _ in updates], dtype=np.float64),
            np.array([kick for _, kick in updates], dtype=np.float64),
        )

    @property
    def count(self) -> int:
        """Number of settings."""
        return self.rates.size

    @property
    def components(self) -> int:
        """m, components of the state."""
        return self.kicks.shape[1]

    def repeated(self, outputs: int) -> Updates:
        """Each setting once for each output of the data.

        Parameters
        ----------
        outputs : int
        """
        return Updates(*(np.repeat(a, outputs, axis=0) for a in (self.rates, self.transitions, self.kicks)))


class Stepper:
    """x_i <- sum_j T_ij x_j + k_i g on a list of arrays (runs, settings, D), without moving them in memory.

    A component that is its old value plus the new value of another, as w is in heavy ball (w += v), costs one addition.

    Parameters
    ----------
    settings : Updates
        One for each row of the state.
    arrays : Backend
        See `genfun.experiments.simulation.backend`.
    shape : tuple of int
        Of a component.
    """

    def __init__(self, settings: Updates, arrays: Any, shape: tuple[int, ...]) -> None:
        T, k, m = settings.transitions, settings.kicks, settings.components
        self.arrays = arrays
        self.factors = [[_factor(T[:, i, j], arrays) for j in range(m)] for i in range(m)]
        self.kicks = [_factor(k[:, i], arrays) for i in range(m)]
        unit = np.eye(m)
        self.sums: list[tuple[int, int]] = []
        for i in range(m):
            for j in range(m):
                free = i != j and all(i not in (a, b) and j != a for a, b in self.sums)
                if free and np.array_equal(T[:, i] - T[:, j], np.tile(unit[i], (T.shape[0], 1))):
                    if np.array_equal(k[:, i], k[:, j]):
                        self.sums.append((i, j))
                        break
        summed = {i for i, _ in self.sums}
        rows = [i for i in range(m) if i not in summed]
        # A row may be written at once if no later one reads it.
        self.rows = [(i, not any(T[:, later, i].any() for later in rows[place + 1 :])) for place, i in enumerate(rows)]
        self.scratch = arrays.empty(shape)
        self.spare = {i: arrays.empty(shape) for i, at_once in self.rows if not at_once}

    def advance(self, x: Sequence[Any], g: Any) -> None:
        """One step, given minus the learning rate times the gradient.

        Parameters
        ----------
        x : sequence of arrays
            Components of the state; overwritten.
        g : array
        """
        for i, at_once in self.rows:
            target = x[i] if at_once else self.spare[i]
            self._scale(x[i], self.factors[i][i], target)
            for j in range(len(x)):
                if j != i:
                    self._add(target, x[j], self.factors[i][j])
            self._add(target, g, self.kicks[i])
        for i, target in self.spare.items():
            x[i][...] = target
        for i, j in self.sums:
            x[i][...] += x[j]

    def _scale(self, x: Any, factor: Any, target: Any) -> None:
        if not isinstance(factor, float):
            self.arrays.multiply(x, factor, out=target)
        elif factor == 0.0:
            target[...] = 0.0
        elif target is not x:
            target[...] = x

    def _add(self, target: Any, x: Any, factor: Any) -> None:
        if not isinstance(factor, float):
            self.arrays.multiply(x, factor, out=self.scratch)
            target += self.scratch
        elif factor == 1.0:
            target += x


def _factor(values: Float[Array, " rows"], arrays: Any) -> Any:
    """0.0 or 1.0 if that is what all rows have, to be skipped; otherwise a column on the device."""
    for plain in (0.0, 1.0):
        if (values == plain).all():
            return plain
    return arrays.put(values[:, None])
