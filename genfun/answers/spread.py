"""How far may one run be from the mean?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.quadratic_form import Steps, mean_and_deviation
from genfun.engine.scheduled import sampling_factors
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.problems.problem import Problem
from genfun.schedules import ScheduledSGD

MOST_STEPS = 10**6
CONFIDENCE, POWER = 0.975, 0.8
"""Of a two-sided comparison at 5 %, which finds the difference four times in five."""


@dataclass(frozen=True, repr=False)
class Spread(Displayed):
    """The distribution of the loss of single runs, at one step.

    Attributes
    ----------
    mean : float
        Mean loss as `predict` has it.
    sd : float
        Standard deviation across runs.
    floor : float
        What no run gets below: sigma^2/2 of the label noise.
    steps : int
        The step.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.spread(gf.LinearProblem([1.0, 0.1], [1.0, 1.0]), gf.SGD(0.2, batch_size=4), 100)
    Spread(loss ... +- ... at step 100, 90 % of runs in ... .. ...)
    """

    mean: float
    sd: float
    floor: float
    steps: int

    def _lognormal(self) -> tuple[float, float]:
        """Location and width of the logarithm of the loss above the floor."""
        excess = self.mean - self.floor
        if excess <= 0.0:
            return -np.inf, 0.0
        width = np.log1p((self.sd / excess) ** 2)
        return float(np.log(excess) - 0.5 * width), float(np.sqrt(width))

    def quantile(self, q: Any) -> Any:
        """The loss that a share q of the runs stays below, a number or an array as q is.

        The loss above the floor is taken as lognormal with this mean and deviation.

        Parameters
        ----------
        q : float or array
            Shares strictly between 0 and 1.

        Raises
        ------
        ValueError
            If a share is outside (0, 1).
        """
        from scipy.special import ndtri

        shares = np.asarray(q, dtype=np.float64)
        if not ((shares > 0.0) & (shares < 1.0)).all():
            raise ValueError(f"q must lie strictly between 0 and 1, got {q!r}; 0.5 is the median")
        location, width = self._lognormal()
        found = self.floor + np.exp(location + width * ndtri(shares))
        return float(found) if found.ndim == 0 else found

    def probability_above(self, loss: float) -> float:
        """The share of runs that end above a loss.

        Parameters
        ----------
        loss : float
        """
        from scipy.special import ndtr

        level = _check.number("loss", loss)
        location, width = self._lognormal()
        if level <= self.floor:
            return 1.0
        distance = location - np.log(level - self.floor)
        return float(ndtr(distance / width)) if width > 0.0 else float(distance > 0.0)

    def runs_for(self, relative_difference: float) -> int:
        r"""Runs of each of two settings that show a difference of their mean losses.

        .. math:: n = 2 (z_{.975} + z_{.8})^2 \left(\frac{\mathrm{sd}}{\delta\,\mathrm{mean}}\right)^2

        **Assumptions.** Independent runs, both settings with this deviation; a two-sided test at 5 % that finds the
        difference with probability .8, and at least two runs to know a deviation at all.

        Parameters
        ----------
        relative_difference : float
            delta > 0, e.g. 0.05 for 5 % of the loss.
        """
        from scipy.special import ndtri

        delta = _check.positive("relative_difference", relative_difference, "0.05 is 5 %")
        needed = 2.0 * (ndtri(CONFIDENCE) + ndtri(POWER)) ** 2 * (self.sd / (delta * self.mean)) ** 2
        if not np.isfinite(needed):
            raise ValueError("no number of runs will do: the loss has no finite deviation; lower the learning rate")
        return max(2, int(np.ceil(needed)))

    def __repr__(self) -> str:
        low, high = self.quantile([0.05, 0.95])
        return (
            f"Spread(loss {self.mean:.6g} +- {self.sd:.3g} at step {self.steps}, "
            f"90 % of runs in {low:.4g} .. {high:.4g})"
        )


def spread(
    problem: Problem | LinearData, method: Method | ScheduledSGD, steps: int, noise: NoiseChoice = None
) -> Spread:
    r"""The spread of the loss across runs, without training.

    .. math:: M_t = \mathrm E[L(T) \mid x_t] = \tfrac12\sum_k x_k^TQ_{t,k}\,x_k + \text{const},\qquad
              \operatorname{Var} L(T) = \sum_t \operatorname{Var}(M_{t+1} - M_t)

    **Assumptions.** Fresh batches and spectrally expressible noise, Gaussian and uncorrelated between modes given the
    state; the loss of single runs lognormal. Data bring their fitted constants, for the deviation relative to the mean
    above the floor; the mean is that of their measured noise. Good to about 30 % of the deviation below half the
    stability edge; above, rare runs carry it. Too small by a factor of 2 to 4 for a few samples in as many Fourier
    modes, whose noise is one vector of fixed length at each step.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    method : Method or ScheduledSGD
        Any method with update matrices; momentum and the memory of the method enter exactly.
    steps : int
        The step T >= 0, up to 10^6, and to 10^8 / (nodes x square of the method's memory).
    noise : SpectrallyExpressible, "fitted" or None
        None: the fitted noise of data, or tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    Spread

    Raises
    ------
    ValueError
        If steps are negative or too many, the noise is not spectrally expressible, or a schedule has dampening, or a
        rate of 0 with momentum.

    References
    ----------
    arXiv 2206.11124, eq. (8), for the second moments that it rests on.

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    >>> one, many = (gf.spread(problem, gf.SGD(0.2, batch_size=b), 100) for b in (1, 16))
    >>> one.sd > many.sd, one.runs_for(0.05) > many.runs_for(0.05)
    (True, True)
    >>> round(one.probability_above(one.quantile(0.9)), 6)
    0.1
    """
    last = _check.integer("steps", steps, 0)
    if last > MOST_STEPS:
        raise ValueError(f"steps must be at most {MOST_STEPS} for spread, got {last}")
    case = Case.of(problem, method, noise, only_expressible="spread")
    if case.explodes or not case.has_finite_trace:
        raise ValueError("problem has an infinite sum of eigenvalues, and no run has a finite mean loss; use larger nu")
    mean, deviation = mean_and_deviation(case.problem, case.expressible, _steps(case, last))
    if case.data is not None and noise is None and not isinstance(method, ScheduledSGD):
        # The deviation relative to the loss is what the fitted constants are good for.
        own = float(predict(problem, method, last).loss)
        above = mean - case.label_noise
        deviation, mean = (deviation * (own - case.label_noise) / above if above > 0.0 else deviation), own
    return Spread(mean, deviation, case.label_noise, last)


def _steps(case: Case, last: int) -> Steps:
    method = case.method
    if not isinstance(method, ScheduledSGD):
        constant = [np.full(last, float(h)) for h in (method.learning_rate, *method.hyperparameters, case.gamma)]
        return Steps(method.update, constant[0], constant[1:-1], constant[-1])
    rates, momenta, sizes = method.at(np.arange(last))
    gammas = sampling_factors(case.problem, method, sizes, last)
    if method.dampening > 0.0:
        raise ValueError(f"method.dampening must be 0 for spread, got {method.dampening!r}")
    if method.convention == "torch":
        momenta = _as_keras(rates, momenta)
    return Steps(SGD.update, rates, [momenta], gammas)


def _as_keras(rates: Array, momenta: Array) -> Array:
    """The momentum of v/-alpha as that of v: beta_t alpha_t/alpha_{t-1}."""
    if momenta.size < 2 or not momenta.any():
        return momenta
    if (rates[:-1] <= 0.0).any():
        raise ValueError("method.learning_rate must stay above 0 where there is momentum; end the schedule earlier")
    return momenta * np.concatenate(([1.0], rates[1:] / rates[:-1]))
