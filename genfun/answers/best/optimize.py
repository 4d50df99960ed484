"""Which learning rate, momentum and batch size are best?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, overload
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from genfun import _check
from genfun.answers.best._curve_search import CurveSearch
from genfun.answers.best._search import Search
from genfun.answers.best._sensitivity import momentum_range, rate_range
from genfun.answers.best.budget import SAMPLES, StepTime
from genfun.answers.best.held_out_optimum import HeldOutOptimum, Objective, held_out_optimum
from genfun.answers.best.optimum import Optimum
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.edge import edge, with_rate
from genfun.engine.many import losses_at
from genfun.engine.settings import Settings
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.family import Family, batch_of
from genfun.methods.sgd import SGD
from genfun.noise import SpectrallyExpressible, for_maps
from genfun.problems.problem import Problem
from genfun.softmax.data import SoftmaxData
from genfun.softmax.optimize import SoftmaxOptimum, softmax_optimize

SIZES, GAP = 13, 0.03
"""Batch sizes of the first pass, and the gap in log b at which halving ends."""
NO_EFFECT = 1e-9
"""Difference in log loss by which momentum must matter at the best learning rate."""
FAR = 0.01
"""Difference in log loss that is none of the search's errors."""
LEAST_SHARE = 1e-9
"""Of the edge, that a search may be kept below."""
SMALLER = 0.9
"""A learning rate that is 10 % smaller."""
MAPPED = 1e-4
"""Error of two losses up to which their ratio is taken as a map has it."""
_KEPT: WeakKeyDictionary[Any, WeakValueDictionary[Any, Optimum]] = WeakKeyDictionary()


@overload
def optimize(
    problem: SoftmaxData,
    batch_size: int | None = None,
    steps: int | None = None,
    momentum: float | None = None,
    *,
    method: Method | None = None,
    objective: Literal["train", "test"] = "train",
    X_test: Any = None,
    y_test: Any = None,
) -> SoftmaxOptimum: ...


@overload
def optimize(
    problem: LinearData,
    batch_size: int | None = None,
    steps: int | None = None,
    momentum: float | None = None,
    *,
    max_share_of_edge: float = 1.0,
    objective: Literal["test", "folds"],
    X_test: Any = None,
    y_test: Any = None,
    X_train: Any = None,
) -> HeldOutOptimum: ...


@overload
def optimize(
    problem: Problem | LinearData,
    batch_size: int | None = None,
    steps: int | None = None,
    momentum: float | None = None,
    noise: NoiseChoice = None,
    budget: float | None = None,
    step_time: StepTime | tuple[float, float] | None = None,
    method: Method | None = None,
    max_share_of_edge: float = 1.0,
    objective: Literal["train"] = "train",
) -> Optimum: ...


