"""Second moments of the weights under a sampling factor that changes from step to step, and their gradient noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genfun.answers.batch._batch_chain import GradientNoise
from genfun.data.linear import LinearData
from genfun.engine.fine import FULL_MODES
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.recursion import Recursion, joint_modes
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.sample_space.moments import Step, moments_along, run_of
from genfun.scaled import Scaled

WORK = 3e10
"""Operations up to which the samples themselves are followed: some seconds."""

LARGEST = 1e60
"""A loss beyond which samples are followed no further: squares of its covariances stay below the largest number."""


@runtime_checkable
class Moments(Protocol):
    """What the prediction of Big Batch SGD follows."""

    def advance(self, gamma: float) -> None:
        """One step with this sampling factor."""
        ...

    def loss(self) -> float:
        """The mean loss."""
        ...

    def noise(self) -> GradientNoise:
        """Of the present weights, up to a common scale, on which the acceptance test does not depend."""
        ...


def affordable(data: LinearData | None, steps: int) -> bool:
    """Whether data can be followed sample by sample: 8 N r^2 operations a step.

    Parameters
    ----------
    data : LinearData or None
    steps : int
    """
    return data is not None and 8.0 * data.n_samples * float(data.rank) ** 2 * (steps + 1) <= WORK


class SpectrumMoments:
    """Those of the modes, under spectrally expressible noise.

    Parameters
    ----------
    problem : Problem
    method : Method
    noise : SpectrallyExpressible
    last : int
        The last step.
    """

    def __init__(self, problem: Problem, method: Any, noise: SpectrallyExpressible, last: int) -> None:
        single, full = replace(method, batch_size=1, replacement=True), replace(method, batch_size=None)
        measures = GeneratingFunction(problem, full, noise).fine(float(min(last, FULL_MODES)))
        self._nodes, capacity, _ = joint_modes(*measures)
        self._multiplicity = capacity / self._nodes**2
        self._run = Recursion(problem, [single], noise, measures)
        # A and the force are affine in gamma: known at 1, and at 0 from the full batch.
        self._quiet = Recursion(problem, [full], noise, measures).map
        self._noisy = self._run.map - self._quiet, self._run.force
        self._problem, self._noise = problem, noise

    def advance(self, gamma: float) -> None:
        """One step with this sampling factor."""
        self._run.map = self._quiet + gamma * self._noisy[0]
        self._run.force = gamma * self._noisy[1]
        self._run.advance()

    def loss(self) -> float:
        """The mean loss."""
        return float(Scaled(*self._run.loss()).value()[0])

    def noise(self) -> GradientNoise:
        """Of the present weights, in a scale in which squares stay in range."""
        mantissa, _ = self._run.loss()
        whole = 2.0 * float(mantissa[0])
        unit = 2.0 ** -np.frexp(whole)[1] if 0.0 < whole < np.inf else 1.0
        lam, x = self._nodes, self._run.state[0, 0] * unit
        sigma2 = whole * unit - x.sum()
        # A node stands for `multiplicity` modes which share its squared gradient lambda x.
        drive, gradient = self._noise.tau1 * x.sum() + sigma2, lam * x
        share = np.divide(gradient, self._multiplicity, out=np.zeros_like(x), where=self._multiplicity >= 0.5)
        single = np.maximum(lam * drive - self._noise.tau2 * share, 0.0)
        return GradientNoise(
            signal=float(gradient.sum()),
            trace=float(self._problem.trace * drive - self._noise.tau2 * gradient.sum()),
            squared=float((self._multiplicity * single**2).sum()),
            along=float((gradient * single).sum()),
        )


class SampleMoments:
    r"""Those of data, sample by sample: nothing is assumed of their fourth moments.

    .. math:: \Sigma = \tfrac1N\sum_i \mathrm E[r_i^2]\,\varphi_i\varphi_i^\top - HCH,\qquad
              \mathrm E|G|^2 = \operatorname{Tr}HCH

    Several outputs are taken as alike and uncorrelated in Tr Sigma^2 and G Sigma G.

    Parameters
    ----------
    data : LinearData
    method : Method
    last : int
        The last step.
    """

    def __init__(self, data: LinearData, method: Any, last: int) -> None:
        self._data, self._gamma, self._over = data, 0.0, False
        begin, steps = run_of(data, replace(method, batch_size=None), last + 1)
        self._along = moments_along(data, begin, self._noisy(steps))
        moment, self._mean = next(self._along)
        self._C = moment[0][0]

    def _noisy(self, steps: Iterator[Step]) -> Iterator[Step]:
        for step in steps:
            yield replace(step, gamma=self._gamma)

    def advance(self, gamma: float) -> None:
        """One step with this sampling factor; beyond all bounds the weights stay where they are."""
        self._gamma = gamma
        self._over = self._over or self.loss() > LARGEST
        if not self._over:
            moment, self._mean = next(self._along)
            self._C = moment[0][0]

    def loss(self) -> float:
        """The mean loss."""
        if self._over:
            return float("inf")
        problem = self._data.problem
        return 0.5 * float(problem.eigenvalues @ np.diag(self._C)) + 0.5 * problem.noise_variance

    def noise(self) -> GradientNoise:
        """Of the present weights."""
        lam, phi = self._data.problem.eigenvalues, np.asarray(self._data.eigenfeatures)
        residual = np.asarray(self._data.residuals, float).reshape(phi.shape[0], -1)
        squares = np.einsum("ij,ij->i", phi @ self._C, phi) - 2.0 * (residual * (phi @ self._mean[0])).sum(axis=1)
        squares = np.maximum(squares + (residual**2).sum(axis=1), 0.0)
        gradient = np.outer(lam, lam) * self._C
        Sigma = (phi.T * (squares / phi.shape[0])) @ phi - gradient
        alike = residual.shape[1]
        return GradientNoise(
            signal=float(np.trace(gradient)),
            trace=float(np.trace(Sigma)),
            squared=float((Sigma**2).sum()) / alike,
            along=float((Sigma * gradient).sum()) / alike,
        )
