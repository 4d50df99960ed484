"""Direct recursions of one setting as the engine steps through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfun._typing import Array
from genfun.engine.blocks import Blocks
from genfun.engine.fused import compiled_steps, recorded_steps
from genfun.engine.recursion import Recursion
from genfun.scaled import EPS, Scaled

EXTENDED_STEPS, EXTENDED_WORK = 40_000, 5e6
"""Steps, and steps times modes, up to which the recursion runs in extended precision,"""
EXTENDED_FROM = 1e-11
"""where in doubles it might err by more than this."""
ALWAYS_IN_BLOCKS, ALWAYS_COMPILED = 2.5e5, 8e5
"""Up to so many steps times modes the recursion in blocks, or compiled, is as cheap as the contour."""
OVERHEAD = 200
"""Modes whose steps in blocks take as long as what a block takes whatever their number."""
LONG, ONWARD = 256, 1.2e6
"""Where it goes as far as LONG anyway, until oscillations have faded, it is so for this much beyond."""
EXACT, AS_TALL = 1e-11, 1e-10
"""Compiled steps must be at least as exact as what a contour is held to, and those in place of a contour about what
oscillates as that one."""


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

    @classmethod
    def precise(cls, G: Any, last: int, rounding: float) -> SingleRecursion:
        """The recursion in doubles, some twenty times as fast; where they do not serve, in extended precision.

        Parameters
        ----------
        G : GeneratingFunction
        last : int
            Largest step.
        rounding : float
            Estimated relative error in doubles there.
        """
        work = last * (G.capacity.nodes.size + G.signal_measure.nodes.size)
        short = last <= EXTENDED_STEPS and work <= EXTENDED_WORK
        # With a long memory the contour has fewer digits too.
        shows = rounding > max(EXTENDED_FROM, EPS * (16.0 + last) / G.memory)
        return cls(G, np.longdouble if short and shows else np.float64)

    def compiled(self) -> bool:
        """Whether steps are compiled, which numba does where it is at work: then they are quicker than any blocks."""
        return self.function.records_the_loss and self.real is np.float64 and compiled_steps(self._run) is not None

    def worth_stepping(self, last: int, reach: int, rounding: Callable[[int], float], spared: float) -> bool:
        """Whether all steps up to a last one are as cheap as a contour, and no less exact.

        Parameters
        ----------
        last : int
        reach : int
            The step to which the recursion goes before a contour.
        rounding : callable
            Last step -> relative error of the recursion.
        spared : float
            Work of the contours, in steps times modes.
        """
        work, more = last * self.size, (last - reach) * (self.size + OVERHEAD)
        if more <= spared and rounding(last) <= AS_TALL:
            return True
        if self.compiled():
            return work <= ALWAYS_COMPILED and rounding(last) <= EXACT
        onward = reach >= LONG and more <= ONWARD and rounding(last) <= EXACT
        return (work <= ALWAYS_IN_BLOCKS or onward) and self.real is np.float64 and self.in_blocks(last)

    def in_blocks(self, count: int) -> bool:
        """Whether the next `count` steps are taken in blocks, which this prepares."""
        if self.compiled():
            return False
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
            return self._single_steps(count) if self.function.records_the_loss else super().losses(until)
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

    def _single_steps(self, count: int) -> Scaled:
        """Losses at the next `count` steps, one by one, with the range looked at as often as the recursion does."""
        run = self._run
        while run.step < self._next:
            run.advance()
        quick = recorded_steps(run, count)
        if quick is not None:
            self._next += count
            return Scaled(*quick)
        mantissas, exponents = np.empty(count), np.empty(count, dtype=np.int64)
        A, force, done = run.map[:, :, 0], run.force[:, 0], 0
        push, added = np.empty_like(force), np.add.reduce
        while done < count:
            state, label = run.state[:, 0], np.ldexp(run.noise_variance, -run.scale)[0]
            size, exponent = min(run.every, count - done), run.scale[0]
            for i in range(done, done + size):
                total = added(state[0])
                mantissas[i] = total
                state = np.einsum("ijn,jn->in", A, state)
                state += np.multiply(force, run.tau1 * total + label, out=push)
            mantissas[done : done + size] = 0.5 * (mantissas[done : done + size] + label)
            exponents[done : done + size] = exponent
            run.move_to(run.step + size, state[:, None])
            done += size
        self._next += count
        return Scaled(mantissas, exponents)
