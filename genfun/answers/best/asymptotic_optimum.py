"""Which learning rate and momentum are best in the end, at late times of a power law?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genfun import _check
from genfun._display import Displayed, percent
from genfun._typing import Array
from genfun.answers.best._search import GRID, STARTS, ZOOM, Region, closer, log_loss, valleys
from genfun.answers.exponents.fit import PowerLawFit, fit_power_law
from genfun.answers.phase import BORDER, PhaseName, phase
from genfun.answers.stability import stability
from genfun.case import STANDS_IN, Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.problem import Problem
from genfun.symbolic.arrays import responses

OF_LABEL_NOISE = (
    "with label noise no setting is best in the end, as a smaller rate has a lower floor: optimize at a given step",
)
CAP = 0.999
"""Largest momentum of either sign that is tried."""
ROUNDS = 12


@dataclass(frozen=True, repr=False)
class AsymptoticOptimum(Displayed):
    """The setting of least loss at late times.

    Parameters
    ----------
    method : SGD
        Learning rate, momentum and batch size.
    phase : str
        "signal-dominated" or "noise-dominated".
    constant, exponent : float
        L(t) ~ constant * t^-exponent, in units of the loss above its lowest value.
    noise_gain : float
        U~(1) there.
    gain : float
        1 - constant / (least constant with momentum 0).
    at_bound : bool
        Whether the optimum sits on a bound of the search.
    bounds : tuple of str
        Which.
    floor : float
        What label noise adds to constant * t^-exponent in the end, in the same units; 0 without label noise.
    notes : tuple of str
        What limits the answer.
    fitted_noise : bool
        Whether constants fitted to data stand for their own noise; a note then says so.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.answers.best.asymptotic_optimum import asymptotic_optimum
    >>> asymptotic_optimum(gf.PowerLaw(nu=1.5, zeta=0.5), batch_size=1, momentum=0.0)
    AsymptoticOptimum(signal-dominated: loss ~ 0.93 t^-0.5 at learning_rate=0.2552, momentum=0, noise gain 0.3333)
    """

    method: SGD
    phase: PhaseName
    constant: float
    exponent: float
    noise_gain: float
    gain: float
    at_bound: bool
    bounds: tuple[str, ...]
    floor: float
    notes: tuple[str, ...]
    fitted_noise: bool = False

    def __repr__(self) -> str:
        m, sign = self.method, "negative " if self.method.momentum < 0.0 else ""
        worth = f", {sign}momentum worth {percent(self.gain)}" if self.gain > 0.0 else ""
        held = f", held at {self.floor:.3g} by label noise" if self.floor > 0.0 else ""
        bound = f", at a bound: {'; '.join(self.bounds)}" if self.at_bound else ""
        return (
            f"AsymptoticOptimum({self.phase}: loss ~ {self.constant:.3g} t^-{self.exponent:.4g}{held} at "
            f"learning_rate={m.learning_rate:.4g}, momentum={m.momentum:.4g}, noise gain {self.noise_gain:.4g}"
            f"{worth}{bound}{STANDS_IN if self.fitted_noise else ''})"
        )


class _Constants(Region):
    """Logarithms of the constant of the dominant phase, up to what does not depend on the setting; `edges` is the noise
    below whose stability edge it is searched.
    """

    def __init__(
        self,
        problem: Problem,
        batch: int,
        noise: SpectrallyExpressible,
        momentum: float | None,
        law: PowerLawFit,
        edges: NoiseModel,
    ) -> None:
        super().__init__(problem, batch, edges, momentum, CAP)
        self._tau1, self._tau2 = noise.tau1, noise.tau2
        self._law, self._gamma = law, sampling_factor(batch, problem.n_samples)
        self._lead = law.zeta - (2.0 - 1.0 / law.nu) if self._gamma * noise.tau1 > 0.0 else -math.inf

    def __call__(self, x: Array, y: Array) -> Array:
        rates, betas = (p[:, None] for p in self.settings(x, y))
        (capacity, signal), g = self.problem.measures(), self._gamma * self._tau2
        with np.errstate(all="ignore"):
            least, U, _ = self._sums(capacity.nodes, capacity.weights, rates, betas, g)
            other, _, V = self._sums(signal.nodes, signal.weights, rates, betas, g)
            rest = 1.0 - self._gamma * self._tau1 * rates[:, 0] ** 2 * U
            effective = np.log(rates[:, 0] / (1.0 - betas[:, 0]))
            nu, zeta = self._law.nu, self._law.zeta
            signal_term = -zeta * effective - np.log(rest)
            noise_term = effective / nu + np.log(V) - 2.0 * np.log(rest)
            if abs(self._lead) < BORDER:
                value = np.logaddexp(signal_term, noise_term + self._ratio())
            else:
                value = noise_term if self._lead > 0.0 else signal_term
        sound = (least > 0.0) & (other > 0.0) & (rest > 0.0) & np.isfinite(value)
        return np.where(sound, value, np.inf).reshape(x.shape)

    def _ratio(self) -> float:
        """What does not depend on the setting in log(C_n/C_s)."""
        law, power = self._law, 1.0 / self._law.nu
        top = math.log(self._gamma * self._tau1 * power) + power * math.log(law.eigenvalue_scale)
        top += math.lgamma(2.0 - power) + (power - 2.0) * math.log(2.0)
        bottom = math.log(law.signal_scale) + math.lgamma(law.zeta + 1.0) - law.zeta * math.log(2.0)
        return top - bottom

    @staticmethod
    def _sums(nodes: Array, weights: Array, rates: Array, betas: Array, g: float) -> tuple[Array, Array, Array]:
        """Least S(1) over the modes, and the sums of w u and w v at z = 1."""
        a = rates * nodes
        d, u, v = responses(SGD)(a, 0.0, betas)
        d = d + g * a * a * u
        return d.min(axis=-1), (weights * u / d).sum(axis=-1), (weights * v / d).sum(axis=-1)


def asymptotic_optimum(
    problem: Problem | LinearData,
    batch_size: int,
    momentum: float | None = None,
    noise: NoiseChoice = None,
) -> AsymptoticOptimum:
    r"""The learning rate and momentum that minimise the constant of the phase that dominates in the end.

    .. math:: \min_{\alpha,\beta}\ \frac{\alpha_{eff}^{-\zeta}}{1-\tilde U(1)}\quad\text{(signal-dominated)},\qquad
              \min_{\alpha,\beta}\ \frac{\alpha_{eff}^{1/\nu}\,\tilde V(1)}{(1-\tilde U(1))^2}
              \quad\text{(noise-dominated)}

    On the border of the phases, zeta = 2 - 1/nu, the sum of both constants is least. With label noise no setting is
    best in the end: the floor it leaves falls with the learning rate, and with it the speed. The answer is then that
    without label noise, with its floor and a note.

    At gamma tau2 = 1 and momentum 0 the noise gain at the optimum is zeta/(1+zeta) or (nu-1)/(3 nu-1).

    **Assumptions.** As for `phase`: t large, but before the end of a finite spectrum. Of data the constants are those
    of fitted noise, below the edge of their own. Momenta up to 0.999. In the signal phase the constant falls all the
    way to momentum 1 at a fixed alpha/(1-beta): that bound is reported.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum; of a measured one the exponents are fitted.
    batch_size : int
        b.
    momentum : float or None
        Fixes beta; None searches it.
    noise : SpectrallyExpressible, "fitted" or None
        The noise model; any other is refused. None: the constants fitted to data, or tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    AsymptoticOptimum

    Raises
    ------
    ValueError
        If no setting converges (nu <= 1), the spectrum has no exponents, or a number is out of range.

    References
    ----------
    arXiv 2206.11124, section 6.

    Examples
    --------
    >>> import genfun as gf
    >>> best = asymptotic_optimum(gf.PowerLaw(nu=2.0, zeta=4.0), batch_size=1)
    >>> best.phase, best.method.momentum < 0.0, best.at_bound
    ('noise-dominated', True, False)
    """
    b = _check.integer("batch_size", batch_size, 1)
    if momentum is not None:
        momentum = _check.momentum(momentum)
    case = Case.of(problem, noise=noise, only_expressible="asymptotic_optimum")
    problem, model = case.problem, case.expressible
    law = fit_power_law(problem)
    if not law.nu > 1.0 or np.isinf(problem.trace):
        raise ValueError(
            f"problem has nu = {law.nu:.4g} <= 1: no setting converges in the end; optimize at a finite step"
        )
    if not law.zeta > 0.0:
        raise ValueError(f"problem has no source exponent ({'; '.join(law.notes)}); optimize at a finite step")
    # No rate beyond the data's own edge is a candidate, whatever the fitted constants say.
    edges = case.data.measured_noise if case.data is not None and noise is None else model
    constants = _Constants(problem, b, model, momentum, law, edges)
    x, y, least = _least(constants, *constants.axes(GRID))
    without = least if momentum is not None else _least(constants, constants.axes(GRID)[0], np.zeros(1))[2]
    method = constants.setting(x, y)
    found, bounds = phase(problem, method, model), constants.bounds(x, y)
    return AsymptoticOptimum(
        method=method,
        phase=found.name,
        constant=found.constant,
        exponent=found.exponent,
        noise_gain=stability(problem, method, model).noise_gain,
        gain=1.0 - math.exp(least - without),
        at_bound=bool(bounds),
        bounds=bounds,
        floor=found.floor,
        notes=found.notes + (OF_LABEL_NOISE if found.floor > 0.0 else ()) + ((case.stand_in,) if case.stand_in else ()),
        fitted_noise=bool(case.stand_in),
    )


def _least(constants: _Constants, x: Array, y: Array) -> tuple[float, float, float]:
    starts = valleys(constants, x, y)[:STARTS]
    return min((closer(constants, start, ROUNDS, ZOOM) for start in starts), key=log_loss)
