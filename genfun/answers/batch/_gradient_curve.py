"""E |grad L|^2 = Tr(H^2 C) at given steps: a second generating function on the same singular points."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from genfun._typing import Array, Int, Shaped
from genfun.engine.contour_curve import LossCurve
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.loss_curve import automatic
from genfun.engine.recursion import Recursion, joint_modes
from genfun.engine.transform import Measures, residue
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible
from genfun.problems.measure import SpectralMeasure
from genfun.problems.problem import Problem


def weighted(measures: Measures) -> Measures:
    """The same measures with weights times lambda."""
    first, second = (SpectralMeasure.trusted(m.nodes, m.weights * m.nodes) for m in measures)
    return first, second


class GradientFunction(GeneratingFunction):
    r"""The generating function of the mean squared gradient norm.

    .. math:: \sum_t z^t\operatorname{Tr}(H^2C_t) = \tilde V_1(z)
        + z\tilde U_1(z)\,\frac{\tilde V(z) + \frac{\sigma^2}{\tau_1(1-z)}}{1 - z\tilde U(z)}

    U~_1 and V~_1 are U~ and V~ with weights times lambda: lambda E c of a mode is V~'s summand plus that of z U~
    times the noise tau1 Tr(HC) + sigma^2, whose generating function is the fraction (times tau1).
    """

    records_the_loss = False

    def __init__(
        self,
        problem: Problem,
        method: Method,
        noise: SpectrallyExpressible = SpectrallyExpressible(),
        measures: Measures | None = None,
    ) -> None:
        super().__init__(problem, method, noise, measures)
        own = weighted((self.capacity, self.signal_measure))
        self._weighted = GeneratingFunction(problem, method, noise, own)

    def limit(self) -> float:
        """What label noise leaves of it."""
        return residue(self)

    @cached_property
    def _nodes(self) -> Array:
        return joint_modes(*self.measures)[0]

    @np.errstate(all="ignore")
    def loss(self, q: Shaped[Array, " k"]) -> Shaped[Array, " k"]:
        """The function at z = 1 - q.

        Parameters
        ----------
        q : complex array, shape (k,)
        """
        kernel, signal = self.sums(q)
        kernel1, signal1 = self._weighted.sums(q)
        z, tau1 = 1.0 - q, self.noise_model.tau1
        drive = tau1 * signal
        if self.problem.noise_variance > 0.0:
            drive = drive + self.problem.noise_variance / q
        return signal1 + z * kernel1 * drive / (1.0 - tau1 * z * kernel)

    def on(self, measures: Measures) -> GradientFunction:
        """The same function of other measures.

        Parameters
        ----------
        measures : (SpectralMeasure, SpectralMeasure)
        """
        return GradientFunction(self.problem, self.method, self.noise_model, measures)

    def observed(self, run: Recursion) -> tuple[Array, Array]:
        """Mantissa and exponent of Tr(H^2 C) at the present step of the recursion.

        Parameters
        ----------
        run : Recursion
        """
        return run.state[0] @ self._nodes, run.loss()[1]

    def quiet_signal(self, phase: float) -> tuple[SpectralMeasure, float, float]:
        """What the noiseless curve is made of.

        Parameters
        ----------
        phase : float
            See `GeneratingFunction.fine`.
        """
        return weighted(self.fine(phase))[1], 0.0, 1.0


def gradient_curve(G: GeneratingFunction, steps: Int[Array, " t"]) -> LossCurve:
    """Tr(H^2 C) at ascending steps.

    Parameters
    ----------
    G : GeneratingFunction
        Of the loss.
    steps : array, shape (t,)
        Ascending, without repeats.
    """
    return automatic(GradientFunction(G.problem, G.method, G.noise_model, G.measures), steps)
