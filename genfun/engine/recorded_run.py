"""Direct recursions of one setting as the engine steps through them."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.blocks import Blocks
from genfun.engine.recursion import Recursion
from genfun.scaled import Scaled


class RecordedRun:
    """A direct recursion of one setting, asked for its losses in ascending order.

    Parameters
    ----------
    run : Recursion
        Of a single setting.
    """

    def __init__(self, run: Recursion) -> None:
        self._run, self._next = run, 0

    @property
    def size(self) -> int:
        """Number of modes."""
        return self._run.state.shape[-1]

    def observed(self) -> tuple[Array, Array]:
        """Mantissa and exponent of what is recorded at the present step: the loss."""
        return self._run.loss()

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
            mantissa, exponent = self.observed()
            mantissas.append(mantissa.astype(np.float64))
            exponents.append(exponent)
            self._next += 1
        return Scaled(np.concatenate(mantissas), np.concatenate(exponents))


class SingleRecursion(RecordedRun):
    """The direct recursion of one generating function, in blocks where that is quicker.

    Parameters
    ----------
    G : GeneratingFunction
        On the measures that are to be followed.
    real : type
        np.float64 or np.longdouble.
    """

    def __init__(self, G: Any, real: Any = np.float64) -> None:
        super().__init__(Recursion(G.problem, [G.method], G.noise_model, (G.capacity, G.signal_measure), real))
        self.function, self.real = G, real
        self._blocks: Blocks | None = None
        self._built_for = 0
        self._ahead = Scaled(np.zeros(0), np.zeros(0, dtype=np.int64))

    def in_blocks(self, count: int) -> bool:
        """Whether the next `count` steps are taken in blocks, which this prepares."""
        if count > 4 * self._built_for and self.function.records_the_loss:
            self._blocks, self._built_for = Blocks.of(self._run, count) or self._blocks, count
        return self._blocks is not None

    def observed(self) -> tuple[Array, Array]:
        """What the function says is recorded: the loss, or another mean."""
        return self.function.observed(self._run)

    def losses(self, until: int) -> Scaled:
        """Losses from the first step not asked for yet to `until`, inclusive.

        Parameters
        ----------
        until : int
        """
        count, known = max(until + 1 - self._next, 0), self._ahead.mantissa.size
        if not self.in_blocks(count - known):
            return super().losses(until)
        while self._run.step < self._next:
            self._run.advance()
        found = [self._ahead]
        while known < count:
            assert self._blocks is not None
            block = self._blocks.advance()
            found.append(Scaled(block.mantissa.astype(np.float64), block.exponent))
            known += self._blocks.length
        whole = Scaled.join(found)
        self._next, self._ahead = self._next + count, whole[count:]
        return whole[:count]
