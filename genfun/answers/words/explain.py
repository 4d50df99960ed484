"""What does a setting do, why, and what to change first? In words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from genfun import _check
from genfun.answers.band import edge_band, loss_band
from genfun.answers.exponents.fit import PowerLawFit, fit_power_law
from genfun.answers.phase import Phase, local_exponent, phase
from genfun.answers.predict import predict
from genfun.answers.stability import Stability, stability
from genfun.answers.steps_to_loss import steps_to_loss
from genfun.answers.words import _lines as words
from genfun.answers.words._changes import Change, changes
from genfun.answers.words.noise import SOURCES
from genfun.answers.words.problem import problem_words
from genfun.answers.words.settings import setting_words
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import edge, with_rate
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.noise import NoiseModel, SpectrallyExpressible, sampling_factor
from genfun.problems.problem import Problem
from genfun.softmax.data import SoftmaxData
from genfun.softmax.explain import SoftmaxExplanation, softmax_explain

DEFAULT_STEPS = 1000
MOST_STEPS = 10**12
SMALLER = 0.9
"""A learning rate 10 % smaller."""
NEAR = 0.05
"""The floor counts as reached when the loss is this fraction above its limit."""


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """A setting in words, and the numbers behind them.

    Attributes
    ----------
    lines : tuple of str
        About ten sentences; `str()` joins them.
    method : Method
        The setting.
    steps : int
        T, the step at which the run is looked at.
    noise : SpectrallyExpressible or Noise
        The noise model.
    noise_source : str
        "given", "assumed", "measured on the data", "exactly that of the data" or "estimated from the data".
    stability : Stability
        Status, noise gain, late growth rate, what binds, floor.
    max_learning_rate : float
        The stability edge at this momentum and batch size; 0 where no rate is stable.
    fit : PowerLawFit
        Exponents of the spectrum, and whether it is a power law.
    phase : Phase or None
        None where the spectrum is no power law, or a noise given for it has no constants tau1 and tau2.
    loss, log_loss : float
        Predicted mean loss at T, and its natural logarithm.
    lowest_loss : float
        sigma^2/2, below which no loss falls.
    local_exponent : float
        -dlog(loss - lowest)/dlog t at T; nan where it cannot be computed.
    loss_at_tau2_plus, loss_at_tau2_minus : float or None
        Loss at T if tau1 = 1, tau2 = +1 and -1; None where the noise is not spectrally expressible.
    max_rate_at_tau2_plus, max_rate_at_tau2_minus : float or None
        The edge for these.
    final_loss : float
        Limit of the loss, sigma^2/2 + floor; inf unless it converges.
    floor_step : float
        First step with a loss within 5 % of final_loss; inf without label noise or convergence.
    changes : tuple of Change
        What the best learning rate alone, momentum alone, both, and another batch size at the same number of samples
        would gain at T. Empty where nothing is stable, where the loss is 0, or for a method other than SGD.
    noise_error : float
        Estimated relative error of the loss at T by what the noise model leaves out; nan where it does not know.
    smaller_rate_log_cost : float
        log of the loss at T with a learning rate 10 % smaller, over that of the setting.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.explain(gf.PowerLaw(1.5, 0.5, n_modes=50), gf.SGD(0.5, batch_size=10), 100)
    Explanation(converges, signal-dominated: loss 0.042 at step 100; momentum alone would gain a factor 5.1...)
    """

    lines: tuple[str, ...]
    method: Method
    steps: int
    noise: NoiseModel
    noise_source: str
    stability: Stability
    max_learning_rate: float
    fit: PowerLawFit
    phase: Phase | None
    loss: float
    log_loss: float
    lowest_loss: float
    local_exponent: float
    loss_at_tau2_plus: float | None
    loss_at_tau2_minus: float | None
    max_rate_at_tau2_plus: float | None
    max_rate_at_tau2_minus: float | None
    final_loss: float
    floor_step: float
    changes: tuple[Change, ...]
    noise_error: float
    smaller_rate_log_cost: float

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        from html import escape

        return "<ol>" + "".join(f"<li>{escape(line)}</li>" for line in self.lines) + "</ol>"

    def __repr__(self) -> str:
        name = "no phase" if self.phase is None else self.phase.name
        first = words.most_effective(self.changes)
        gain = "" if first is None else f"; {first.what} alone would gain {words.times(first.log_gain)}"
        return (
            f"Explanation({self.stability.status}, {name}: loss {words.loss(self.loss, self.log_loss)} "
            f"at step {self.steps}{gain})"
        )


@overload
def explain(problem: SoftmaxData, method: Method, steps: int | None = None) -> SoftmaxExplanation: ...


@overload
def explain(
    problem: Problem | LinearData, method: Method, steps: int | None = None, noise: NoiseChoice = None
) -> Explanation: ...


def explain(
    problem: Problem | LinearData | SoftmaxData,
    method: Method,
    steps: int | None = None,
    noise: NoiseChoice = None,
) -> Explanation | SoftmaxExplanation:
    r"""A setting in about ten sentences: status, what binds, phase, times, and what to change first.

    .. math:: \text{gain of a change} = \frac{L(T)\ \text{of the setting}}{L(T')\ \text{after the change}},\qquad
              T' b' = T b

    Every number is the answer of `stability`, `max_learning_rate`, `fit_power_law`, `phase`, `predict`,
    `local_exponent`, `steps_to_loss` or `optimize`.

    **Assumptions.** Those of `predict`; the phase also those of `phase`. The changes are searched for heavy-ball SGD:
    the best learning rate with the momentum kept, the best momentum of -0.99 to 0.99 with the learning rate kept,
    both, and a quarter or four times the batch size at the same number of samples, with the best learning rate for it.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw, LinearData or SoftmaxData
        The spectrum, or the data.
    method : Method
        The setting, e.g. `SGD(0.5, 0.9, 10)`.
    steps : int, optional
        T, 1 to 10^12, the step at which the run is looked at; 1000 if left out.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    Explanation or SoftmaxExplanation
        `.lines`, `str()`, and all the numbers.

    Raises
    ------
    ValueError
        If steps is out of range or the batch is larger than the training set.

    References
    ----------
    arXiv 2206.11124, sections 4-6.

    Examples
    --------
    >>> import genfun as gf
    >>> e = gf.explain(gf.PowerLaw(nu=1.5, zeta=2.0, n_modes=100), gf.SGD(0.4, 0.0, 100), 100)
    >>> print(e.lines[1])
    It converges; in the end the excess loss falls by a factor e every 1,250 steps.
    """
    if isinstance(problem, SoftmaxData):
        return softmax_explain(problem, method, steps, noise)
    t = _check.step("steps", DEFAULT_STEPS if steps is None else steps, 1, "step 1000 is a good start")
    if t > MOST_STEPS:
        raise ValueError(f"steps must be at most 10^12, got {t}; a local exponent and a search need room beyond")
    case = Case.of(problem, method, noise)
    spectrum, model, data = case.problem, case.noise, case.data
    source = "given"
    if noise is None or isinstance(noise, str):
        source = "assumed" if data is None else SOURCES[noise or "measured"]
    end = stability(spectrum, method, model)
    now = predict(spectrum, method, t, model)
    log_loss = float(now.log_loss)
    smaller = with_rate(method, SMALLER * method.learning_rate)
    less = float(predict(spectrum, smaller, t, model).log_loss)
    lowest = case.label_noise
    final = lowest + end.floor if end.status == "converges" else math.inf
    labels = spectrum.noise_variance > 0.0 and math.isfinite(final)
    found = Explanation(
        lines=(),
        method=method,
        steps=t,
        noise=model,
        noise_source=source,
        stability=end,
        max_learning_rate=edge(spectrum, method, model),
        fit=fit_power_law(spectrum),
        phase=_phase_of(case),
        loss=float(now.loss),
        log_loss=log_loss,
        lowest_loss=lowest,
        local_exponent=_slope(spectrum, method, t, model),
        **_band(case, t),
        final_loss=final,
        floor_step=steps_to_loss(spectrum, method, (1.0 + NEAR) * final, model) if labels else math.inf,
        changes=changes(spectrum, method, t, model, log_loss) if type(method) is SGD else (),
        noise_error=float(now.noise_error),
        smaller_rate_log_cost=less - log_loss if math.isfinite(less) and math.isfinite(log_loss) else math.nan,
    )
    return _with_lines(found, spectrum, data, steps is None)


def _band(case: Case, step: int) -> dict[str, float | None]:
    """What tau2 = +1 and -1 would change; nothing to say where the noise has no such constants."""
    names = ("loss_at_tau2_plus", "loss_at_tau2_minus", "max_rate_at_tau2_plus", "max_rate_at_tau2_minus")
    if not isinstance(case.noise, SpectrallyExpressible):
        return dict.fromkeys(names)
    band = loss_band(case.problem, case.method, step)
    ends = (float(band.plus), float(band.minus), *edge_band(case.problem, case.method))
    return dict(zip(names, ends, strict=True))


def _phase_of(case: Case) -> Phase | None:
    """Phases are derived for spectrally expressible noise: that of the case, or what data make of it by themselves."""
    if isinstance(case.noise, SpectrallyExpressible):
        return phase_or_none(case.problem, case.method, case.noise)
    found = None if case.data is None else phase_or_none(case.data, case.method, None)
    if found is None:
        return None
    # The line on the phase says that itself.
    said = replace(case, noise=case.data.noise).stand_in  # pyright: ignore[reportOptionalMemberAccess]
    return replace(found, notes=tuple(note for note in found.notes if note != said))


def _slope(problem: Problem, method: Method, step: int, noise: NoiseModel) -> float:
    with np.errstate(invalid="ignore"):  # where the loss is 0 or infinite there is none
        return float(local_exponent(problem, method, step, noise))


def phase_or_none(
    problem: Problem | LinearData, method: Method, noise: SpectrallyExpressible | None, rough: bool = False
) -> Phase | None:
    """The phase; None where the spectrum is no power law, or the noise has no constants.

    Parameters
    ----------
    problem : Problem or LinearData
    method : Method
    noise : SpectrallyExpressible or None
        None: that of data.
    rough : bool
        Whether a spectrum with exponents that is no clean power law has one too, for the steps where things turn.
    """
    if noise is None and not isinstance(problem, LinearData):
        return None
    try:
        found = phase(problem, method, noise)
        return found if rough or found.is_power_law else None
    except ValueError:
        stability(problem, method, noise)  # refuses the setting, if it is that which is wrong
        return None


def _with_lines(e: Explanation, problem: Problem, data: LinearData | None, chosen: bool) -> Explanation:
    noisy = sampling_factor(e.method.batch_size, problem.n_samples, e.method.replacement) > 0.0
    start = 0.5 * (problem.signal_total + problem.noise_variance)
    parts = (
        f"{setting_words(e.method)}, on {problem_words(problem)}.",
        words.status(e),
        words.binding(e),
        words.power_law(e.fit),
        words.regime(e),
        words.times_of(e),
        words.here(e, start, chosen),
        words.noise_models(
            e, noisy, data.noise_fit if data is not None and e.noise_source == SOURCES["fitted"] else None
        ),
        words.near_edge(e),
        words.floor(e),
        words.advice(e),
        words.batch_advice(e),
    )
    return replace(e, lines=tuple(line for line in parts if line))