def optimize(
    problem: Problem | LinearData | SoftmaxData,
    batch_size: int | None = None,
    steps: int | None = None,
    momentum: float | None = None,
    noise: NoiseChoice = None,
    budget: float | None = None,
    step_time: StepTime | tuple[float, float] | None = None,
    method: Method | None = None,
    max_share_of_edge: float = 1.0,
    objective: Objective = "train",
    X_test: Any = None,
    y_test: Any = None,
    X_train: Any = None,
) -> Optimum | SoftmaxOptimum | HeldOutOptimum:
    r"""The learning rate and momentum, and under a budget the batch size, of least predicted loss.

    .. math:: \min_{\alpha,\beta}\ L(T)\qquad\text{or}\qquad \min_{\alpha,\beta,b}\ L(T(b)),\qquad
              T(b) = \frac{\text{samples}}{b}\ \text{ or }\ \frac{\text{seconds}}{a + c\,b}

    A map over the whole stable region, then closer maps about its best local minima: a global search, as far as the
    first map resolves. Where momentum does not matter, as after a single step, it is 0.

    **Assumptions.** As for `predict`. The momentum is searched up to 0.99, or exp(-10/T) where that is more. Without
    sampling noise (full batch) the loss at a given step depends on the phases of all oscillating modes and has
    hundreds of local minima: the answer is a very good one of them, better than grids, but not surely the least.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw, LinearData or SoftmaxData
        The spectrum. Of a SoftmaxData a small grid, refined about its best point.
    batch_size : int or None
        b; None means that of `method`, else the full batch, or, with a budget, that it is free.
    steps : int or None
        T >= 1; needed unless there is a budget.
    momentum : float or None
        Fixes beta; None searches it.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.
    budget : float or None
        Samples b T; or seconds, if step_time is given.
    step_time : StepTime, (float, float) or None
        (a, c): a step of batch size b takes a + c b seconds; `fit_step_time` fits it to measured times.
    method : Method, Averaged or None
        A method whose class and other hyperparameters are kept, e.g. `SGD(1.0, replacement=True)`; None is SGD. Of an
        `Averaged` the decay of an EMA and the start of a tail are searched too; with sampling="epochs" the loss is that
        of training in epochs. Both are searched from a few starts, some seconds to a minute. Settings whose loss in
        epochs is impossible are passed over; a best one where the theory is not trusted says so, for it need not be.

    max_share_of_edge : float
        Caps the learning rate at this share of the largest stable one, over 0 and at most 1; 1 caps nothing that
        converges. Near the edge the mean is carried by rare runs: 0.8 is a careful choice for single runs.
    objective : "train", "test" or "folds"
        Which loss is least: that on the training samples; that on held-out rows, or without any the leave-one-out
        estimate from the training samples; or the mean over 5 folds.
    X_test, y_test, X_train : array-like or None
        Held-out rows with objective="test", as for `predict_test`; of a SoftmaxData they are needed then.

    Returns
    -------
    Optimum, SoftmaxOptimum or HeldOutOptimum

    Raises
    ------
    ValueError
        If neither or both of steps and budget are given, a value is out of range, no learning rate is stable, or, in
        epochs, no loss is possible.

    References
    ----------
    arXiv 2206.11124, section 6.

    Examples
    --------
    >>> import genfun as gf
    >>> o = gf.optimize(gf.PowerLaw(1.5, 0.5, n_modes=300), batch_size=10, steps=1000)
    >>> o.method.momentum > 0.5, o.at_bound
    (True, False)
    """
    _check.choice("objective", objective, Objective)
    if objective == "train" and not (X_test is None and y_test is None):
        raise ValueError("X_test and y_test go with objective='test', got objective='train'")
    if isinstance(problem, SoftmaxData):
        on, size = _held_out(problem, objective, X_test, y_test), batch_of(method, batch_size)
        return softmax_optimize(problem, size, steps, momentum, noise, budget, step_time, method, on)
    if objective != "train":
        given = {"noise": noise, "budget": budget, "step_time": step_time, "method": method}
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name} is not known with objective={objective!r}, got {value!r}; leave it out")
        rows, share = (X_test, y_test, X_train), _share(max_share_of_edge)
        T = _check.step("steps", steps, 1)
        beta = None if momentum is None else _check.momentum(momentum)
        return held_out_optimum(problem, batch_size, T, beta, objective, rows, share)  # pyright: ignore
    batch_size = batch_of(method, batch_size)
    if (steps is None) == (budget is None):
        raise ValueError(f"give either steps or budget, got steps={steps!r} and budget={budget!r}")
    if momentum is not None:
        momentum = _check.momentum(momentum)
    share = _share(max_share_of_edge)
    if isinstance(method, Averaged) or getattr(method, "sampling", "fresh") == "epochs":
        if steps is None:
            raise ValueError(
                "budget is not known with averaged weights or sampling='epochs'; give steps and batch_size"
            )
        last = _check.step("steps", steps, 1)
        return _of_curves(CurveSearch(problem, batch_size, last, noise, momentum, method, share))
    case, family = Case.of(problem, noise=noise), Family() if method is None else Family(method)
    problem, model = case.problem, case.noise
    if not case.has_finite_trace and not (budget is None and batch_size is None):
        raise ValueError("problem has an infinite trace: no learning rate is stable; set n_modes")
    if steps is not None:
        if step_time is not None:
            raise ValueError(f"step_time goes with a budget, got steps={steps!r}; give budget in seconds instead")
        t = _check.step("steps", steps, 1)
        return _known(problem, (batch_size, t, model, momentum, family, share))
    limit = _check.positive("budget", budget)
    cost = SAMPLES if step_time is None else step_time if isinstance(step_time, StepTime) else StepTime(*step_time)
    most = cost.largest_batch(limit, problem.n_samples)
    if most < 1:
        raise ValueError(f"budget must pay for one step of batch size 1, got {limit!r}")

    def search(b: int) -> Search:
        return Search(problem, b, cost.steps(limit, b), model, momentum, family, share)

    if batch_size is not None:
        return _answer(search(_check.integer("batch_size", batch_size, 1)))
    best = _best_batch(search, most)
    ends = () if most == 1 else ((1, "smallest"), (most, "largest"))
    return _answer(best, tuple(f"batch size {b}, the {end} that was tried" for b, end in ends if b == best.batch))


