"""E |grad L|^2 = Tr(H^2 C) at given steps: a second generating function on the same singular points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from genfun._typing import Array, Int, Shaped
from genfun.generating_function import GeneratingFunction
from genfun.inversion import coefficients
from genfun.loss_curve import (
    ACCEPT,
    ALWAYS_RECURSION,
    FAR,
    FIRST_CONTOUR_STEP,
    MAX_PHASE,
    PATIENCE,
    STEP_BUDGET,
    WORK_BUDGET,
    LossCurve,
    joined,
    lasting,
    lumped,
    oscillation_steps,
    recursion_error,
    recursion_measures,
)
from genfun.measure import SpectralMeasure
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible
from genfun.powers import noiseless_loss
from genfun.problem import Problem
from genfun.recursion import Recursion, joint_modes
from genfun.scaled import EPS, Scaled
from genfun.singularity import Singularity, dominant_singularity

Measures = tuple[SpectralMeasure, SpectralMeasure]


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

    def __init__(
        self, problem: Problem, method: Method, noise: SpectrallyExpressible, measures: Measures | None = None
    ) -> None:
        super().__init__(problem, method, noise, measures)
        own = weighted((self.capacity, self.signal_measure))
        self._weighted = GeneratingFunction(problem, method, noise, own)

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


def squared_gradients(G: GeneratingFunction, measures: Measures) -> Iterator[tuple[float, int]]:
    """Tr(H^2 C) = m 2^e as (m, e), step by step from 0, by the direct recursion on the measures."""
    nodes = joint_modes(*measures)[0]
    run = Recursion(G.problem, [G.method], G.noise_model, measures)
    while True:
        yield float(run.state[0, 0] @ nodes), int(run.loss()[1][0])
        run.advance()


def gradient_curve(G: GeneratingFunction, steps: Int[Array, " t"]) -> LossCurve:
    """Tr(H^2 C) at ascending steps: recursion first, the contour from where the two agree.

    Parameters
    ----------
    G : GeneratingFunction
        Of the loss.
    steps : array, shape (t,)
        Ascending, without repeats.
    """
    singular, last = dominant_singularity(G), int(steps[-1])
    if G.gamma == 0.0:
        fade = min(oscillation_steps(singular, singular.rate), float(last), MAX_PHASE)
        signal = weighted(recursion_measures(G, fade))[1]
        return LossCurve(*noiseless_loss(signal, G.method, steps, singular.rate), "powers")
    fade = oscillation_steps(singular, singular.shift)
    reach = int(max(2 * FIRST_CONTOUR_STEP, fade)) if fade <= FAR else PATIENCE
    measures = recursion_measures(G, min(fade, MAX_PHASE))
    budget = int(min(last, STEP_BUDGET, max(ALWAYS_RECURSION, WORK_BUDGET / measures[0].nodes.size)))
    reach = last if last <= ALWAYS_RECURSION else min(reach, budget)
    narrow = lumped(G, measures, float(max(budget, 1)))
    source = squared_gradients(narrow, (narrow.capacity, narrow.signal_measure))
    known: list[tuple[float, int]] = []
    while True:
        known.extend(next(source) for _ in range(reach + 1 - len(known)))
        early = _scaled(known)
        mismatch = 0.0 if reach >= last else _mismatch(G, early, singular)
        if mismatch <= max(ACCEPT, float(recursion_error(G, np.array([reach]))[0])) or reach >= budget:
            break
        reach = min(2 * reach, budget)
    soon, late = steps[steps <= reach], steps[steps > reach]
    parts = [LossCurve(early[soon], recursion_error(G, soon), "recursion")] if soon.size else []
    if late.size:
        curve = _contour(G, late, singular)
        drift = singular.rate_error * lasting(G, singular, late)
        parts.append(LossCurve(curve.loss, np.maximum(curve.error, mismatch) + drift, curve.route))
    return joined(parts)


def _scaled(known: list[tuple[float, int]]) -> Scaled:
    mantissa, exponent = zip(*known, strict=True)
    return Scaled(np.array(mantissa), np.array(exponent, dtype=np.int64))


def _contour(G: GeneratingFunction, steps: Array, singular: Singularity) -> LossCurve:
    ages, shift = steps.astype(np.float64), singular.shift
    narrow = lumped(G, (G.capacity, G.signal_measure), float(steps[-1]))
    F = GradientFunction(G.problem, G.method, G.noise_model, (narrow.capacity, narrow.signal_measure))
    found = coefficients(F, ages, shift)
    error = np.maximum(found.error, EPS * (300.0 + 4.0 * np.abs(shift * ages)))
    return LossCurve(Scaled.exponential(found.mantissa, shift * ages), error, "contour")


def _mismatch(G: GeneratingFunction, early: Scaled, singular: Singularity) -> float:
    reach = early.mantissa.size - 1
    check: Any = np.unique(np.linspace(max(0.6 * reach, FIRST_CONTOUR_STEP), reach, 9).astype(np.int64))
    return float(_contour(G, check, singular).loss.relative_difference(early[check]).max())
