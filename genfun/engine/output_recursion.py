"""The direct recursion of a method with a start and an output of its own."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from genfun._typing import Array
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.recursion import joint_modes, symmetric_square
from genfun.methods.system import System
from genfun.scaled import Scaled

LARGE, SMALL = 1e150, 1e-150
"""Second moments outside are rescaled."""


class OutputRecursion:
    r"""Second moments of every mode, step by step.

    .. math:: X' = T X T^\top + k k^\top\gamma\alpha^2\,[\lambda^2 c\,(\tau_1\textstyle\sum_j X_{ww,j} + \sigma^2)
              - \tau_2\lambda^2 X_{ww}]

    the square bracket times `first_noise` in the first step; the loss is half the sum of X_oo.

    Parameters
    ----------
    system : System
    G : GeneratingFunction
        Of the fluctuations, on the measures that are to be followed.
    label_noise : float
        sigma^2 that is added to the output.
    """

    def __init__(self, system: System, G: GeneratingFunction, label_noise: float) -> None:
        self.system, self.step = system, 0
        nodes, capacity, signal = joint_modes(*G.measures)
        rate, noise = G.method.learning_rate, G.noise_model
        a = rate * nodes
        rows = np.moveaxis(system.rows(a), 0, -1)
        self._map, kick = symmetric_square(([list(row) for row in rows], list(system.kick)), a)
        self._spared = kick * (G.gamma * noise.tau2 * a * a)
        self._map[:, 0] -= self._spared
        self._force = kick * (G.gamma * rate * rate * capacity)
        start = system.start[:, None] + system.start_slope[:, None] * a
        pairs = list(combinations_with_replacement(range(system.size), 2))
        self._state = np.stack([start[i] * start[j] for i, j in pairs]) * signal
        self._place = pairs.index((system.output, system.output))
        self._tau1, self._sigma2, self._label_noise = noise.tau1, G.problem.noise_variance, label_noise
        self._exponent, self._next = 0, 0

    @property
    def size(self) -> int:
        """Numbers that a step touches, in units of those of heavy ball."""
        return self._state.size // 3

    def advance(self) -> None:
        """One step."""
        old = self._state
        drive = self._tau1 * old[0].sum() + np.ldexp(self._sigma2, -self._exponent)
        new = np.einsum("ijn,jn->in", self._map, old) + self._force * drive
        if self.step == 0 and self.system.first_noise != 1.0:
            new += (self.system.first_noise - 1.0) * (self._force * drive - self._spared * old[0])
        largest = float(np.abs(new).max())
        if np.isfinite(largest) and (largest > LARGE or (0.0 < largest < SMALL and self._sigma2 == 0.0)):
            move = int(np.frexp(largest)[1])
            new = np.ldexp(new, -move)
            self._exponent += move
        self._state = new
        self.step += 1

    def losses(self, until: int) -> Scaled:
        """Losses from the first step not asked for yet to `until`, inclusive.

        Parameters
        ----------
        until : int
        """
        count = max(until + 1 - self._next, 0)
        mantissas, exponents = np.empty(count), np.empty(count, dtype=np.int64)
        for i in range(count):
            while self.step < self._next:
                self.advance()
            mantissas[i], exponents[i] = self.observed()
            self._next += 1
        return Scaled(mantissas, exponents)

    def observed(self) -> tuple[float, int]:
        """Mantissa and exponent of the loss of the output."""
        label = np.ldexp(self._label_noise, -self._exponent)
        return 0.5 * float(self._state[self._place].sum() + label), self._exponent

    def restart_sum(self) -> None:
        """Forget what the output has summed up so far."""
        o = self.system.output
        for p, pair in enumerate(combinations_with_replacement(range(self.system.size), 2)):
            if o in pair:
                self._state[p] = 0.0

    def weights_loss(self) -> tuple[float, int]:
        """Mantissa and exponent of the loss of the weights themselves, without label noise."""
        return 0.5 * float(self._state[0].sum()), self._exponent


def second_moment_tables(system: System) -> tuple[Array, Array, Array, Array]:
    r"""Coefficients of X - T X T^T by powers of a, of k k^T, and of the start by powers of a.

    .. math:: X - T X T^\top = N X + X N^\top - N X N^\top,\qquad N = 1 - T

    on the entries i <= j, so that nothing near 1 is subtracted from 1.

    Parameters
    ----------
    system : System

    Returns
    -------
    tuple of arrays
        Of shapes (3, M, M), (M,), (3, M), and the places of X_ww and X_oo.
    """
    m = system.size
    pairs = list(combinations_with_replacement(range(m), 2))
    N0, N1 = np.eye(m) - system.constant, -system.slope
    table = np.zeros((3, len(pairs), len(pairs)))
    for column, (k, j) in enumerate(pairs):
        E = np.zeros((m, m))
        E[k, j] = E[j, k] = 1.0
        by_power = [
            N0 @ E + E @ N0.T - N0 @ E @ N0.T,
            N1 @ E + E @ N1.T - N0 @ E @ N1.T - N1 @ E @ N0.T,
            -N1 @ E @ N1.T,
        ]
        for power, Y in enumerate(by_power):
            table[power, :, column] = [Y[p] for p in pairs]
    s, t = system.start, system.start_slope
    starts = [np.outer(s, s), np.outer(s, t) + np.outer(t, s), np.outer(t, t)]
    start = np.array([[S[p] for p in pairs] for S in starts])
    kick = np.array([system.kick[i] * system.kick[j] for i, j in pairs])
    places = np.array([0, pairs.index((system.output, system.output))])
    return table, kick, start, places
