"""How many steps until the loss is reached?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.answers.predict import predict
from genfun.case import Case, NoiseChoice
from genfun.data.linear import LinearData
from genfun.engine.contour_curve import by_contour
from genfun.engine.loss_curve import by_recursion, oscillation_steps
from genfun.engine.scheduled import CHUNK, ScheduledRecursion, least_loss
from genfun.engine.singularity import dominant_singularity
from genfun.engine.unseen import judged_from
from genfun.methods.base import Method
from genfun.problems.problem import Problem
from genfun.schedules.scheduled_sgd import ScheduledSGD
from genfun.softmax.data import SoftmaxData
from genfun.softmax.predict import softmax_steps_to_loss

LAST_STEP = 10**15
FIRST_HORIZON, LAST_SCHEDULED = 512, 10**7
"""Steps of a schedule that are looked at first, and at most."""
FIRST_BLOCK, GROWTH = 256, 4
"""Steps looked at one by one in any case, and how the block grows until nothing oscillates any more."""
STEP_BUDGET, WORK_BUDGET = 2**17, 4e8
"""No more steps, and steps times nodes, are looked at one by one."""
SETTLED = 1e-10
"""Oscillations are over where the contour, which sees the real axis only, agrees with the recursion to this."""
RATIO = 1.25
"""Of the grid of later steps. What is left there are real exponentials, which have no feature narrower in log t than
this except the corner where growth takes over; a corner is a minimum of the grid too, and is searched."""
AT_ONCE = 28
"""Steps of that grid looked at together: late ones cost most, and few targets take them."""
SLACK = 1e-11
"""Relative accuracy of the prediction; a loss reached to this is reached."""
DOUBTFUL = 1e-10
"""Beyond this estimated error of the contour, `predict` chooses the route."""
BEYOND = 1e4
"""A loss that has grown or decayed by exp(BEYOND) is out of the range of doubles, whatever its factor."""
SECTIONS = 24

Curve = Callable[[Int[Array, " t"]], Float[Array, " t"]]


def steps_to_loss(
    problem: Problem | LinearData | SoftmaxData,
    method: Method | ScheduledSGD,
    loss: float,
    noise: NoiseChoice = None,
) -> float:
    r"""The first step at which the mean loss is at or below a target.

    .. math:: K = \min\{t = 0, 1, 2, \dots : E\,L(t) \le \ell\}

    A whole number, as a float so that "never" is inf. The curve need not be monotone: with momentum it oscillates,
    with label noise it may rise to its floor after a minimum, and beyond the stability edge it falls before it grows.

    **Assumptions.** Those of `predict`; the loss includes the label noise sigma^2/2. The target counts as reached at
    1 + 1e-11 times its value, the accuracy of the prediction. Steps are looked at one by one until oscillations have
    faded, at most 131,072; a curve that oscillates beyond is searched on a grid of ratio 1.25, and an earlier, shorter
    visit to the target may be missed there. Steps above 10^15 count as never; under a schedule, which is looked at step
    by step, those above 10^7 or beyond the end of its arrays.

    Parameters
    ----------
    problem : LinearProblem, PowerLaw, LinearData or SoftmaxData
    method : Method or ScheduledSGD
        The setting, e.g. `SGD(0.5, 0.9, 10)`.
    loss : float
        The target, > 0, in units of the loss.
    noise : SpectrallyExpressible, Noise, str or None
        The noise model; "measured", "exact" or "fitted" is that of data. None: the measured noise of data, or
        tau1 = tau2 = 1 for a spectrum.

    Returns
    -------
    float
        K in steps; 0.0 if the initial loss is no larger than the target, inf if it is never reached.

    Raises
    ------
    ValueError
        If loss <= 0 or the batch is larger than the training set.

    References
    ----------
    arXiv 2206.11124, theorem 1; steps against batch size: arXiv 2402.15344.

    Examples
    --------
    >>> import genfun as gf
    >>> problem = gf.PowerLaw(nu=1.5, zeta=0.5)
    >>> steps_to_loss(problem, gf.SGD(0.3, momentum=0.5, batch_size=10), 0.0138295)
    1000.0
    >>> steps_to_loss(problem, gf.SGD(0.6, momentum=0.5, batch_size=1), 0.001)  # diverges before
    inf
    """
    if isinstance(problem, SoftmaxData):
        return softmax_steps_to_loss(problem, method, loss, noise)
    target = _check.positive("loss", loss, "the mean loss never reaches 0; pass a small positive loss")
    scheduled = isinstance(method, ScheduledSGD)
    only = "steps_to_loss under a schedule" if scheduled else ""
    case = Case.of(problem, method, noise, only_expressible=only, knows_options=True, knows_schedules=True)
    if case.initial_loss <= target:
        return 0.0
    if case.explodes or target < case.label_noise:  # the excess loss is a variance, never negative
        return np.inf
    target *= 1.0 + SLACK
    if scheduled:
        return _under_schedule(case, target)
    G = case.transform.excited()
    singular = dominant_singularity(G)
    shift = singular.shift
    fade = oscillation_steps(singular, shift)

    def predicted(steps: Array) -> Array:
        return predict(case.problem, method, steps, case.noise).loss

    def contour(steps: Array) -> Array:
        if G.gamma == 0.0:  # by powers, which cost no more
            return predicted(steps)
        curve = by_contour(G, steps, singular)
        losses = curve.loss.value()
        # A growing mode with hardly any signal yet hides under the rounding of the contour, which is scaled to it.
        doubtful = ~(curve.error <= DOUBTFUL) & (np.abs(shift * steps) < BEYOND)
        if doubtful.any():
            losses[doubtful] = predicted(steps[doubtful])
        return np.where(np.abs(shift * steps) < BEYOND, losses, np.inf if shift > 0.0 else 0.0)

    if getattr(method, "is_uniform", False):
        return _of_average(predicted, target)
    last, seen = FIRST_BLOCK, -1
    while True:
        steps = np.arange(seen + 1, last + 1)
        one_by_one = by_recursion(G, steps, G.turning * float(last)).loss
        below = np.flatnonzero(one_by_one.value() <= target)
        if below.size:
            return float(steps[below[0]])
        check = np.unique(np.linspace(max(0.9 * last, seen + 1), last, 33).astype(np.int64))
        smooth = by_contour(G, check, singular, flat=True).loss
        mismatch = smooth.relative_difference(one_by_one[check - steps[0]]).max()
        level = float(one_by_one[np.array([-1])].log()[0])
        if mismatch <= SETTLED and last >= judged_from(G, float(last), float(np.log(case.initial_loss)), level):
            return _search(contour, last, target)
        longer = int(np.ceil(fade)) if last < fade < GROWTH * last else GROWTH * last
        if longer > min(STEP_BUDGET, WORK_BUDGET / G.stepper(float(longer), longer).size):
            return _search(predicted, last, target)
        last, seen = longer, last


def _of_average(curve: Curve, target: float) -> float:
    """A uniform average: its first block one by one, then as `_search` does; a tail as far as it is followed."""
    below = np.flatnonzero(curve(np.arange(GROWTH**2 * FIRST_BLOCK)) <= target)
    return float(below[0]) if below.size else _search(curve, GROWTH**2 * FIRST_BLOCK - 1, target)


def _under_schedule(case: Case, target: float) -> float:
    """Every step in turn; the nodes serve a horizon, which grows until the target is reached."""
    method: Any = case.method
    most = LAST_SCHEDULED if method.length is None else min(method.length, LAST_SCHEDULED)
    horizon = min(FIRST_HORIZON, most)
    while True:
        # To sum up the rates takes a fortieth of the steps themselves.
        if horizon == FIRST_HORIZON or target >= least_loss(case.problem, method, horizon):
            own = case.scheduled_run(horizon)
            run = ScheduledRecursion(case.problem, method, case.expressible, horizon) if own is None else own
            for start in range(0, horizon + 1, CHUNK):
                losses = run.run(min(start + CHUNK, horizon + 1))[0].value()
                below = np.flatnonzero(losses <= target)
                if below.size:
                    return float(start + below[0])
                if np.isinf(losses[-1]):
                    return np.inf
        if horizon == most:
            return np.inf
        horizon = min(GROWTH**2 * horizon, most)


def _search(curve: Curve, first: int, target: float) -> float:
    """First step > first at or below the target, for a curve that is above it at `first` and smooth in log t."""
    count = int(np.ceil(np.log(LAST_STEP / first) / np.log(RATIO))) + 1
    grid = np.unique(np.rint(np.geomspace(first, LAST_STEP, count)).astype(np.int64))
    losses, below = np.empty(0), np.empty(0)
    for start in range(0, grid.size, AT_ONCE):
        losses = np.append(losses, curve(grid[start : start + AT_ONCE]))
        below = np.flatnonzero(losses <= target)
        if below.size:
            break
    end = int(below[0]) if below.size else grid.size
    with np.errstate(invalid="ignore"):
        fall = losses[:-2] > losses[1:-1] * (1.0 + 1e-9)
        rise = losses[2:] > losses[1:-1] * (1.0 + 1e-9)
    for i in np.flatnonzero(fall & rise) + 1:
        if i >= end:
            break
        low = _lowest(curve, int(grid[i - 1]), int(grid[i + 1]), target)
        if low is not None:
            return _first_below(curve, int(grid[i - 1]), low, target)
    return _first_below(curve, int(grid[end - 1]), int(grid[end]), target) if below.size else np.inf


def _lowest(curve: Curve, left: int, right: int, target: float) -> int | None:
    """A step in (left, right) at or below the target; None if the minimum between them is above it."""
    while True:
        steps = np.unique(np.linspace(left, right, SECTIONS + 1).astype(np.int64))
        losses = curve(steps)
        i = int(np.argmin(losses))
        if losses[i] <= target:
            return int(steps[i])
        left, right = int(steps[max(i - 1, 0)]), int(steps[min(i + 1, steps.size - 1)])
        flat = max(losses[max(i - 1, 0)], losses[min(i + 1, steps.size - 1)]) <= losses[i] * (1.0 + 1e-12)
        if flat or steps.size <= SECTIONS:
            return None


def _first_below(curve: Curve, above: int, below: int, target: float) -> float:
    """The first of (above, below] at or below the target, by multisection."""
    while below - above > 1:
        steps = np.unique(np.linspace(above, below, SECTIONS + 1).astype(np.int64))[1:-1]
        found = np.flatnonzero(curve(steps) <= target)
        if found.size:
            i = int(found[0])
            above, below = int(steps[i - 1]) if i > 0 else above, int(steps[i])
        else:
            above = int(steps[-1])
    return float(below)
