"""Which learning rates, step by step, give the least loss; and which simple ones come near?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from genfun import _check
from genfun.answers.best._batch_ramps import ramps
from genfun.answers.best._moving_momentum import GAPS, MOST_SHARE, Edges, best_constant, free_settings, moving
from genfun.answers.best._own_noise import MOST_STEPS as OWN_STEPS
from genfun.answers.best._own_noise import own_losses
from genfun.answers.best._rate_families import best_families, free_rates, polished, searched, tail_average
from genfun.answers.best.schedule_answer import (
    FITTED_NOISE,
    HOLD,
    MOVING,
    NOISE_MODEL,
    OWN_NOISE,
    TAIL,
    BestSchedule,
    over,
)
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.adjoint import RateGradient
from genfun.engine.edge import edge
from genfun.methods.averaged import Averaged
from genfun.methods.sgd import SGD
from genfun.problems.problem import Problem
from genfun.schedules import ScheduledSGD, Table
from genfun.schedules.trapezoid import HoldThenLinear

MOST_STEPS = 10**6
"""No free optimum is looked for over more."""


def best_schedule(
    problem: Problem | LinearData,
    batch_size: int | None = 1,
    steps: int = 2000,
    momentum: float | None = 0.0,
    noise: NoiseChoice = None,
    share_of_edge: float = 0.8,
    samples: float | None = None,
) -> BestSchedule:
    r"""The best simple schedule of the learning rate, measured by the best of all.

    .. math:: \min_{\alpha_0,\dots,\alpha_{T-1} \le c\,\alpha_{edge}} L(T)\quad\text{(the yardstick)},\qquad
              \min_{\alpha, h} L(T)\ \text{for}\ \alpha_t = \alpha\min\left(1, \tfrac{1-t/T}{1-h}\right)

    The free optimum is found by its gradient in one backward pass. The answer is "hold, then linear to 0" with tuned
    peak and share h, or the family that beats it: constant, linear, cosine, "wsd" (hold for 80 %), "inverse sqrt"
    (1/sqrt(1 + 10 t/T)), "halving" (at 1/2, 3/4, 7/8, ... of the steps), "inverse time" (1/(1 + t/t_0), t_0 tuned; for
    flat spectra under label noise), "warm-up, hold, linear" (tuned rise; for steep noise-dominated problems). Beside it
    stands a constant rate whose last weights are averaged, with tuned rate and first step. A momentum left open is the
    best constant one, or one that moves, 1 - beta_t = max(.01, k1/(t + k1), k2/(T - t + k2)). With a number of samples,
    "batch ramp" (constant rate, batches growing to 2-64 times) and "seesaw" (rate over the root of 2 and twice the
    batch at 1/2, 3/4, 7/8, ... of the samples) are tried too.

    **Assumptions.** Those of `predict` under a schedule: fresh batches and spectrally expressible noise. Of data, peaks
    and shapes are tuned with their fitted constants, and the best of every family are compared by the data's own
    measured noise, up to 3,000 steps; beyond, or with noise="fitted", by those constants too, and `noise_error` says
    what that is worth. The cap is a share of the edge of that noise or, where it is smaller, of the data's own: without
    a cap, the best rates jump far beyond the edge and the least error in the noise is fatal. Rates under a momentum
    that moves have a cap of half the edge at most. The free optimum is the better of two local searches over 24 knots.
    Where steps times modes exceed a million, searches run on fewer nodes, the last descent and all losses on all.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw or LinearData
    batch_size : int or None
        b; None means the full batch. With `samples`, that of the first step.
    steps : int
        T, from 2 to 10^6.
    momentum : float or None
        beta in (-1, 1), the same at every step, in torch's convention. None chooses.
    noise : SpectrallyExpressible, "fitted" or None
        None: that of data, as above, or tau1 = tau2 = 1 for a spectrum.
    share_of_edge : float
        c in (0, 1], dimensionless; at .8 the loss still falls if the rate is 20 % larger.
    samples : float or None
        All that may be drawn; in place of `steps`, of which there are then samples/batch_size, fewer where batches
        grow.

    Returns
    -------
    BestSchedule

    Raises
    ------
    ValueError
        If a number is out of range, no learning rate is stable, or the noise is not spectrally expressible.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    arXiv 2206.11124, eq. (8) (the recursion that is minimised); arXiv 2405.18392 (hold, then fall); arXiv 2510.14717
    (Seesaw).

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.LinearProblem([1.0, 0.1], [1.0, 1.0], noise_variance=0.1)
    >>> best = gf.best_schedule(problem, steps=200)
    >>> best.loss < gf.optimize(problem, batch_size=1, steps=200, momentum=0.0).loss
    True
    >>> 1.0 <= best.gaps["hold then linear"] < 1.02, best.gaps["constant"] > 1.02
    (True, True)
    """
    last = _steps(batch_size, steps, samples)
    share = _check.positive("share_of_edge", share_of_edge, "0.8 is safe")
    if share > 1.0:
        raise ValueError(f"share_of_edge must be at most 1, got {share!r}; beyond the edge the loss grows")
    setting = SGD(1.0, 0.0 if momentum is None else momentum, batch_size)
    case = Case.of(problem, setting, noise, only_expressible="best_schedule")
    limit, whose = _smaller_edge(case, setting)
    if limit <= 0.0 or case.explodes:
        raise ValueError("problem has no stable learning rate: its eigenvalues have an infinite sum; use a larger nu")
    edges = None
    if momentum is None:
        edges = Edges(np.array([_smaller_edge(case, SGD(1.0, 1.0 - gap, batch_size))[0] for gap in GAPS]))
        beta = best_constant(lambda b, most: _glance(case, b, most, last), edges, share)
        setting = SGD(1.0, beta, batch_size)
        limit, whose = _smaller_edge(case, setting)
    cap, every = share * limit, np.arange(last)
    engine = RateGradient(case.problem, case.expressible, setting.momentum, case.gamma, last, cap)
    held = np.full(last, setting.momentum)

    def excess(some: RateGradient, schedule: Any) -> float:
        return some.excess(np.ascontiguousarray(schedule(every)))

    tuned = searched(lambda some: best_families(partial(excess, some), cap, last), engine, partial(excess, engine))
    methods = {name: ScheduledSGD(rate, setting.momentum, batch_size) for name, (rate, _) in tuned.items()}
    values = {name: value for name, (_, value) in tuned.items()}
    simple = min(tuned, key=lambda key: (values[key], key != HOLD))
    starts = [(tuned[name][0](every), held) for name in (simple, "constant")]
    if edges is None:
        rates, least = polished(lambda some, first: free_rates(some, cap, last, first), engine, [x for x, _ in starts])
        free = (rates, held, least)
    else:
        wide = RateGradient(case.problem, case.expressible, 0.0, case.gamma, last, float(edges.limits.max()), 0.99)
        most = min(MOST_SHARE, share)
        form, values[MOVING] = searched(
            lambda some: {MOVING: moving(some, edges, last, most)}, wide, lambda pair: wide.excess(*pair)
        )[MOVING]
        methods[MOVING] = ScheduledSGD(Table(form[0]), Table(form[1]), batch_size)
        starts[1] = form
        pair, least = polished(lambda some, first: free_settings(some, edges, share, last, first), wide, starts)
        free = (pair[0], pair[1], least)
    best_start = min(
        zip(starts, (simple, MOVING if edges is not None else "constant"), strict=True), key=lambda p: values[p[1]]
    )
    if values[best_start[1]] < free[2]:
        free = (best_start[0][0], best_start[0][1], values[best_start[1]])
    if samples is not None and batch_size is not None:
        for name, (rate, sizes, value) in ramps(engine, cap, batch_size, samples, case.problem.n_samples).items():
            methods[name], values[name] = ScheduledSGD(Table(rate), setting.momentum, Table(sizes)), value
    rate, start, values[TAIL] = tail_average(engine, cap, last, (float(tuned["constant"][0].initial), cap))
    averaged = Averaged(SGD(rate, setting.momentum, batch_size), "tail", start=start)
    losses, least = {key: case.label_noise + value for key, value in values.items()}, case.label_noise + free[2]
    asked, whose_loss = case.problem, NOISE_MODEL if case.data is None else FITTED_NOISE
    of_schedule: Callable[[ScheduledSGD, int], float] = lambda m, t: float(predict(asked, m, t, case.noise).loss)  # noqa: E731
    own = case.data is not None and noise is None and max(m.length or last for m in methods.values()) <= OWN_STEPS
    if own:
        whose_loss, of_schedule = OWN_NOISE, own_losses(case, setting.momentum)
        losses = {key: of_schedule(m, m.length or last) for key, m in methods.items()}
        losses[TAIL] = float(predict(problem, averaged, last).loss)
    name = min(methods, key=lambda key: (losses[key], key != HOLD))
    method = methods[name]
    count = method.length or last
    table = method.at(np.arange(count))
    more = ScheduledSGD(1.2 * table[0], Table(table[1]), None if table[2] is None else Table(table[2]))
    answer, louder = predict(problem, method, count, None if own else case.noise), of_schedule(more, count)
    if own:
        # The free optimum was found with constants too: what it is worth, or the best of all that was tried.
        losses[name] = float(answer.loss)
        yardstick = of_schedule(ScheduledSGD(Table(free[0]), Table(free[1]), batch_size), last)
        least = min(yardstick, *(losses[key] for key in methods))
        off = float(answer.noise_error)
    else:
        off = _noise_error(case, SGD(float(tuned["constant"][0](every)[0]), setting.momentum, batch_size), last)
    gaps = {key: over(value, least) for key, value in losses.items()}
    if name == MOVING:
        limit, whose = _smaller_edge(case, SGD(1.0, float(table[1].max()), batch_size))
    found = (method, float(answer.loss), name, averaged, count, free[0], free[1], least)
    return BestSchedule(*found, gaps, louder, limit, whose, share, off, whose_loss)


def _steps(batch_size: int | None, steps: int, samples: float | None) -> int:
    if samples is not None:
        if batch_size is None:
            raise ValueError("samples needs a batch_size to begin with, got None; pass one, or steps alone")
        size = _check.integer("batch_size", batch_size, 1)
        steps = int(_check.positive("samples", samples) // size)
        if steps < 2:
            raise ValueError(f"samples must be two batches at least, got {samples!r} for batches of {size}")
    last = _check.step("steps", steps, 2)
    if last > MOST_STEPS:
        raise ValueError(f"steps must be at most {MOST_STEPS}, got {last}; the shape hardly changes beyond")
    return last


def _glance(case: Case, momentum: float, limit: float, steps: int) -> float:
    """The least excess of a constant and of a linear rate at this momentum, for a choice among momenta."""
    engine = RateGradient(case.problem, case.expressible, momentum, case.gamma, steps, limit).coarser()
    every = np.arange(steps)
    shares = np.geomspace(0.1, 1.0, 5)
    members = [HoldThenLinear(limit * share, hold, steps)(every) for share in shares for hold in (0.0, 1.0)]
    return min(engine.excess(rates) for rates in members)


def _smaller_edge(case: Case, setting: SGD) -> tuple[float, str]:
    """The largest stable rate, by the noise of the answer or the data's own, and whose it is."""
    limit = edge(case.problem, setting, case.noise)
    if case.data is None:
        return limit, NOISE_MODEL
    own = edge(case.problem, setting, case.data.measured_noise)
    return (own, OWN_NOISE) if own < limit else (limit, FITTED_NOISE)


def _noise_error(case: Case, setting: SGD, steps: int) -> float:
    """How far the loss of a constant rate is from that under the data's own noise."""
    if case.data is None:
        return float("nan")
    own, ours = (float(predict(case.data, setting, steps, noise).loss) for noise in ("measured", case.noise))
    return abs(over(ours, own) - 1.0)
