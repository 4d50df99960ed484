"""How far may one run be from the mean?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array
from genfun.answers.epochs import effective_samples, pairs_of_data
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.quadratic_form import Steps, mean_and_deviation
from genfun.engine.scheduled import sampling_factors
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.problems.problem import Problem
from genfun.sample_space.run_spread import WORK, run_spread, work
from genfun.schedules import ScheduledSGD

MOST_STEPS = 10**6
MOST_AT_ONCE = 32
"""Different steps at which a spread is computed; more are interpolated."""
CONFIDENCE, POWER = 0.975, 0.8
"""Of a two-sided comparison at 5 %, which finds the difference four times in five."""


WIDEST = 0.8
"""Deviation over the mean above the floor, up to which the loss is about lognormal."""
WIDE, RARE, RAREST = 0.7, 0.5, 3.0
"""How rare the kicks may be, see `run_spread`: RAREST, or RARE where the deviation is over WIDE times that mean."""
FEWEST = 80.0
"""Effective samples, see `effective_samples`, from which on it is so of data."""
REPEATED, WIDEST_OF_REPEATED = 2.0, 0.25
"""Different rows for each mode, up to which rows that repeat are those of a one-hot table, and WIDEST of that: each
category's residual falls by a factor with every visit, so that it is as wide as the visits are many, not Gaussian. Runs
on twelve such tables had .88 to 1.11 times the deviation up to here, .8 to 1.7 times beyond."""
SpreadStatus = Literal["ok", "noise uncertain", "spread uncertain", "diverges"]
MEANING: dict[SpreadStatus, str] = {
    "ok": "the deviation is that of the noise model, of data that of their own samples",
    "noise uncertain": "constants fitted to the noise stand for that of these data, which are too many to follow: the "
    "deviation was seen up to 3 times too large or 20 times too small; runs of simulate tell it",
    "spread uncertain": f"the deviation is over {WIDEST} times the mean above the floor, or rare batches carry it, or "
    f"fewer than {FEWEST:.0f} samples carry the features, effectively, or the rows are those of a one-hot table and "
    f"the deviation is over {WIDEST_OF_REPEATED} times that mean: rare runs or few events make the deviation, and "
    "the loss is not lognormal. The deviation of a thousand runs was seen from 0.7 to 2.3 times this one, and 90 % "
    "bands to hold up to 99 % of runs; with so few samples quantiles may be off by orders of magnitude. Runs of "
    "simulate tell them",
    "diverges": "the mean or the deviation left the range of doubles: both are inf from there on, and quantiles nan; "
    "lower the learning rate",
}


@dataclass(frozen=True, eq=False, repr=False)
class Spread(Displayed):
    """The distribution of the loss of single runs, at one step or several.

    Attributes
    ----------
    mean : float or array, as steps are
        Mean loss as `predict` has it.
    sd : float or array
        Standard deviation across runs.
    floor : float
        What no run gets below: sigma^2/2 of the label noise.
    steps : int or integer array, any shape
        As asked for.
    status : str
        "ok", "noise uncertain", "spread uncertain" or "diverges"; `meaning` puts it in words.

    Examples
    --------
    >>> import genfun as gf
    >>> problem, method = gf.LinearProblem([1.0, 0.1], [1.0, 1.0]), gf.SGD(0.2, batch_size=4)
    >>> gf.spread(problem, method, 100)
    Spread(ok: loss ... +- ... at step 100, 90 % of runs in ... .. ...)
    >>> gf.spread(problem, method, [10, 100]).quantile(0.9).shape
    (2,)
    """

    mean: Any
    sd: Any
    floor: float
    steps: Any
    status: SpreadStatus = "ok"

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def _lognormal(self) -> tuple[Any, Any]:
        """Location and width of the logarithm of the loss above the floor; nan where they are beyond doubles."""
        known = np.isfinite(self.mean) & np.isfinite(self.sd)
        excess = np.where(known, self.mean, np.nan) - self.floor
        good = (excess > 0.0) | ~known
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            width = np.where(good, np.log1p((np.asarray(self.sd) / excess) ** 2), 0.0)
            location = np.where(good, np.log(np.maximum(excess, 0.0)) - 0.5 * width, -np.inf)
        return location, np.sqrt(width)

    def quantile(self, q: Any) -> Any:
        """The loss that a share q of the runs stays below; of the shape of q followed by that of the steps.

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
        found = self.floor + np.exp(location + np.multiply.outer(ndtri(shares), width))
        return float(found) if found.ndim == 0 else found

    def probability_above(self, loss: float) -> Any:
        """The share of runs above a loss, at every step.

        Parameters
        ----------
        loss : float
        """
        from scipy.special import ndtr

        level = _check.number("loss", loss)
        location, width = self._lognormal()
        if level <= self.floor:
            found = np.ones(location.shape)
        else:
            distance = location - np.log(level - self.floor)
            with np.errstate(divide="ignore", invalid="ignore"):
                found = np.where(width > 0.0, ndtr(distance / width), (distance > 0.0).astype(float))
            found = np.where(np.isnan(width), np.nan, found)
        return float(found) if found.ndim == 0 else found

    def runs_for(self, relative_difference: float) -> Any:
        r"""Runs of each of two settings that show a difference of their mean losses, at every step.

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
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = np.asarray(self.sd) / (delta * np.asarray(self.mean))
        needed = 2.0 * (ndtri(CONFIDENCE) + ndtri(POWER)) ** 2 * ratio**2
        if not np.isfinite(needed).all():
            raise ValueError("no number of runs will do: the loss has no finite deviation; lower the learning rate")
        found = np.maximum(2, np.ceil(needed)).astype(np.int64)
        return int(found) if found.ndim == 0 else found

    def __repr__(self) -> str:
        last = int(np.argmax(self.steps))
        mean, sd, step = (np.asarray(x).flat[last] for x in (self.mean, self.sd, self.steps))
        low, high = (np.asarray(self.quantile(q)).flat[last] for q in (0.05, 0.95))
        most = f", 90 % of runs in {low:.4g} .. {high:.4g}" if np.isfinite(high) else ""
        return f"Spread({self.status}: loss {mean:.6g} +- {sd:.3g} at step {step}{most})"


def spread(
    problem: Problem | LinearData, method: Method | ScheduledSGD, steps: Any, noise: NoiseChoice = None
) -> Spread:
    r"""The spread of the loss across runs, without training.

    .. math:: M_t = \mathrm E[L(T) \mid x_t] = x_t^TQ_tx_t + 2l_t^Tx_t + \text{const},\qquad
              \operatorname{Var} L(T) = \sum_t \operatorname{Var}(M_{t+1} - M_t)

    **Assumptions.** Fresh batches; the loss of single runs lognormal. Of data the samples themselves are followed, as
    long as that takes less than about 3e10 operations; fourth moments of residuals are those of Gaussian ones. The
    deviation is then within 15 % of that of 1,000 runs below half the stability edge on most tables and kernels. Where
    it exceeds 0.8 times the mean above the floor, .25 times in one-hot tables, rare batches carry it, or fewer than 80
    samples carry the features, effectively, the status says that it is uncertain: up to 45 % off was seen. Of a
    spectrum, spectrally expressible noise, Gaussian and uncorrelated between modes. Larger data bring constants fitted
    to their noise for the deviation relative to the mean above the floor, and the status says so.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    method : Method or ScheduledSGD
        Any method with update matrices; momentum and the memory of the method enter exactly.
    steps : int or array of ints, any shape
        The steps T >= 0, up to 10^6, and to 10^8 / (nodes x square of the method's memory). Of more than 32 different
        ones 32 are computed, and interpolated in log T.
    noise : SpectrallyExpressible, "measured", "exact", "fitted" or None
        None, "measured" and "exact": the samples of data; tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    Spread
        `.mean`, `.sd` and `.quantile(q)` are numbers where steps is one, else of its shape.

    Raises
    ------
    ValueError
        If steps are negative or too many, a noise model is of another kind, or, for a spectrum, a schedule has
        dampening, or a rate of 0 with momentum.

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
    wanted = _check.steps(steps)
    last = int(wanted.max())
    if last > MOST_STEPS:
        raise ValueError(f"steps must be at most {MOST_STEPS} for spread, got {last}")
    own = isinstance(problem, LinearData) and (noise is None or noise in ("measured", "exact"))
    if not isinstance(method, ScheduledSGD):
        _check.method(method)
    options = getattr(method, "options", "")
    if own and "averaged" not in options:
        case = Case.of(problem, method, "exact", "spread", knows_options=True, knows_schedules=True)
    else:
        case = Case.of(problem, method, None if own else noise, "spread", knows_schedules=True)
    if not isinstance(method, ScheduledSGD):
        _check.rates(method.learning_rate, case.problem.lambda_max)
    if case.explodes or not case.has_finite_trace:
        raise ValueError("problem has an infinite sum of eigenvalues, and no run has a finite mean loss; use larger nu")
    unique, inverse = np.unique(wanted, return_inverse=True)
    some = unique
    if unique.size > MOST_AT_ONCE:
        some = np.unique(unique[np.searchsorted(unique, np.geomspace(max(unique[0], 1), last, MOST_AT_ONCE))])
        some = np.union1d(some, unique[[0, -1]])
    exactly = own and _affordable(case, some)
    status: SpreadStatus = "ok" if exactly or not own else "noise uncertain"
    found = np.array(
        [run_spread(case.data, method, t) if exactly else (*_of_spectrum(case, t, own), 0.0) for t in some.tolist()]
    )
    rarest, found = float(found[:, 2].max()), found[:, :2]
    if unique.size > some.size:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.interp(np.log1p(unique), np.log1p(some), found[:, 1] / (found[:, 0] - case.label_noise))
            mean = predict(problem, method, unique, "fitted" if noise == "fitted" else noise).loss
            found = np.stack([mean, share * (mean - case.label_noise)], axis=1)
    beyond = ~np.isfinite(found).all(axis=1)
    found[beyond, 1] = np.inf
    found[np.isnan(found[:, 0]), 0] = np.inf
    mean, sd = (np.reshape(x[inverse.ravel()], wanted.shape) for x in found.T)
    if beyond.any():
        status = "diverges"
    elif status == "ok" and _uncertain(np.asarray(mean), np.asarray(sd), case, own, rarest):
        status = "spread uncertain"
    if wanted.ndim == 0:
        return Spread(float(mean), float(sd), case.label_noise, last, status)
    return Spread(mean, sd, case.label_noise, wanted, status)


def _uncertain(mean: Array, sd: Array, case: Case, own: bool, rarest: float) -> bool:
    """Whether the law of the loss is not lognormal with this deviation, or the deviation not known."""
    above = np.maximum(mean - case.label_noise, 0.0)
    spreads = sd > 1e-12 * mean
    if not spreads.any():
        return False
    few = own and case.data is not None and effective_samples(pairs_of_data(case.data)) < FEWEST
    widest = WIDE if rarest > RARE else WIDEST
    if own and case.data is not None and _one_hot(case.data):
        widest = WIDEST_OF_REPEATED
    return few or rarest > RAREST or bool((spreads & (sd > widest * above)).any())


def _one_hot(data: LinearData) -> bool:
    """Whether rows of features repeat, and few are different: those of one categorical column."""
    direction = np.sin(np.arange(1.0, data.rank + 1.0) ** 2)
    seen = np.sort(np.asarray(data.eigenfeatures) @ (direction / np.sqrt(data.problem.eigenvalues)))
    different = 1 + int((np.diff(seen) > 1e-9 * np.abs(seen).max()).sum())
    return different <= min(REPEATED * data.rank, 0.5 * data.n_samples)


def _affordable(case: Case, steps: Array) -> bool:
    data = case.data
    return data is not None and sum(work(data, case.method, int(t)) for t in steps) <= WORK


def _of_spectrum(case: Case, last: int, own: bool) -> tuple[float, float]:
    """By modes; of data too large to follow, relative to the mean loss of their own noise."""
    noise = case.data.noise if own and case.data is not None else case.expressible
    mean, deviation = mean_and_deviation(case.problem, noise, _steps(case, last))
    if not own or case.data is None:
        return mean, deviation
    exact = float(predict(case.data, case.method, last).loss)
    above = mean - case.label_noise
    return exact, deviation * (exact - case.label_noise) / above if above > 0.0 else deviation


def _steps(case: Case, last: int) -> Steps:
    method = case.method
    if getattr(method, "options", ""):
        raise ValueError(
            f"{method.options}: the spread is derived for data small enough to be followed, not for a spectrum"
        )
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