def _known(problem: Any, asked: tuple[Any, ...]) -> Optimum:
    """The answer to a search; the same, as long as someone has it: an explanation asks again for what was found."""
    size, steps, noise, momentum, family, share = asked
    # Of its template a search varies the rest: the same search begins at any setting.
    asked = size, steps, noise, momentum, Family(family.at(1.0, 0.0, None)), share
    try:
        kept = _KEPT.setdefault(problem, WeakValueDictionary())
        found = kept.get(asked)
    except TypeError:  # a problem, noise or method of a user's own that has no hash
        return _answer(Search(problem, *asked))
    if found is None:
        kept[asked] = found = _answer(Search(problem, *asked))
    return found


def _held_out(data: SoftmaxData, objective: Objective, X_test: Any, y_test: Any) -> SoftmaxData | None:
    if objective == "train":
        return None
    if objective == "folds":
        raise ValueError("objective='folds' is derived for squared loss; of a SoftmaxData use 'test' and held-out rows")
    if X_test is None or y_test is None:
        raise ValueError(
            "objective='test' needs X_test and y_test of a SoftmaxData: leave-one-out is derived for squared loss"
        )
    return data.held_out(X_test, y_test)


def _share(max_share_of_edge: float) -> float:
    share = _check.positive("max_share_of_edge", max_share_of_edge)
    if not LEAST_SHARE <= share <= 1.0:
        raise ValueError(
            f"max_share_of_edge must lie in {LEAST_SHARE:g} .. 1, got {max_share_of_edge!r}; beyond runs diverge"
        )
    return share


def _of_curves(search: CurveSearch) -> Optimum:
    """The answer where every loss took a curve."""
    found, noise = search.answer(), search.case.noise
    curve = predict(search.asked[0], found.method, search.steps, search.asked[1])
    rate = found.method.learning_rate
    result = Optimum(
        method=found.method,
        loss=float(curve.loss),
        steps=search.steps,
        at_bound=bool(found.bounds),
        bounds=found.bounds,
        share_of_edge=found.share,
        gain=max(0.0, 1.0 - math.exp(found.log_loss - found.plain)) if found.method.momentum != 0.0 else 0.0,
        learning_rate_range=found.rates,
        momentum_range=found.momenta,
        loss_band=None,
        noise_error=float(curve.noise_error),
        smaller_rate_cost=math.expm1(search.loss(with_rate(found.method, SMALLER * rate), True) - found.log_loss),
        status=curve.status,
    )
    object.__setattr__(result, "_asked", (search.case.problem, noise, search.most_share))
    return result


def _best_batch(search: Callable[[int], Search], most: int) -> Search:
    """The search at the best batch size: a grid in log b, then halved gaps beside the best."""
    tried: dict[int, tuple[float, Search]] = {}

    def attempt(b: int) -> float:
        if b not in tried:
            there = search(b)
            tried[b] = (there.glance()[2], there)
        return tried[b][0]

    sizes = sorted({int(b) for b in np.rint(np.geomspace(1, most, SIZES))})
    for b in sizes:
        attempt(b)
    while len(tried) > 1:
        known = sorted(tried)
        i = known.index(min(known, key=attempt))
        new = {round(math.sqrt(known[i] * known[j])) for j in (i - 1, i + 1) if 0 <= j < len(known)} - set(known)
        if not new or max(abs(math.log(b / known[i])) for b in new) < GAP:
            break
        for b in new:
            attempt(b)
    return tried[min(tried, key=attempt)][1]


