"""Which phase is it, how fast does the loss fall there, and when does the noise take over?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.answers.exponents.fit import PowerLawFit, fit_power_law
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.singularity import dominant_singularity
from genfun.methods.base import Method
from genfun.problems.power_law import PowerLaw
from genfun.problems.problem import Problem

PhaseName = Literal["signal-dominated", "noise-dominated", "eventual divergence", "immediate divergence"]
LAST_STEP = 1e15
BORDER = 1e-6
"""Exponents of signal and noise that differ by less count as equal."""
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
        L(t) ~ constant * t^-exponent in the end: zeta or 2 - 1/nu; nan when it diverges.
    signal_constant, noise_constant : float
        Of L_s(t) = signal_constant * t^-zeta and L_n(t) = noise_constant * t^-(2 - 1/nu), in units of the loss above
        its lowest value; nan where the term has no meaning (V~(1) or U~(1) infinite).
    signal_exponent, noise_exponent : float
        zeta and 2 - 1/nu.
    transition_step : float
        Where L_s = L_n: signal before, noise after; inf if the signal dominates to the end.
    divergence_step : float
        Where the loss is least and begins to grow for good; inf when it converges. Beyond 10^15 steps only its order
        of magnitude, 1/growth rate.
    end_step : float
        1/(2 alpha_eff lambda_min): a finite spectrum ends the power law there, in an exponential; inf without end.
    notes : tuple of str
        What the infinite power law gets wrong here.

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
    notes: tuple[str, ...]

    @property
    def constant(self) -> float:
        """The constant of the dominant term; nan when it diverges."""
        return {"signal-dominated": self.signal_constant, "noise-dominated": self.noise_constant}.get(
            self.name, float("nan")
        )

    @property
    def nu(self) -> float:
        """Capacity exponent."""
        return 1.0 / (2.0 - self.noise_exponent)

    @property
    def zeta(self) -> float:
        """Source exponent."""
        return self.signal_exponent

    def __repr__(self) -> str:
        if "divergence" in self.name:
            return f"Phase({self.name}: the loss grows from step {self.divergence_step:.4g} on)"
        after = f" after step {self.transition_step:.4g}" if self.name == "noise-dominated" else ""
        end = f", until step {self.end_step:.3g}" if math.isfinite(self.end_step) else ""
        return f"Phase({self.name}: loss ~ {self.constant:.3g} t^-{self.exponent:.4g}{after}{end})"


def effective_rate(method: Method) -> float:
    r"""alpha_eff, the step of a slow mode per unit gradient: alpha/(1-beta) for the heavy ball.

    .. math:: \alpha_{eff} = \alpha \lim_{t\to\infty} (T(0)^t k)_w

    Parameters
    ----------
    method : Method
    """
    rows, kick = method.update(0.0, *method.hyperparameters)
    matrix = np.linalg.matrix_power(np.array(rows, dtype=float), 1 << 40)
    return method.learning_rate * float((matrix @ np.array(kick, dtype=float))[0])


def phase(problem: Problem | LinearData, method: Method, noise: NoiseChoice = None) -> Phase:
    r"""The phase of a power law, or of the power law fitted to a measured spectrum.

    .. math:: L_s = \frac{Q\,\Gamma(\zeta+1)}{2(1-\tilde U(1))}(2\alpha_{eff}t)^{-\zeta},\qquad
              L_n = \frac{\tilde V(1)\,C_U}{2(1-\tilde U(1))^2}\,t^{1/\nu-2},\qquad
              C_U = \gamma\tau_1\alpha_{eff}^2\frac{\Lambda^{1/\nu}}{\nu}\Gamma(2-\tfrac1\nu)(2\alpha_{eff})^{1/\nu-2}

    nu > 1: signal-dominated for zeta < 2 - 1/nu, noise-dominated above. 1/2 < nu <= 1: eventual divergence, as
    exp(p t) with z U~(z) = 1 at z = exp(-p). nu <= 1/2: immediate divergence. Without noise (b = N) the signal
    dominates always.

    **Assumptions.** Spectrally expressible noise; t large but before `end_step`; corrections fall as t^-(1 - 1/nu) and
    t^-abs(zeta - 2 + 1/nu). U~(1) and V~(1) are those of the problem itself; nu, zeta, Lambda, Q of a measured
    spectrum come from `fit_power_law`. Label noise is left out: its floor adds to the loss.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
        The spectrum.
    method : Method
        The setting.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    Phase

    Raises
    ------
    ValueError
        If the spectrum has no exponents (fewer than four modes, or no signal).

    References
    ----------
    arXiv 2206.11124, section 5, theorem 2. The factor of the noise constant follows the exact curve; the authors'
    notebooks differ by 2.

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
    if not (math.isfinite(law.nu) and math.isfinite(law.zeta) and law.nu > 0.0 and law.zeta > 0.0):
        raise ValueError(
            f"problem has no exponents ({'; '.join(law.notes)}); use local_exponent on its predicted curve"
        )
    nu, zeta, q_scale = law.nu, law.zeta, law.signal_scale
    singular, rate = dominant_singularity(G), effective_rate(method)
    infinite = isinstance(problem, PowerLaw) and problem.n_modes is None
    end = math.inf if infinite else 1.0 / (2.0 * rate * problem.lambda_min)
    signal = noise_constant = exponent = math.nan
    transition, divergence = math.inf, math.inf
    if singular.stable:
        gain = singular.noise_gain
        signal = 0.5 * q_scale * math.gamma(zeta + 1.0) * (2.0 * rate) ** -zeta / (1.0 - gain)
        noise_constant = _noise_constant(G, law, rate, gain, infinite)
        lead = 2.0 - 1.0 / nu - zeta
        name: PhaseName = "signal-dominated" if G.gamma == 0.0 or lead >= 0.0 else "noise-dominated"
        exponent = zeta if name == "signal-dominated" else 2.0 - 1.0 / nu
        if name == "noise-dominated" and noise_constant > 0.0:
            with np.errstate(over="ignore"):
                transition = float(np.exp(np.log(noise_constant / signal) / lead))
    else:
        divergence = _divergence_step(G, singular.rate)
        name = "immediate divergence" if divergence <= 1.0 else "eventual divergence"
    notes = _notes(law.is_power_law, law.notes, infinite, nu, name, transition, end)
    if singular.stable and G.gamma > 0.0 and abs(2.0 - 1.0 / nu - zeta) < BORDER:
        notes += ("on the border of the two phases: the loss falls as a power of t times a slowly varying factor",)
    return Phase(name, exponent, signal, noise_constant, zeta, 2.0 - 1.0 / nu, transition, divergence, end, notes)


