"""Runs whose learning rate, momentum and batch size follow a schedule: what changes from step to step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.experiments.simulation.batches import fresh
from genfun.experiments.simulation.updates import Stepper, Updates
from genfun.noise import sampling_factor
from genfun.schedules import ScheduledSGD


@dataclass(frozen=True, eq=False)
class Moving:
    r"""The update of every step of a schedule, at learning rate 1: x <- T_t x - k_t g.

    .. math:: \text{torch, } x = (w, m):\quad T = \begin{pmatrix}1 & -\alpha\beta\\ 0 & \beta\end{pmatrix},\
              k = (1-d)\begin{pmatrix}\alpha\\ -1\end{pmatrix},\qquad
              \text{keras, } x = (w, v):\quad T = \begin{pmatrix}1 & \beta\\ 0 & \beta\end{pmatrix},\
              k = \begin{pmatrix}\alpha\\ \alpha\end{pmatrix}

    Attributes
    ----------
    transitions : array, shape (T, 2, 2)
    kicks : array, shape (T, 2)
    sizes : array, shape (T,), or None
        Batch sizes; None where all are full.
    settings : Updates
        One setting of the same form, with nothing that happens to be 0 or 1 at its first step left out.
    """

    transitions: Float[Array, "t 2 2"]
    kicks: Float[Array, "t 2"]
    sizes: Int[Array, " t"] | None
    settings: Updates

    @classmethod
    def of(cls, method: ScheduledSGD, last: int, n: int) -> Moving:
        """The steps before `last`.

        Parameters
        ----------
        method : ScheduledSGD
        last, n : int
            Steps, and samples of the data.

        Raises
        ------
        ValueError
            If the schedule leaves its range, ends too early, or a batch exceeds the data.
        """
        # A run of no steps has a form all the same.
        rates, momenta, sizes = method.at(np.arange(max(last, 1)))
        if sizes is not None:
            for b in np.unique(sizes):
                sampling_factor(int(b), n, method.replacement)
            if (sizes == n).all() and not method.replacement:
                sizes = None
        one, zero = np.ones(rates.size), np.zeros(rates.size)
        rows: list[list[Any]]
        if method.convention == "keras":
            rows, kick, form, pushed = (
                [[one, momenta], [zero, momenta]],
                [rates, rates],
                [[1, 0.5], [0, 0.5]],
                [0.3, 0.3],
            )
        else:
            whole = np.where(np.arange(rates.size) == 0, 1.0, 1.0 - method.dampening)
            rows, kick = [[one, -rates * momenta], [zero, momenta]], [whole * rates, -whole]
            form, pushed = [[1, -0.15], [0, 0.5]], [0.3, -0.7]
        kicks, start = np.array([pushed], dtype=np.float64), np.array([[1.0, 0.0]])
        settings = Updates(np.ones(1), np.array([form], dtype=np.float64), kicks, start, kicks)
        return cls(np.moveaxis(np.array(rows), 2, 0), np.array(kick).T, sizes, settings)

    @property
    def varies(self) -> bool:
        """Whether the batch size does."""
        return self.sizes is not None and bool((self.sizes != self.sizes[0]).any())

    def move(self, stepper: Stepper, t: int) -> None:
        """Give a stepper the factors of a step.

        Parameters
        ----------
        stepper : Stepper
            Made for `settings`.
        t : int
        """
        pairs = [(stepper.kicks[i], self.kicks[t, i]) for i in range(2)]
        pairs += [(stepper.factors[i][j], self.transitions[t, i, j]) for i in range(2) for j in range(2)]
        for factor, value in pairs:
            if not isinstance(factor, float):
                factor[...] = float(value)

    def shares(self, t: int) -> Float[Array, "1 b"]:
        """Minus the part of every place of the batch in the gradient of a step: -1/b_t, and 0 of places left empty.

        Parameters
        ----------
        t : int
        """
        assert self.sizes is not None
        return np.where(np.arange(self.sizes.max()) < self.sizes[t], -1.0 / self.sizes[t], 0.0)[None, :]


def sized_blocks(
    seeds: Sequence[np.random.SeedSequence], n: int, sizes: Int[Array, " t"], replacement: bool
) -> Iterator[Int[Array, "steps runs b"]]:
    """Blocks of batches of moving sizes, filled up with sample 0 to the largest; a run's depend on its seed alone.

    Parameters
    ----------
    seeds : sequence of SeedSequence
    n : int
    sizes : array, shape (t,)
    replacement : bool
    """
    generators = [np.random.default_rng(seed) for seed in seeds]
    edges = np.concatenate(([0], np.flatnonzero(np.diff(sizes)) + 1, [sizes.size]))
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        b, left = int(sizes[first]), end - first
        sources = [fresh(rng, n, b, replacement, left) for rng in generators]
        while left > 0:
            drawn = np.stack([next(source) for source in sources], axis=1)[:left]
            block = np.zeros((*drawn.shape[:2], int(sizes.max())), dtype=np.int64)
            block[..., :b] = drawn
            left -= drawn.shape[0]
            yield block
