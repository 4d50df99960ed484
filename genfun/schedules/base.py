"""What a schedule is, and schedules given by their values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int


@runtime_checkable
class Schedule(Protocol):
    """A hyperparameter as a function of the step: any callable that takes an integer array and returns an array.

    Step k = 0 is the first update. Plain arithmetic and NumPy functions of the array do, e.g.
    `lambda k: 0.1 / np.sqrt(k + 1.0)`.
    """

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        ...


@dataclass(frozen=True, eq=False)
class Table:
    """One value for every step; nothing is known beyond the last.

    Parameters
    ----------
    values : array, shape (T,)
        Entry k is used at step k.

    Raises
    ------
    ValueError
        If values are empty or not finite, or a step beyond the last is asked for.

    Examples
    --------
    >>> import numpy as np
    >>> Table([0.3, 0.2, 0.1])(np.array([0, 2])).tolist()
    [0.3, 0.1]
    """

    values: Float[Array, " T"]

    def __init__(self, values: Any) -> None:
        copy = _check.vector("values", values)
        copy.setflags(write=False)
        object.__setattr__(self, "values", copy)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(tuple(self.values.tolist()))

    def __repr__(self) -> str:
        v = self.values
        return f"Table({v.size} steps, {v[0]:.4g} .. {v[-1]:.4g})"

    @property
    def length(self) -> int:
        """Number of steps."""
        return self.values.size

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        if steps.size and int(steps.max()) >= self.length:
            raise ValueError(
                f"values must reach as far as the steps asked for: got {self.length} entries and step "
                f"{int(steps.max())}; pass a longer array, or a schedule"
            )
        return self.values[steps]


@dataclass(frozen=True)
class Piecewise:
    r"""Constant pieces.

    .. math:: x_k = \text{values}_i\quad\text{for}\quad \text{boundaries}_{i-1} \le k < \text{boundaries}_i

    Parameters
    ----------
    values : sequence of float, n + 1 of them
        One for each piece.
    boundaries : sequence of int, n of them
        First steps of the second and later pieces, ascending, >= 1.

    Raises
    ------
    ValueError
        If the numbers do not fit together or the boundaries do not ascend.

    Examples
    --------
    >>> import numpy as np
    >>> Piecewise((0.5, 0.1), (3,))(np.arange(5)).tolist()
    [0.5, 0.5, 0.5, 0.1, 0.1]
    """

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        values = tuple(_check.number("values", x) for x in self.values)
        edges = tuple(_check.integer("boundaries", k, 1, "a piece begins at step 1 or later") for k in self.boundaries)
        if len(values) != len(edges) + 1:
            raise ValueError(
                f"values must be one more than boundaries, got {len(values)} and {len(edges)}; "
                "boundaries are the steps where the second and later pieces begin"
            )
        if any(later <= earlier for earlier, later in pairwise(edges)):
            raise ValueError(f"boundaries must ascend, got {edges}; sort them")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "boundaries", edges)

    def __call__(self, steps: Int[Array, " t"], /) -> Float[Array, " t"]:
        """Values at the steps."""
        return np.array(self.values)[np.searchsorted(self.boundaries, steps, side="right")]
