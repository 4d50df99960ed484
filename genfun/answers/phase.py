"""Which phase is it, how fast does the loss fall there, and when does the noise take over?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed, plain
from genfun._typing import Array, Float
from genfun.answers._phase_notes import spectrum_notes, term_notes
from genfun.answers.exponents.fit import fit_power_law
from genfun.answers.late_terms import exp_or_inf, floor_of_label_noise, noise_term, signal_constant
from genfun.answers.predict import predict
from genfun.case import STANDS_IN, Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.dispatch import transform
from genfun.engine.singularity import dominant_singularity
from genfun.methods.base import Method, effective_rate
from genfun.noise import NoiseModel
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import Problem

PhaseName = Literal["signal-dominated", "noise-dominated", "eventual divergence", "immediate divergence"]
LAST_STEP = 1e15
BORDER = 1e-6
"""Exponents of signal and noise that differ by less count as equal."""
FLAT = 1.01
"""Eigenvalues within this factor of one another have no exponent."""
LOG_HALF_WIDTH = 0.05
"""Half the distance in log t of the points of the local exponent: its error is of the order of its square."""


@dataclass(frozen=True, repr=False)
class Phase(Displayed):
    r"""The asymptotic regime of a setting.

    Parameters
    ----------
    name : str
        "signal-dominated", "noise-dominated", "eventual divergence" or "immediate divergence".
    exponent : float
        L(t) ~ constant * t^-exponent in the end, but for the floor: zeta or 2 - 1/nu; nan when it diverges.
    signal_constant, noise_constant : float
        Of L_s(t) = signal_constant * t^-zeta and L_n(t) = noise_constant * t^-(2 - 1/nu), in units of the loss above
        its lowest value; nan where the term has no meaning (V~(1) or U~(1) infinite).
    signal_exponent, noise_exponent : float
        zeta and 2 - 1/nu.
    transition_step : float
        Where L_s = L_n, the dominant term leading from there on: noise in a noise-dominated problem. In a
        signal-dominated one the noise leads before, which is rare: the rate must be close to the edge. inf where one
        term leads throughout.
    divergence_step : float
        Where the loss is least and begins to grow for good; inf when it converges. Beyond 10^15 steps only its order
        of magnitude, 1/growth rate.
    end_step : float
        1/(2 alpha_eff lambda_min): a finite spectrum ends the power law there, in an exponential; inf without end.
    floor : float
        What label noise keeps of the loss above its lowest value, L_f = (sigma^2/(2 tau1)) U~(1)/(1 - U~(1)); 0 without
        label noise.
    floor_constant : float
        Of L_f - floor_constant * t^-(1 - 1/nu): the floor is filled this slowly. 0 without label noise, nan where
        nu <= 1.
    floor_step : float
        Where L_s + L_n has fallen to the floor; inf without label noise.
    notes : tuple of str
        What the infinite power law gets wrong here.
    is_power_law : bool
        Whether the spectrum is one, as in `genfun.fit_power_law`: if not, the exponents are those of its window.
    nu_interval, zeta_interval : (float, float)
        Of the fit, both ends equal for an exact power law.
    fitted_noise : bool
        Whether constants fitted to data stand for their own noise in the terms, as a note then says. Whether the loss
        converges, and the exponents, are known without; where constants disagree on that, the terms are nan.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.phase(gf.PowerLaw(nu=1.5, zeta=0.5), gf.SGD(0.5, batch_size=10))
    Phase(signal-dominated: loss ~ 0.478 t^-0.5)
    """

    name: PhaseName
    exponent: float
    signal_constant: float
    noise_constant: float
    signal_exponent: float
    noise_exponent: float
    transition_step: float
    divergence_step: float
    end_step: float
    floor: float
    floor_constant: float
    floor_step: float
    notes: tuple[str, ...]
    is_power_law: bool = True
    nu_interval: tuple[float, float] = (math.nan, math.nan)
    zeta_interval: tuple[float, float] = (math.nan, math.nan)
    fitted_noise: bool = False

    @property
    def constant(self) -> float:
        """The constant of the dominant term, of both on the border of the phases; nan when it diverges."""
        if "divergence" not in self.name and self.on_border:
            return self.signal_constant + self.noise_constant
        return {"signal-dominated": self.signal_constant, "noise-dominated": self.noise_constant}.get(
            self.name, float("nan")
        )

    @property
    def on_border(self) -> bool:
        """Whether zeta = 2 - 1/nu and there is batch noise: both terms fall alike, and their sum is the loss."""
        return abs(self.signal_exponent - self.noise_exponent) < BORDER and self.noise_constant > 0.0

    @property
    def later(self) -> str:
        """Which term leads after `transition_step`: "noise" or "signal"."""
        return "noise" if self.name == "noise-dominated" else "signal"

    def excess(self, steps: Any) -> Float[Array, "..."]:
        r"""The loss above its lowest value, of all terms together.

        .. math:: C_s t^{-\zeta} + C_n t^{1/\nu-2} + L_f - C_f t^{1/\nu-1}

        **Assumptions.** Those of `phase`: t large, and before `end_step`.

        Parameters
        ----------
        steps : int or array of ints
            t >= 1, any shape.

        Returns
        -------
        array, same shape
            nan where the loss diverges.

        Raises
        ------
        ValueError
            If a step is below 1.
        """
        t = _check.steps(steps)
        if t.min() < 1:
            raise ValueError(
                f"steps must be at least 1 for powers of them, got {t.min()}; the terms are those of late times"
            )
        log_t = np.log(t)
        signal = self.signal_constant * np.exp(-self.signal_exponent * log_t)
        noise = np.nan_to_num(self.noise_constant) * np.exp(-self.noise_exponent * log_t)
        slow = np.nan_to_num(self.floor_constant) * np.exp(-(self.noise_exponent - 1.0) * log_t)
        return np.asarray(signal + noise + (self.floor - slow))

    @property
    def nu(self) -> float:
        """Capacity exponent."""
        return 1.0 / (2.0 - self.noise_exponent)

    @property
    def zeta(self) -> float:
        """Source exponent."""
        return self.signal_exponent

    def __repr__(self) -> str:
        stands = STANDS_IN if self.fitted_noise else ""
        if not self.is_power_law:
            grows = f"; the loss grows from step {plain(self.divergence_step)} on" if "divergence" in self.name else ""
            return f"Phase(none: the spectrum is no power law{grows}{stands})"
        if "divergence" in self.name:
            return f"Phase({self.name}: the loss grows from step {plain(self.divergence_step)} on{stands})"
        if math.isnan(self.constant):
            return f"Phase({self.name}: loss falls as t^-{self.exponent:.4g}, of unknown size{stands})"
        changes = self.name == "noise-dominated" or math.isfinite(self.transition_step)
        after = f" after step {plain(self.transition_step)}" if changes else ""
        if self.floor > 0.0:
            first = f" from step {plain(self.floor_step, 3)}" if self.floor_step <= self.end_step else ""
            after += f", held at {self.floor:.3g} by label noise{first}"
        end = f", until step {plain(self.end_step, 3)}" if math.isfinite(self.end_step) else ""
        return f"Phase({self.name}: loss ~ {self.constant:.3g} t^-{self.exponent:.4g}{after}{end}{stands})"


def phase(problem: Problem | LinearData, method: Method, noise: NoiseChoice = None) -> Phase:
    r"""The phase of a power law, or of the power law fitted to a measured spectrum.

    .. math:: L_s = \frac{Q\,\Gamma(\zeta+1)}{2(1-\tilde U(1))}(2\alpha_{eff}t)^{-\zeta},\qquad
              L_n = \frac{\tilde V(1)\,C_U}{2(1-\tilde U(1))^2}\,t^{1/\nu-2},\qquad
              C_U = \gamma\tau_1\alpha_{eff}^2\frac{\Lambda^{1/\nu}}{\nu}\Gamma(2-\tfrac1\nu)(2\alpha_{eff})^{1/\nu-2}

    nu > 1: signal-dominated for zeta < 2 - 1/nu, noise-dominated above. 1/2 < nu <= 1: eventual divergence, as
    exp(p t) with z U~(z) = 1 at z = exp(-p). nu <= 1/2: immediate divergence. Without noise (b = N) the signal
    dominates always.

    On the border, zeta = 2 - 1/nu, both fall alike and L t^zeta tends to the sum of the constants. Label noise adds

    .. math:: \frac{\sigma^2}{2\tau_1}\Big[\frac{\tilde U(1)}{1-\tilde U(1)}
              - \frac{C_U\,t^{1/\nu-1}}{(1-1/\nu)(1-\tilde U(1))^2}\Big],

    a floor that is filled more slowly than batch noise dies out. Where tau1 = 0, gradients make no noise for other
    modes: the signal dominates, and label noise has its floor all the same, U~/tau1 being finite.

    **Assumptions.** Spectrally expressible noise; of data, whether the loss converges is by their own, and the size of
    the terms by fitted constants; t large but before `end_step`; corrections fall as t^-(1 - 1/nu) and
    t^-abs(zeta - 2 + 1/nu). U~(1) and V~(1) are those of the problem itself; nu, zeta, Lambda, Q of a measured
    spectrum come from `fit_power_law`.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum.
    method : Method
        The setting.
    noise : SpectrallyExpressible, "fitted" or None
        The noise model; any other is refused. None: as above for data, or tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    Phase

    Raises
    ------
    ValueError
        If the spectrum has no exponents (fewer than four modes, no signal, or all eigenvalues within 1 %).

    References
    ----------
    arXiv 2206.11124, section 5, theorem 2; the term of label noise is derived here from the same expansion. The factor
    of the noise constant follows the exact curve; the authors' notebooks differ by 2.

    Examples
    --------
    >>> import genfun as gf
    >>> f = gf.phase(gf.PowerLaw(nu=1.5, zeta=2.0), gf.SGD(0.4, batch_size=100))
    >>> f.name, round(f.transition_step)
    ('noise-dominated', 38392)
    """
    case = Case.of(problem, method, noise, only_expressible="phase")
    problem, G = case.problem, case.transform
    law = fit_power_law(problem)
    if problem.lambda_max < FLAT * problem.lambda_min and problem.lambda_max > problem.lambda_min:
        apart = problem.lambda_max / problem.lambda_min - 1.0
        raise ValueError(
            f"problem has no exponents (its eigenvalues are all equal within {apart:.1g}: nothing falls as a power of "
            "the mode number); use local_exponent on its predicted curve"
        )
    if not (0.0 < law.nu < math.inf and 0.0 < law.zeta < math.inf and 0.0 < law.signal_scale < math.inf):
        why = law.notes[0].removeprefix("not a power law: ")
        raise ValueError(f"problem has no exponents ({why}); use local_exponent on its predicted curve")
    nu, zeta = law.nu, law.zeta
    singular, rate = dominant_singularity(G), effective_rate(method)
    infinite = isinstance(problem, PowerLaw) and problem.n_modes is None
    end = math.inf if infinite else 1.0 / (2.0 * rate * problem.lambda_min)
    signal = noise_constant = exponent = math.nan
    transition, divergence, floor = math.inf, math.inf, (0.0, 0.0, math.inf)
    if singular.stable:
        gain = singular.noise_gain
        signal = signal_constant(law, rate, gain)
        noise_constant = noise_term(G, law, rate, gain, infinite)
        lead = 2.0 - 1.0 / nu - zeta
        quiet = G.gamma == 0.0 or case.expressible.tau1 == 0.0
        name: PhaseName = "signal-dominated" if quiet or lead >= 0.0 else "noise-dominated"
        exponent = zeta if name == "signal-dominated" else 2.0 - 1.0 / nu
        if noise_constant > 0.0 and abs(lead) >= BORDER and (lead < 0.0 or noise_constant > signal):
            transition = exp_or_inf((math.log(noise_constant) - math.log(signal)) / lead) if signal > 0.0 else math.inf
        if problem.noise_variance > 0.0 and G.gamma > 0.0:
            floor = floor_of_label_noise(G, law, rate, gain, (signal, noise_constant))
    else:
        divergence = _divergence_step(problem, method, case.noise, singular.rate)
        name = "immediate divergence" if divergence <= 1.0 else "eventual divergence"
    notes = spectrum_notes(law.is_power_law, law.notes, infinite, nu, name, transition, end)
    found = Phase(
        name, exponent, signal, noise_constant, zeta, 2.0 - 1.0 / nu, transition, divergence, end, *floor, notes,
        law.is_power_law, law.nu_interval, law.zeta_interval,
    )  # fmt: skip
    found = replace(found, notes=notes + term_notes(found))
    if not case.stand_in:
        return found
    if noise is None:
        return _by_own_noise(case, found, notes)
    return replace(found, notes=(*found.notes, case.stand_in), fitted_noise=True)


def _by_own_noise(case: Case, f: Phase, notes: tuple[str, ...]) -> Phase:
    """Whether it converges is known by the noise of the data, and the exponents by the spectrum; constants are not."""
    assert case.data is not None
    own = case.data.measured_noise
    singular = dominant_singularity(transform(case.problem, case.method, own))
    if singular.stable == ("divergence" not in f.name):
        return replace(f, notes=(*f.notes, case.stand_in), fitted_noise=True)
    nothing = {"signal_constant": math.nan, "noise_constant": math.nan, "transition_step": math.inf}
    nothing |= {"floor": 0.0, "floor_constant": 0.0, "floor_step": math.inf}
    if singular.stable:
        leads = case.expressible.tau1 == 0.0 or f.signal_exponent <= f.noise_exponent
        name, exponent = ("signal-dominated", f.signal_exponent) if leads else ("noise-dominated", f.noise_exponent)
        said = "by the fitted constants the loss would grow, by the data's own noise it falls: see predict for its size"
        return replace(f, name=name, exponent=exponent, divergence_step=math.inf, notes=(*notes, said), **nothing)
    step = _divergence_step(case.problem, case.method, own, singular.rate)
    name = "immediate divergence" if step <= 1.0 else "eventual divergence"
    said = "by the fitted constants the loss would fall, by the data's own noise it grows"
    return replace(f, name=name, exponent=math.nan, divergence_step=step, notes=(*notes, said), **nothing)


def _divergence_step(problem: Problem, method: Method, noise: NoiseModel, rate: float) -> float:
    """The minimum of the predicted curve, from which on the loss grows; beyond 10^15 steps only its order, 1/rate."""
    if not math.isfinite(rate):
        return 1.0
    last = min(LAST_STEP, 5.0 / rate + 10.0)
    low, least, high = 1.0, 1.0, last
    for _ in range(2):
        t = np.unique(np.geomspace(low, high, 120).astype(np.int64))
        i = int(np.argmin(predict(problem, method, t, noise).log_loss))
        low, least, high = float(t[max(i - 1, 0)]), float(t[i]), float(t[min(i + 1, t.size - 1)])
    return 1.0 / rate if least >= 0.99 * LAST_STEP else least


def local_exponent(
    problem: Problem | LinearData, method: Method, steps: Any, noise: NoiseChoice = None
) -> Float[Array, "..."]:
    r"""The local exponent of the predicted curve, with no power law assumed.

    .. math:: -\frac{d\log (L - L_{min})}{d\log t}

    **Assumptions.** A central difference over about 10 % in t, or one step where that is more; the lowest possible
    loss sigma^2/2 is taken off.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum.
    method : Method
        The setting.
    steps : int or array of ints
        t >= 1, any shape.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    array, same shape
        zeta in the signal phase, 2 - 1/nu in the noise phase, rising without bound where a finite spectrum decays
        exponentially, negative where the loss grows.

    Raises
    ------
    ValueError
        If a step is below 1.

    References
    ----------
    arXiv 2206.11124, section 5.

    Examples
    --------
    >>> import genfun as gf
    >>> p = gf.PowerLaw(nu=1.5, zeta=2.0)
    >>> gf.local_exponent(p, gf.SGD(0.4, batch_size=100), [1000, 38392, 10**8]).round(2)
    array([1.92, 1.67, 1.34])
    """
    t = _check.steps(steps)
    if t.min() < 1:
        raise ValueError(f"steps must be at least 1 for an exponent, got {t.min()}; log t has no value at step 0")
    low = np.minimum(np.floor(t * np.exp(-LOG_HALF_WIDTH)), t - 1).astype(np.int64)
    low = np.maximum(low, 1)
    high = np.maximum(np.ceil(t * np.exp(LOG_HALF_WIDTH)), t + 1).astype(np.int64)
    case = Case.of(problem, method, noise, knows_schedules=True)
    r = predict(case.problem, method, np.stack((low, high)), case.noise)
    logs = r.log_loss
    if case.label_noise > 0.0:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = logs + np.log1p(-np.exp(np.log(case.label_noise) - logs))
    with np.errstate(invalid="ignore"):  # of losses that are lost, or at their floor, nothing is known
        return np.asarray((logs[0] - logs[1]) / np.log(high / low))
