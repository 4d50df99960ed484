"""The direct recursion of the diagonal second moments under given fourth moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genfun._typing import Array
from genfun.engine.recorded_run import RecordedRun
from genfun.engine.recursion import Recursion
from genfun.methods.base import Method
from genfun.mode_space.coupling import Coupling
from genfun.noise import SpectrallyExpressible
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem

FORGOTTEN = 200
"""Powers of two by which second moments must have grown for their mean, the square root, to count for nothing."""


class DiagonalRecursion(Recursion):
    r"""Mean loss step by step for many settings of one method, modes coupled by a matrix.

    .. math:: X' = A X + (k k^T)\,\gamma a^2\Big(\mu\,x + E/\lambda - 2\,\frac{C g}{\lambda}\Big),\qquad
              L = \tfrac12\Big(\sum_j x_j + \sigma^2\Big)

    x the first component of X, g the mean of w - w* over its initial value.

    **Assumptions.** Those of `FourthMoments`; otherwise as `Recursion`.

    Parameters
    ----------
    coupling : Coupling
    problem : Problem
    methods : sequence of Method
        Of one class.
    """

    def __init__(self, coupling: Coupling, problem: Problem, methods: Sequence[Method]) -> None:
        lam = coupling.eigenvalues
        capacity = SpectralMeasure.trusted(lam, lam**2)
        # The same nodes in both: one set of modes, in this order.
        measures = capacity, SpectralMeasure.trusted(capacity.nodes, coupling.signal)
        super().__init__(problem, methods, SpectrallyExpressible(1.0, 1.0), measures)
        self.coupling = coupling
        # What the diagonal of mu has beyond the row stays with the mode itself.
        self.map[:, 0] += self.force * coupling.own
        self._step = self._mean = None
        if coupling.cross is not None and self._coupled:
            a = np.array([[m.learning_rate] for m in methods]) * lam
            hyper = np.array([m.hyperparameters for m in methods]).reshape(len(methods), -1)
            rows = type(methods[0]).update(a, *(h[:, None] for h in hyper.T))[0]
            self._step = np.array([[np.broadcast_to(np.asarray(x, float), a.shape) for x in row] for row in rows])
            self._mean = np.zeros((len(rows), *a.shape))
            self._mean[0] = 1.0

    def drive(self) -> Array:
        """What every mode's noise is made of, shape (settings, modes)."""
        c, scale = self.coupling, self.scale[:, None]
        found = self.state[0] @ c.matrix + np.ldexp(np.broadcast_to(c.label, self.state[0].shape), -scale)
        if self._mean is None or c.cross is None:
            return found
        pull = np.where(scale > FORGOTTEN, 0.0, np.ldexp(2.0 * (self._mean[0] @ c.cross.T), -scale))
        return found - pull

    def advance(self) -> None:
        """One step."""
        super().advance()
        if self._mean is not None and self._step is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                self._mean = np.einsum("ijbn,jbn->ibn", self._step, self._mean)


class DiagonalRun(RecordedRun):
    """The direct recursion of one setting.

    Parameters
    ----------
    coupling : Coupling
    problem : Problem
    method : Method
    """

    def __init__(self, coupling: Coupling, problem: Problem, method: Method) -> None:
        super().__init__(DiagonalRecursion(coupling, problem, [method]))

    @property
    def size(self) -> int:
        """Numbers that a step touches; a product with a matrix is quicker than the sum over modes by about 8."""
        n = super().size
        return n + n * n // 8
