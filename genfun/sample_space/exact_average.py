"""The loss of averaged weights under the noise of data, exactly: step by step."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from genfun._typing import Array, Int, Shaped
from genfun.engine.contour_curve import LossCurve
from genfun.engine.output_function import NEXT_TO_ONE, OutputFunction
from genfun.engine.singularity import Singularity
from genfun.methods.averaged import Averaged
from genfun.noise import SpectrallyExpressible
from genfun.sample_space.exact_function import ExactFunction
from genfun.sample_space.moments import MomentSteps, exact_curve
from genfun.sample_space.operator import SampleFeatures
from genfun.sample_space.projected_average import kept_singularity
from genfun.sample_space.resolvent import solve

MOST = 1e11
"""Steps times 4 N r^2 operations that are followed at most."""


class ExactAverage(ExactFunction):
    """L~(z) of averaged weights on given data; the loss itself step by step.

    **Assumptions.** Those of `ExactFunction`.

    Parameters
    ----------
    data : Any
    method : Averaged
    features : SampleFeatures or None
        The data's, if they are at hand.

    Examples
    --------
    >>> import genfun as gf
    >>> data = gf.LinearData.from_features([[1.0], [1.0], [-1.0]], [1.0, 0.5, -1.0])
    >>> average = gf.Averaged(gf.SGD(0.5, batch_size=1), "ema", decay=0.5)
    >>> gf.predict(data, average, [0, 2], noise="exact").loss.round(6)
    array([0.375   , 0.118056])
    """

    def __init__(self, data: Any, method: Averaged, features: SampleFeatures | None = None) -> None:
        super().__init__(data, method.method, features)
        self.average, self.levels = method, False

    @cached_property
    def output(self) -> OutputFunction:
        """The same average under spectrally expressible noise, whose responses serve here."""
        label = 0.0 if self.average.is_uniform else self.problem.noise_variance
        return OutputFunction(self.problem, self.average, SpectrallyExpressible(), label_noise=label)

    def _loss_at(self, q: complex, recent: list[Array]) -> complex:
        found = solve(self.space.seen(self.features.weights(self.pairs, q)), 1.0 - q, self.source(q))
        self.solver_error = max(self.solver_error, found.residual)
        power = self._diagonal(found.coordinates)
        self._recycle(found.coordinates, recent)
        moments, start, residuals, _ = self._start
        began = ((self.features.fetch(self.features.phi @ self.features.put(start)) - residuals) ** 2).sum(axis=1)
        lam, f = self.features.lam, self.features
        first = lam * f.fetch(f.moment(began))[self._places]
        signal = lam * f.fetch(moments)[self._places]
        return complex(self.output.driven(np.array([q]), lam, signal, (lam * power)[None], first)[0])

    @cached_property
    def _places(self) -> Array:
        j, k = self.features.pair_index
        return np.flatnonzero(j == k)

    def _diagonal(self, coordinates: Array) -> Shaped[Array, " r"]:
        """Q_kk of a vector of the subspace."""
        real = self.features.fetch(self.space.moment(np.real(coordinates)))[self._places]
        if not np.iscomplexobj(coordinates):
            return real
        return real + 1j * self.features.fetch(self.space.moment(np.imag(coordinates)))[self._places]

    def known_singularity(self) -> Singularity:
        """That of the weights; the contour stays right of what the average keeps."""
        return kept_singularity(super().known_singularity(), self.output, self.features.lam)

    def floor(self) -> float:
        """The excess loss in the end."""
        if self.average.is_uniform:
            return 0.5 * float(self.output.system.bias(self.features.lam) ** 2 @ self.data.signal)
        return float(np.real(self._loss_at(NEXT_TO_ONE, []) * NEXT_TO_ONE)) - 0.5 * self.problem.noise_variance

    def stepper(self, phase: float, last: int) -> MomentSteps:
        """The recursion of the full second moments.

        Parameters
        ----------
        phase : float
            Not needed: every pair is followed.
        last : int
            Largest step.
        """
        return MomentSteps(self.data, self.average)

    def known_curve(self, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
        """The mean loss at ascending steps, by the recursion of the full second moments.

        Parameters
        ----------
        steps : array, shape (t,)
            Ascending, without repeats.
        singular : Singularity

        Raises
        ------
        ValueError
            If that takes too many operations.
        """
        each = 4.0 * self.features.size * self.features.lam.size**2
        if steps[-1] * each > MOST:
            raise ValueError(
                f"steps must be at most {int(MOST / each)} for averaged weights with noise='exact' on these data, "
                f"got {steps[-1]}; noise='measured' knows any step"
            )
        return exact_curve(self.data, self.average, steps)
