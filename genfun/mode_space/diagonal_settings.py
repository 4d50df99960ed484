"""Noise gain and loss under given fourth moments for many settings at once: the engine of maps and searches."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.engine.many import contour_or_recursion
from genfun.engine.settings import Settings
from genfun.mode_space.coupling import Coupling
from genfun.mode_space.diagonal_recursion import DiagonalRecursion
from genfun.sample_space.pairs import PairResponses
from genfun.scaled import Scaled

ENTRIES = 2_000_000
"""Of the matrices that are solved together."""


class DiagonalSettings:
    """The generating functions of many settings of one method, each at its own points.

    Parameters
    ----------
    coupling : Coupling
    settings : Settings
    """

    def __init__(self, coupling: Coupling, settings: Settings) -> None:
        self.coupling, self.s = coupling, settings

    def responses(self, pick: Array, q: Array) -> tuple[Array, Array, Array]:
        """w, v and S of some settings, one point each.

        Parameters
        ----------
        pick : array, shape (k,)
        q : array, shape (k,)
        """
        a = self.s.rates[pick, None] * self.coupling.eigenvalues
        hyper = tuple(h[pick, None] for h in self.s.hyper)
        return self.coupling.responses(self.s.kind, a, q[:, None], hyper, self.s.gamma[pick, None])

    def regular(self, pick: Any, p: Array) -> Array:
        """Whether p lies right of the dominant singularity of each picked setting.

        z K is not negative, so that its largest eigenvalue is below 1 if and only if (I - z K) x = 1 has x > 0.

        Parameters
        ----------
        pick : array, shape (k,)
        p : array, shape (k,)
        """
        pick, q, good = np.asarray(pick), -np.expm1(-p), np.zeros(p.size, dtype=bool)
        size = self.coupling.eigenvalues.size
        rows = max(1, ENTRIES // size**2)
        for start in range(0, p.size, rows):
            part = slice(start, start + rows)
            w, _, S = self.responses(pick[part], q[part])
            sound = (S > 0.0).all(axis=1) & np.isfinite(w).all(axis=1)
            x = np.full(w.shape, -1.0)
            x[sound] = self.coupling.solve(1.0 - q[part][sound], w[sound], np.ones((int(sound.sum()), size)))
            good[part] = (x > 0.0).all(axis=1)
        return good

    def loss(self, q: Array) -> Array:
        """L~ of every setting at its own points.

        Parameters
        ----------
        q : array, shape (S, points)
        """
        flat, pick = q.ravel(), np.repeat(np.arange(q.shape[0]), q.shape[1])
        rows, parts = max(1, ENTRIES // self.coupling.eigenvalues.size**2), []
        for start in range(0, flat.size, rows):
            some, of = flat[start : start + rows], pick[start : start + rows]
            w, v, _ = self.responses(of, some)
            mean = self._mean(of, some) if self.coupling.cross is not None else None
            parts.append(self.coupling.loss(some, w, v, mean))
        return np.concatenate(parts).reshape(q.shape)

    def _mean(self, pick: Array, q: Array) -> Array:
        found = np.empty((pick.size, self.coupling.eigenvalues.size), dtype=q.dtype)
        for i in np.unique(pick):
            method, own = self.s.method(i), pick == i
            found[own] = PairResponses(method, 0.0).mean(q[own, None], method.learning_rate * self.coupling.eigenvalues)
        return found


def diagonal_gains(coupling: Coupling, settings: Settings) -> Float[Array, " S"]:
    """Largest eigenvalue of K(1) of every setting; inf where a mode has no stationary state.

    Parameters
    ----------
    coupling : Coupling
    settings : Settings
    """
    with np.errstate(all="ignore"):
        many = DiagonalSettings(coupling, settings)
        w, _, S = many.responses(np.arange(settings.rates.size), np.zeros(settings.rates.size))
        stationary = (S > 0.0).all(axis=1, keepdims=True)
        return coupling.leading(np.where(stationary, w, np.inf))


def diagonal_losses_at(coupling: Coupling, settings: Settings, step: int) -> tuple[Scaled, Float[Array, " S"]]:
    """Mean loss of every setting at one step, and the estimated relative error of the computation.

    Parameters
    ----------
    coupling : Coupling
    settings : Settings
    step : int
    """
    lam = coupling.eigenvalues
    nodes = lam[np.unique(np.linspace(0, lam.size - 1, 24).astype(int))]
    return contour_or_recursion(
        settings,
        step,
        nodes,
        lambda own: DiagonalSettings(coupling, own),
        lambda own: DiagonalRecursion(coupling, own.problem, own.methods()),
    )