def _noise_constant(G: GeneratingFunction, law: PowerLawFit, rate: float, gain: float, infinite: bool) -> float:
    if G.gamma == 0.0:
        return 0.0
    nu, zeta, scale = law.nu, law.zeta, law.eigenvalue_scale
    if nu <= 0.5 or (infinite and zeta <= 1.0):
        return math.nan
    capacity = G.gamma * G.noise_model.tau1 * rate**2 * scale ** (1.0 / nu) / nu
    capacity *= math.gamma(2.0 - 1.0 / nu) * (2.0 * rate) ** (1.0 / nu - 2.0)
    start = float(G.sums(np.zeros(1))[1][0])
    return 0.5 * start * capacity / (1.0 - gain) ** 2


def _divergence_step(G: GeneratingFunction, rate: float) -> float:
    """The minimum of the predicted curve, from which on the loss grows; beyond 10^15 steps only its order, 1/rate."""
    if not math.isfinite(rate):
        return 1.0
    last = min(LAST_STEP, 5.0 / rate + 10.0)
    low, least, high = 1.0, 1.0, last
    for _ in range(2):
        t = np.unique(np.geomspace(low, high, 120).astype(np.int64))
        i = int(np.argmin(predict(G.problem, G.method, t, G.noise_model).log_loss))
        low, least, high = float(t[max(i - 1, 0)]), float(t[i]), float(t[min(i + 1, t.size - 1)])
    return 1.0 / rate if least >= 0.99 * LAST_STEP else least


def _notes(
    is_power_law: bool,
    fit_notes: tuple[str, ...],
    infinite: bool,
    nu: float,
    name: PhaseName,
    transition: float,
    end: float,
) -> tuple[str, ...]:
    notes = [] if is_power_law else list(fit_notes)
    if not infinite:
        if nu <= 1.0 and "divergence" not in name:
            notes.append(f"stable only because the spectrum ends: nu = {nu:.3g} <= 1 would diverge without truncation")
        if math.isfinite(transition) and transition > end:
            notes.append(
                f"the spectrum ends at step {end:.3g}, before the transition at {transition:.3g}: it will not be seen"
            )
    return tuple(notes)


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
    case = Case.of(problem, method, noise)
    r = predict(case.problem, method, np.stack((low, high)), case.noise)
    logs = r.log_loss
    if case.label_noise > 0.0:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = logs + np.log1p(-np.exp(np.log(case.label_noise) - logs))
    return np.asarray((logs[0] - logs[1]) / np.log(high / low))
