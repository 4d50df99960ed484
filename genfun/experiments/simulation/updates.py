"""Many settings of one method, and the step of their states in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.methods.averaged import Averaged
from genfun.methods.system import system_of

ARRAYS = ("rates", "transitions", "kicks", "starts", "first_kicks")
"""Those of `Updates`, with the settings as their first axis."""


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
    starts : array, shape (settings, m)
        The state at the start, in units of w_0 - w*: 1 of w, -1 of what weight decay pulls from, 1 of a running mean.
    first_kicks : array, shape (settings, m)
        k of the first step, which torch does not damp.
    average : Averaged or None
        One of the settings, where their last component is an average of the weights; all have its kind and start.
    """

    rates: Float[Array, " settings"]
    transitions: Float[Array, "settings m m"]
    kicks: Float[Array, "settings m"]
    starts: Float[Array, "settings m"]
    first_kicks: Float[Array, "settings m"]
    average: Averaged | None = None

    @classmethod
    def of(cls, methods: Sequence[Any]) -> Updates:
        """The arrays of methods whose states have equally many components.

        Parameters
        ----------
        methods : sequence of Method
        """
        # The gradient enters through the kick alone, so T is taken at a = 0.
        systems = [system_of(m) if getattr(m, "options", "") else None for m in methods]
        rows, kicks, starts, whole = [], [], [], []
        for m, system in zip(methods, systems, strict=True):
            if system is None:
                row, kick = m.update(0.0, *m.hyperparameters)
                start, first = np.eye(len(kick))[0], 1.0
            else:
                row, kick, start, first = system.constant, system.kick, system.start, np.sqrt(system.first_noise)
            rows.append(row)
            kicks.append(kick)
            starts.append(start)
            whole.append(first * np.asarray(kick, dtype=np.float64))
        return cls(
            np.array([m.learning_rate for m in methods], dtype=np.float64),
            np.array(rows, dtype=np.float64),
            np.array(kicks, dtype=np.float64),
            np.array(starts, dtype=np.float64),
            np.array(whole),
            methods[0] if isinstance(methods[0], Averaged) else None,
        )

    @property
    def plain(self) -> bool:
        """Whether nothing but w starts away from 0, the first step is as any other, and w is what is asked for."""
        first = np.eye(self.components)[0]
        return self.average is None and bool(
            (self.starts == first).all() and np.array_equal(self.first_kicks, self.kicks)
        )

    @property
    def for_loops(self) -> bool:
        """Whether the loops of `factors` take it: it is plain, and has at most two components."""
        return self.plain and self.components <= 2

    def take(self, pick: Any) -> Updates:
        """Some of the settings.

        Parameters
        ----------
        pick : slice or array of ints
        """
        return replace(self, **{name: getattr(self, name)[pick] for name in ARRAYS})

    @property
    def count(self) -> int:
        """Number of settings."""
        return self.rates.size

    @property
    def components(self) -> int:
        """m, components of the state."""
        return self.kicks.shape[1]

    def factors(self, b: int) -> Float[Array, "settings 6"]:
        """(T_00, T_01, T_10, T_11, k_0, k_1) of each, with -alpha/b in k; one component is padded to two.

        Parameters
        ----------
        b : int
            Batch size.
        """
        m = self.components
        transition, kick = np.zeros((self.count, 2, 2)), np.zeros((self.count, 2))
        transition[:, :m, :m], kick[:, :m] = self.transitions, self.kicks
        return np.concatenate([transition.reshape(-1, 4), kick * (-self.rates[:, None] / b)], axis=1)

    def repeated(self, outputs: int) -> Updates:
        """Each setting once for each output of the data.

        Parameters
        ----------
        outputs : int
        """
        return self.take(np.repeat(np.arange(self.count), outputs))


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
    first : bool
        Whether it is for the first step.
    """

    def __init__(self, settings: Updates, arrays: Any, shape: tuple[int, ...], first: bool = False) -> None:
        T, k, m = settings.transitions, settings.first_kicks if first else settings.kicks, settings.components
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
