"""How many steps and samples does a loss take at every batch size, and at which batch size are samples fewest?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard

import numpy as np

from genfun import _check
from genfun._display import Displayed
from genfun._typing import Array, Float
from genfun.answers.batch._batch_search import LARGEST, BatchSearch
from genfun.answers.batch.tuned import CAP, Tuned, tuned_steps
from genfun.answers.best.budget import SAMPLES, StepTime
from genfun.answers.exponents.fit import fit_power_law
from genfun.answers.stability import stability
from genfun.answers.steps_to_loss import steps_to_loss
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.methods.base import Method
from genfun.methods.family import Family
from genfun.noise import NoiseModel, SpectrallyExpressible
from genfun.problems.problem import Problem
from genfun.schedules.scheduled_sgd import ScheduledSGD

Status = Literal["ok", "smallest", "largest", "unreachable"]
MEANING: dict[Status, str] = {
    "ok": "samples are fewest at an interior batch size",
    "smallest": "samples are fewest at the smallest batch size: there is no interior optimum",
    "largest": "samples are fewest at the largest batch size that was allowed: there is no interior optimum",
    "unreachable": "the loss is not reached at any batch size",
}
SHARES = (0.05, 0.1, 0.2, 0.5)
"""More samples than least, as a fraction, that the ranges stand for."""
ATTEMPTS, CLOSE = (400, 24), (1.02, 1.2)
"""Batch sizes tried to prove the least, and the ratio of neighbours to which ends are located: given, tuned."""
BEST_RATE = Tuned(0.0)

MethodOfSize = Callable[[int], Any]


@dataclass(frozen=True)
class ClosedForm:
    r"""Steps against batch size at a fixed rate in the signal-dominated phase.

    .. math:: K(b) = K_\infty\,(1 - \gamma(b)\,u_1)^{-1/\zeta},\qquad b^* = u_1\,(1 + 1/\zeta)
              \quad(\gamma = 1/b)

    Parameters
    ----------
    limit : float
        K_inf, steps with full batches.
    noise_gain : float
        u_1 = U~(1) at gamma = 1; label noise multiplies it by 1 + sigma^2/(2 tau1 (loss - sigma^2/2)), because the
        floor it leaves falls with the batch too.
    zeta : float
        Source exponent.
    n_samples : int or None
        N; with N finite, gamma(b) = (N-b)/((N-1) b) and b* = (1+1/zeta) u_1 N/(N-1+u_1).

    Examples
    --------
    >>> c = ClosedForm(100.0, 0.5, 1.0, None)
    >>> c.batch_size, round(c.steps(2), 3)
    (1.0, 133.333)
    """

    limit: float
    noise_gain: float
    zeta: float
    n_samples: int | None

    @property
    def batch_size(self) -> float:
        """b*, at least 1."""
        n = self.n_samples
        share = 1.0 if n is None else n / (n - 1.0 + self.noise_gain)
        return max(1.0, self.noise_gain * share * (1.0 + 1.0 / self.zeta))

    def steps(self, batch_size: Any) -> Any:
        """K(b); inf where the noise gain reaches 1.

        Parameters
        ----------
        batch_size : int or array
            b.
        """
        b, n = np.asarray(batch_size, dtype=np.float64), self.n_samples
        gamma = 1.0 / b if n is None else (n - b) / ((n - 1.0) * b)
        left = 1.0 - gamma * self.noise_gain
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(left > 0.0, self.limit * np.maximum(left, 0.0) ** (-1.0 / self.zeta), np.inf)
        return found if found.ndim else float(found)


@dataclass(frozen=True, eq=False, repr=False)
class CriticalBatch(Displayed):
    """Steps and samples to a loss against batch size.

    Attributes
    ----------
    batch_size : int or None
        b*, where samples K(b) b are fewest; None if the loss is never reached.
    interval : (int, int) or None
        Batch sizes with at most 10 % more samples than least.
    batch_sizes : array, shape (m,)
        Batch sizes that were tried, ascending.
    steps : array, shape (m,)
        K(b); inf where the loss is never reached.
    samples : array, shape (m,)
        K(b) b, the SFO complexity.
    methods : tuple of length m
        The setting at every batch size; None where tuning found none.
    loss : float
        The target.
    status : str
        "ok", "smallest", "largest" or "unreachable"; `meaning` puts it in words.
    ranges : dict of float to (int, int)
        For 0.05, 0.1, 0.2, 0.5: batch sizes with at most this share more samples than least.
    proven : bool
        Whether no whole batch size between the tried ones needs fewer samples.
    closed_form : ClosedForm or None
        The signal-phase formula beside it, where the setting is fixed and zeta known.
    fastest : (int, float) or None
        Batch size of least time and the time in seconds, where a step time was given.
    notes : tuple of str
        What to know.

    Examples
    --------
    >>> import genfun as gf
    >>> critical_batch_size(gf.PowerLaw(1.5, 0.25), gf.SGD(0.5), loss=0.1)
    CriticalBatch(ok: batch size ...
    """

    batch_size: int | None
    interval: tuple[int, int] | None
    batch_sizes: Float[Array, " m"] | Any
    steps: Float[Array, " m"]
    samples: Float[Array, " m"]
    methods: tuple[Any, ...]
    loss: float
    status: Status
    ranges: dict[float, tuple[int, int]]
    proven: bool
    closed_form: ClosedForm | None
    fastest: tuple[int, float] | None
    notes: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """The status in words."""
        return MEANING[self.status]

    def __repr__(self) -> str:
        if self.batch_size is None or self.interval is None:
            return f"CriticalBatch(unreachable: loss {self.loss:.4g} is not reached at any batch size)"
        i = int(np.searchsorted(self.batch_sizes, self.batch_size))
        low, high = self.interval
        return (
            f"CriticalBatch({self.status}: batch size {self.batch_size} ({low} .. {high} within 10 %), "
            f"{self.steps[i]:.0f} steps, {self.samples[i]:.4g} samples to loss {self.loss:.4g})"
        )


class _Counter:
    """K(b) of a setting, of a family, or tuned; remembers the settings."""

    def __init__(self, problem: Problem, what: Method | Tuned | MethodOfSize, loss: float, noise: NoiseModel) -> None:
        self.problem, self.what, self.loss, self.noise = problem, what, loss, noise
        self.methods: dict[int, Any] = {}

    def __call__(self, b: int) -> float:
        if isinstance(self.what, Tuned):
            steps, self.methods[b] = tuned_steps(self.problem, b, self.loss, self.what, self.noise)
            return steps
        if _is_method(self.what):
            method = sized(self.what, b)
        else:
            method: Any = self.what(b)  # pyright: ignore[reportCallIssue]
            if not (_is_method(method) or isinstance(method, ScheduledSGD)):
                raise TypeError(f"method must return an SGD or a ScheduledSGD, got {method!r} at batch size {b}")
        self.methods[b] = method
        return steps_to_loss(self.problem, method, self.loss, self.noise)


def critical_batch_size(
    problem: Problem | LinearData,
    method: Method | Tuned | MethodOfSize = BEST_RATE,
    *,
    loss: float,
    batch_sizes: Any = None,
    noise: NoiseChoice = None,
    step_time: StepTime | tuple[float, float] | None = None,
) -> CriticalBatch:
    r"""Steps and samples to a loss at every batch size, and the batch size of fewest samples.

    .. math:: K(b) = \min\{t : E\,L_b(t) \le \ell\},\qquad b^* = \arg\min_b\ K(b)\,b

    At a fixed or a tuned setting K never rises with b, so that no batch size between b1 and b2 needs fewer than
    K(b2)(b1 + 1) samples: branch and bound over whole batch sizes finds b*, and `proven` says whether it got there. Of
    a family of settings the best that was found is given.

    **Assumptions.** Those of `steps_to_loss`. Batch sizes up to N, or 2^20 on streaming data.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    method : Method, Tuned or callable
        What is run at batch size b: an `SGD` or another method, its batch size ignored; the best rate, or rate and
        momentum, at every b, by `Tuned`; or a family b -> Method or ScheduledSGD.
    loss : float
        The target, > 0.
    batch_sizes : array of int, optional
        Try these alone; by default 1, 2, 4, ... and what the search for b* needs.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    step_time : StepTime or (float, float), optional
        (a, c): a step of batch size b takes a + c b seconds. Gives the batch size of least time as well.

    Returns
    -------
    CriticalBatch

    Raises
    ------
    ValueError
        If loss <= 0 or a batch size is out of range.
    TypeError
        If the method is of another kind.

    References
    ----------
    arXiv 2402.15344 (SFO complexity and the critical batch); the closed form is derived from arXiv 2206.11124,
    section 5.

    Examples
    --------
    >>> import genfun as gf
    >>> c = critical_batch_size(gf.PowerLaw(1.5, 0.5), gf.SGD(0.5), loss=0.01)
    >>> c.batch_size, c.interval, round(c.closed_form.batch_size, 1)
    (2, (2, 2), 2.0)
    """
    target = _check.positive("loss", loss, "the mean loss never reaches 0; pass a small positive loss")
    if isinstance(method, ScheduledSGD) or not (_is_method(method) or isinstance(method, Tuned) or callable(method)):
        raise TypeError(
            f"method must be an SGD, a Tuned or a function of the batch size, got {type(method).__name__}; "
            "pass e.g. lambda b: ScheduledSGD(Cosine(0.5, 1000), batch_size=b)"
        )
    if _is_method(method):
        Family(method)  # refuses what has no batch size to change
    _check.options(method, nesterov=False)
    case = Case.of(problem, noise=noise)
    problem, model = case.problem, case.noise
    counter = _Counter(problem, method, target, model)
    search = BatchSearch(counter, SAMPLES.seconds)
    tuned, last = isinstance(method, Tuned), problem.n_samples or LARGEST
    monotone = tuned or _is_method(method)
    proven = False
    if batch_sizes is not None:
        wanted = np.unique(np.atleast_1d(batch_sizes)).tolist()
        if not wanted:
            raise ValueError(f"batch_sizes must not be empty, got {batch_sizes!r}; leave it out to search")
        for b in wanted:
            search.cost(_check.integer("batch_sizes", b, 1))
    elif target < case.label_noise:
        search.cost(last)
    else:
        search.double(last)
    if not np.isfinite(search.cost(search.best())):
        return _result(counter, search, target, None)
    if batch_sizes is None:
        if monotone:
            proven = search.prove(ATTEMPTS[tuned])
        else:
            search.refine(CLOSE[0])
    fastest = None
    if step_time is not None:
        clock = step_time if isinstance(step_time, StepTime) else StepTime(*step_time)
        timed = BatchSearch(search.steps, clock.seconds)
        timed.known = search.known
        if batch_sizes is None:
            # Beyond the doubling, time may still fall: to the batch size where steps hardly do.
            b = max(search.known)
            while b < last and timed.best() == b:
                b = min(2 * b, last)
                timed.cost(b)
            if monotone:
                timed.prove(ATTEMPTS[tuned])
            else:
                timed.refine(CLOSE[0])
        fastest = (timed.best(), float(timed.cost(timed.best())))
    close = CLOSE[not monotone or tuned] if batch_sizes is None else np.inf
    least = search.cost(search.best())
    ends = {s: tuple(search.end((1.0 + s) * least, side, close) for side in (-1, 1)) for s in SHARES}
    closed = _closed_form(problem, method, target, model) if _is_method(method) else None
    return _result(counter, search, target, ends, proven, closed, fastest)


def _is_method(what: Any) -> TypeGuard[Method]:
    """Whether it is a setting: what its class promises, not a function of the batch size."""
    return not isinstance(what, (type, Tuned, ScheduledSGD)) and isinstance(what, Method)


def sized(method: Any, batch_size: int | None) -> Any:
    """The method at another batch size.

    Parameters
    ----------
    method : Method
        A dataclass.
    batch_size : int or None
    """
    return replace(method, batch_size=batch_size)


def _closed_form(problem: Problem, setting: Method, loss: float, noise: NoiseModel) -> ClosedForm | None:
    """None where the signal is no power law or does not dominate, or the noise gain has no finite value."""
    fit = fit_power_law(problem)
    zeta, excess = fit.zeta, loss - 0.5 * problem.noise_variance
    if not fit.is_power_law or zeta >= 2.0 - 1.0 / fit.nu or excess <= 0.0:
        return None
    tau1 = noise.tau1 if isinstance(noise, SpectrallyExpressible) else 1.0
    if tau1 == 0.0:
        return None
    gain = stability(problem, sized(setting, 1), noise).noise_gain
    limit = steps_to_loss(problem, sized(setting, None), loss, noise)
    if not (np.isfinite(gain) and np.isfinite(limit) and gain > 0.0):
        return None
    gain *= 1.0 + problem.noise_variance / (2.0 * tau1 * excess)
    return ClosedForm(limit, gain, zeta, None if setting.replacement else problem.n_samples)


def _result(
    counter: _Counter,
    search: BatchSearch,
    loss: float,
    ranges: Any,
    proven: bool = False,
    closed: ClosedForm | None = None,
    fastest: tuple[int, float] | None = None,
) -> CriticalBatch:
    sizes = np.array(sorted(search.known), dtype=np.int64)
    steps = np.array([search.steps(int(b)) for b in sizes])
    methods = tuple(counter.methods.get(int(b)) for b in sizes)
    if ranges is None:
        return CriticalBatch(
            None, None, sizes, steps, steps * sizes, methods, loss, "unreachable", {}, False, None, None
        )
    best, notes = search.best(), []
    status: Status = "smallest" if best == sizes[0] else "largest" if best == sizes[-1] else "ok"
    found = counter.methods.get(best)
    if isinstance(counter.what, Tuned) and counter.what.momentum is None and found is not None:
        if abs(found.momentum) > CAP - 1e-3:
            notes.append(f"the best momentum is {found.momentum:.3g}, the largest that was tried")
    return CriticalBatch(
        best,
        ranges[0.1],
        sizes,
        steps,
        steps * sizes,
        methods,
        loss,
        status,
        ranges,
        proven,
        closed,
        fastest,
        (*notes,),
    )
