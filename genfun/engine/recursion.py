"""The direct recursion of the second moments: slow, obviously right, the reference of every fast path."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from genfun._typing import Array, Int, Shaped
from genfun.engine.settings import Settings
from genfun.engine.transform import Measures
from genfun.methods.base import Method, UpdateMatrices
from genfun.noise import SpectrallyExpressible, sampling_factor
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem

RESCALE_EVERY = 16
"""Steps between checks of the range, where a step changes the moments by a factor below 1e6."""


def joint_modes(capacity: SpectralMeasure, signal: SpectralMeasure) -> tuple[Array, Array, Array]:
    """(lambda, capacity weight, signal weight) on one set of nodes.

    Nodes that both measures have become one: the noise that a mode feeds back to itself (tau1) and what it is spared
    (tau2) nearly cancel for large steps, and would grow apart on two copies of the mode.
    """
    if capacity.nodes is signal.nodes:
        return capacity.nodes, capacity.weights, signal.weights
    nodes, place = np.unique(np.concatenate((capacity.nodes, signal.nodes)), return_inverse=True)
    first, second = place[: capacity.nodes.size], place[capacity.nodes.size :]
    return (
        nodes,
        np.bincount(first, capacity.weights, nodes.size),
        np.bincount(second, signal.weights, nodes.size),
    )


def symmetric_square(update: UpdateMatrices, like: Array) -> tuple[Array, Array]:
    r"""The action of x -> T x + k on second moments E[x_i x_j], i <= j.

    .. math:: A_{(ij),(kl)} = T_{ik}T_{jl} + [k\ne l]\,T_{il}T_{jk}

    Returns A, shape (M, M, *like.shape), and the second moments of the kick, shape (M, *like.shape).
    """
    rows, kick = update
    pairs = list(combinations_with_replacement(range(len(kick)), 2))
    square = np.zeros((len(pairs), len(pairs), *like.shape), dtype=like.dtype)
    for p, (i, j) in enumerate(pairs):
        for q, (k, m) in enumerate(pairs):
            entry: Any = rows[i][k] * rows[j][m]
            square[p, q] = entry if k == m else entry + rows[i][m] * rows[j][k]
    moments = np.stack([np.broadcast_to(np.asarray(kick[i] * kick[j], like.dtype), like.shape) for i, j in pairs])
    return square, moments


class Recursion:
    r"""Mean loss step by step, for many settings of one method at once.

    .. math:: X' = A X + (k k^T)\,\gamma\alpha^2\lambda^2(\tau_1 \textstyle\sum_j X_j + \sigma^2),\qquad
              L = \tfrac12 (\sum_j X_j + \sigma^2)

    per mode, X = lambda E[x x^T] with x = (w - w*, v); A contains the tau2 term.

    **Assumptions.** Spectrally expressible noise. All methods are of one class and share the batch size's sampling
    factor only through their own `batch_size`. Rounding errors grow like t * eps / (1 - abs(momentum)).

    Parameters
    ----------
    problem : LinearProblem or PowerLaw
    methods : sequence of Method
        B settings.
    noise : SpectrallyExpressible
    measures : (SpectralMeasure, SpectralMeasure), optional
        Capacity and signal measures; default `problem.measures()`.
    dtype : numpy dtype
        np.longdouble gives the reference of the reference.

    Attributes
    ----------
    map, force, state : array
        A, the factor of the drive, and X / 2^scale, with the settings before the modes as their last two axes.
    scale : integer array, shape (B,)
    tau1, noise_variance : float
        In the precision of the run.
    every : int
        Steps between checks of the range.
    step : int
        The present step.

    References
    ----------
    arXiv 2206.11124, eq. (8).
    """

    def __init__(
        self,
        problem: Problem,
        methods: Sequence[Method],
        noise: SpectrallyExpressible = SpectrallyExpressible(),
        measures: Measures | None = None,
        dtype: Any = np.float64,
    ) -> None:
        kind = type(methods[0])
        if any(type(m) is not kind for m in methods):
            raise TypeError(f"methods must all be of one class, got {sorted({type(m).__name__ for m in methods})}")
        rate = np.array([m.learning_rate for m in methods], dtype)
        hyper = np.array([m.hyperparameters for m in methods], dtype).reshape(len(methods), -1)
        gamma = np.array([sampling_factor(m.batch_size, problem.n_samples, m.replacement) for m in methods], dtype)
        self._start(problem, kind, rate, tuple(hyper.T), gamma, noise, measures, dtype)

    @classmethod
    def of_settings(cls, settings: Settings, noise: SpectrallyExpressible, measures: Measures) -> Recursion:
        """The same of settings that are arrays already.

        Parameters
        ----------
        settings : Settings
        noise : SpectrallyExpressible
        measures : (SpectralMeasure, SpectralMeasure)
        """
        self, s = cls.__new__(cls), settings
        self._start(s.problem, s.kind, s.rates, s.hyper, s.gamma, noise, measures, np.float64)
        return self

    def _start(
        self,
        problem: Problem,
        kind: type[Any],
        rates: Array,
        hypers: tuple[Array, ...],
        gammas: Array,
        noise: SpectrallyExpressible,
        measures: Measures | None,
        dtype: Any,
    ) -> None:
        capacity, signal = problem.measures() if measures is None else measures
        nodes, weights, start = joint_modes(capacity, signal)
        lam, w_signal = nodes.astype(dtype), np.asarray(start, dtype)
        w_capacity = SpectralMeasure.trusted(nodes, weights).squares(dtype)
        rate, gamma = rates[:, None], gammas[:, None]
        a = rate * lam
        self.map, kick = symmetric_square(kind.update(a, *(h[:, None] for h in hypers)), a)
        self.map[:, 0] -= kick * (gamma * dtype(noise.tau2) * a * a)
        self.force = kick * (gamma * rate * rate * w_capacity)
        self.tau1, self.noise_variance = dtype(noise.tau1), dtype(problem.noise_variance)
        self.state = np.zeros_like(kick)
        self.state[0] = w_signal
        self.scale = np.zeros(rates.size, dtype=np.int64)
        self._coupled = bool((gamma > 0.0).any())
        self.every = RESCALE_EVERY if np.abs(self.map).max() < 1e6 else 1
        self.step = 0
        self._rescale()

    def loss(self) -> tuple[Shaped[Array, " settings"], Int[Array, " settings"]]:
        """(m, e) with the mean loss of every setting = m 2^e; it neither overflows nor underflows."""
        sigma2 = np.ldexp(self.noise_variance, -self.scale)
        return 0.5 * (self.state[0].sum(axis=-1) + sigma2), self.scale.copy()

    def drive(self) -> Shaped[Array, "settings modes"]:
        """Noise of a mode over gamma alpha^2 lambda^2: here the same for all modes, shape (settings, 1)."""
        return (self.tau1 * self.state[0].sum(axis=-1) + np.ldexp(self.noise_variance, -self.scale))[:, None]

    def advance(self) -> None:
        """One step."""
        state = self.state
        new = np.einsum("ijbn,jbn->ibn", self.map, state)
        if self._coupled:
            new += self.force * self.drive()
        self.state = new
        self.step += 1
        if self.step % self.every == 0:
            self._rescale()

    def coupled_map(self) -> Shaped[Array, "size size"]:
        """The matrix of a step without label noise: of all moments of all modes, of the first setting."""
        local, force = self.map[:, :, 0], self.force[:, 0]
        m, n = force.shape
        index = np.arange(n)
        matrix = np.zeros((m, n, m, n))
        for i in range(m):
            for j in range(m):
                matrix[i, index, j, index] = local[i, j]
        matrix[:, :, 0, :] += self.tau1 * force[:, :, None]
        return matrix.reshape(m * n, m * n)

    @property
    def coupled_by_the_loss(self) -> bool:
        """Whether the drive is that of this class: the same for all modes, tau1 times the sum and the label noise."""
        return type(self).drive is Recursion.drive

    def move_to(self, step: int, state: Shaped[Array, "moments settings modes"]) -> None:
        """Go on from a later step, whose state is known.

        Parameters
        ----------
        step : int
        state : array
            At the present scale.
        """
        self.state, self.step = state, step
        self._rescale()

    def _rescale(self) -> None:
        size = np.maximum(np.abs(self.state).max(axis=(0, 2)), np.ldexp(self.noise_variance, -self.scale))
        _, exponent = np.frexp(size)
        move = np.where((np.abs(exponent) > 300) & np.isfinite(size) & (size > 0.0), exponent, 0).astype(np.int64)
        if move.any():
            self.state = np.ldexp(self.state, -move[:, None])
            self.scale = self.scale + move

    def run(self, until: int) -> tuple[Shaped[Array, "settings steps"], Int[Array, "settings steps"]]:
        """Mantissas and exponents of the losses at the steps from the present one to `until`, inclusive."""
        losses, scales = [], []
        while True:
            m, e = self.loss()
            losses.append(m)
            scales.append(e)
            if self.step >= until:
                return np.stack(losses, axis=1), np.stack(scales, axis=1)
            self.advance()