def _answer(search: Search, more_bounds: tuple[str, ...] = ()) -> Optimum:
    noise, free, fixed = search.noise, search.momentum is None, search.momentum or 0.0
    minima, gain = search.best(), 0.0
    without = search.without_momentum() if free else minima[0]
    (x, y, log_loss), curve = search.verified(sorted([*minima, without], key=lambda found: found[2]))
    method = search.setting(x, y)
    if search.most_share < 1.0:
        # The search follows the edge between a few momenta only.
        largest = search.most_share * edge(search.problem, method, noise)
        if method.learning_rate > largest:
            method = with_rate(method, largest)
            curve = predict(search.problem, method, search.steps, noise)
    here = float(curve.loss)
    if free and method.momentum != 0.0:
        gain = max(0.0, 1.0 - math.exp(log_loss - without[2]))
        plain = replace(method, momentum=0.0)
        # It is worse than the best without momentum, and that was found to be far off already.
        far = without[2] - log_loss > FAR
        if not far and plain.learning_rate < search.most_share * edge(search.problem, plain, noise):
            same = predict(search.problem, plain, search.steps, noise)
            # A momentum that changes nothing is none: after a single step, say.
            if abs(float(same.log_loss) - float(curve.log_loss)) <= NO_EFFECT or float(same.loss) == here:
                method, gain = plain, 0.0

    top = edge(search.problem, method, noise)
    bounds = (*search.bounds(x, y), *more_bounds)
    result = Optimum(
        method=method,
        loss=here,
        steps=search.steps,
        at_bound=bool(bounds),
        bounds=bounds,
        share_of_edge=method.learning_rate / top,
        gain=gain,
        learning_rate_range=rate_range(search, method, top),
        momentum_range=momentum_range(search, method) if free else (fixed, fixed),
        loss_band=_loss_band(search, method, here),
        noise_error=float(curve.noise_error),
        smaller_rate_cost=_smaller_rate_cost(search, method, float(curve.log_loss)),
        status=curve.status,
    )
    object.__setattr__(result, "_asked", (search.problem, noise, search.most_share))
    return result


def _loss_band(search: Search, method: Any, here: float) -> tuple[float, float] | None:
    """The loss at tau2 = -tau1 and tau1; None where the noise has no such constants."""
    noise = search.noise
    if not isinstance(noise, SpectrallyExpressible):
        return None

    def loss(tau2: float) -> float:
        if search.quiet or tau2 == noise.tau2:
            return here
        return float(predict(search.problem, method, search.steps, replace(noise, tau2=tau2)).loss)

    return loss(-noise.tau1), loss(noise.tau1)


def _smaller_rate_cost(search: Search, method: Any, log_loss: float) -> float:
    noise, there = search.noise, math.nan
    smaller = with_rate(method, SMALLER * method.learning_rate)
    # Of other methods no map has the pairs that serve them.
    maps = for_maps(noise, abs(method.momentum)) if type(method) is SGD else noise
    if maps is not noise and not search.quiet:
        # Both as in a map: of what that errs by, most is the same in both.
        rates, momenta = np.array([method.learning_rate, smaller.learning_rate]), np.full(2, method.momentum)
        settings = Settings.of(search.problem, search.family, rates, momenta, search.batch, maps)
        found, error = losses_at(settings, search.steps)
        if error.max() <= MAPPED:
            log_loss, there = found.log().tolist()
    if math.isnan(there):
        there = float(predict(search.problem, smaller, search.steps, noise).log_loss)
    if log_loss == there:
        return 0.0
    return math.expm1(min(there - log_loss, 700.0)) if math.isfinite(log_loss) else math.nan
