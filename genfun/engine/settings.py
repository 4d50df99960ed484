"""Many settings of one method on one problem, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.transform import hardly_moved
from genfun.methods.family import Family
from genfun.noise import NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.problem import Problem

STEP_BUDGET = 100_000
"""By default the recursion goes no further; beyond, the error estimate says what the contour is worth."""
ACCURACY = 1e-6
"""Estimated relative error of a contour beyond which it is drawn with more nodes."""
FADED = 26.0
"""By default exp(-26) = 5e-12 of the loss."""


@dataclass(frozen=True)
class Settings:
    """S settings of one method on one problem.

    Parameters
    ----------
    problem : Problem
    kind : type
        Class of the method.
    rates : array, shape (S,)
        Learning rates.
    hyper : tuple of arrays, each of shape (S,)
        Further hyperparameters, as the method orders them.
    gamma : array, shape (S,)
        Sampling factors.
    noise : SpectrallyExpressible or Noise
    make : callable
        (rate, hyper, index) -> method, for the cells that need the recursion; its batch size must match gamma.
    faded : float
        Singularities off the real axis must have faded by exp(-faded) of the loss for the contour to be used.
    patience : int
        Steps beyond which the contour is used all the same: it leaves out what oscillates, that is, it averages over
        the phases of the oscillating modes, and the error says how much of their oscillation is left, up to 1.
    accuracy : float
        Estimated relative error up to which few nodes of a contour are enough.
    """

    problem: Problem
    kind: type[Any]
    rates: Float[Array, " S"]
    hyper: tuple[Array, ...]
    gamma: Float[Array, " S"]
    noise: NoiseModel
    make: Callable[..., Any]
    faded: float = FADED
    patience: int = STEP_BUDGET
    accuracy: float = ACCURACY

    @classmethod
    def of(
        cls,
        problem: Problem,
        family: Family,
        rates: Array,
        momenta: Array,
        batch_size: int | None,
        noise: NoiseModel,
        faded: float = FADED,
        patience: int = STEP_BUDGET,
        accuracy: float = ACCURACY,
    ) -> Settings:
        """Settings of one family at one batch size."""
        sampled = sampling_factor(batch_size, problem.n_samples, family.template.replacement)

        def make(rate: float, _: Any, index: int) -> Any:
            return family.at(rate, float(momenta[index]), batch_size)

        hyper, gamma = family.hyper(momenta), np.full(rates.size, sampled)
        return cls(problem, family.kind, rates, hyper, gamma, noise, make, faded, patience, accuracy)

    def take(self, pick: Array) -> Settings:
        """Some of the settings."""
        hyper, index = tuple(h[pick] for h in self.hyper), np.arange(self.rates.size)[pick]
        make = lambda rate, h, i: self.make(rate, h, int(index[i]))  # noqa: E731
        return replace(self, rates=self.rates[pick], hyper=hyper, gamma=self.gamma[pick], make=make)

    @property
    def taus(self) -> tuple[float, float]:
        """(tau1, tau2), where the noise is spectrally expressible."""
        assert isinstance(self.noise, SpectrallyExpressible)
        return self.noise.tau1, self.noise.tau2

    def method(self, index: Any) -> Any:
        """One of them as a method.

        Parameters
        ----------
        index : int
        """
        return self.make(float(self.rates[index]), tuple(float(h[index]) for h in self.hyper), int(index))

    def methods(self) -> list[Any]:
        """All of them as methods."""
        return [self.method(i) for i in range(self.rates.size)]

    @cached_property
    def distinct(self) -> tuple[Float[Array, "B k"], Int[Array, " S"]]:
        """The rows of further hyperparameters and gamma that there are, sorted, and the one of every setting."""
        columns = (*self.hyper, self.gamma)
        code = np.zeros(self.rates.size, dtype=np.int64)
        for column in columns:
            if (column != column[0]).any():
                values, own = np.unique(column, return_inverse=True)
                code = np.unique(code * values.size + own, return_inverse=True)[1]
        first = np.zeros(int(code.max()) + 1, dtype=np.int64)
        first[code] = np.arange(code.size)
        return np.column_stack([column[first] for column in columns]), code

    def still_below(self, step: float) -> float:
        """Eigenvalues below this have hardly moved by a step, whichever the setting.

        Parameters
        ----------
        step : float
        """
        each, place = self.distinct
        fastest = np.zeros(len(each))
        np.maximum.at(fastest, place, self.rates)
        pairs = zip(each[:, :-1].tolist(), fastest.tolist(), strict=True)
        return min(hardly_moved(self.kind, rate, tuple(hyper), step) for hyper, rate in pairs)
