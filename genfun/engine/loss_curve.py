"""The mean loss at given steps: by recursion, by contour, by powers, and the choice between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.engine.doubling import MAX_DIMENSION, dimension, doubled_loss
from genfun.engine.enclosed import beside, encloses
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.inversion import FEWER_NODES, NODES, coefficients, windows
from genfun.engine.powers import noiseless_loss
from genfun.engine.recorded_run import SingleRecursion
from genfun.engine.singularity import Singularity, dominant_singularity
from genfun.engine.transform import Stepper, Transform
from genfun.engine.unseen import FADED, judged_from, missed
from genfun.scaled import EPS, Scaled

ALWAYS_RECURSION = 256
"""Up to this step the recursion is as cheap as the contour."""
FIRST_CONTOUR_STEP = 32
"""From here on the contour stays inside the strip abs(Im p) < pi."""
PATIENCE, FAR = 4_096, 40_000
"""Oscillations that fade within FAR steps are waited for; else the recursion gives way to squaring the whole map after
PATIENCE steps, if the map is small."""
BRIEF = 1_024
"""So far the recursion goes where the contour encloses what oscillates."""
MAX_PHASE = 3_000.0
"""Bins are narrowed for oscillations of this length; longer ones show in the disagreement with the contour."""
STEP_BUDGET, WORK_BUDGET = 400_000, 1e8
"""The recursion goes no further than this many steps, and steps times nodes."""
ACCEPT = 1e-11
"""The contour takes over from the recursion where the two agree to this, or to the recursion's own rounding."""
TARGET = 1e-10
"""Beyond this estimated error the contour is repeated in extended precision."""
EXTENDED_GAIN = 1024.0
"""By what rounding is smaller in extended precision, of the 2048 that it has."""
NEAR_FLOOR = 2.0
"""Decay times after which the floor of label noise is taken out: before, the loss may be a small part of it."""


@dataclass(frozen=True)
class LossCurve:
    """Losses at ascending steps, with the estimated relative error of each and the route taken."""

    loss: Scaled
    error: Float[Array, " t"]
    route: str


def joined(parts: list[LossCurve]) -> LossCurve:
    """One curve of consecutive parts."""
    routes = list(dict.fromkeys(part.route for part in parts))
    return LossCurve(
        Scaled.join([part.loss for part in parts]), np.concatenate([part.error for part in parts]), " + ".join(routes)
    )


def oscillation_steps(singular: Singularity, shift: float) -> float:
    """Steps until modes off the real axis have faded to 1e-13 of the loss; inf if they never do."""
    gap = shift - singular.unresolved_rate
    return float(FADED / gap) if gap > 1e-7 else np.inf


def recursion_error(G: Transform, steps: Array, run: Stepper | None = None) -> Array:
    """Rounding of the recursion, measured against extended precision over random problems (see tests).

    Parameters
    ----------
    G : GeneratingFunction
    steps : array, shape (t,)
    run : Stepper, optional
        What stepped; one in extended precision errs less by the ratio of the roundings.
    """
    usual = EPS * (16.0 + steps) / G.memory
    if not isinstance(G, GeneratingFunction):
        return usual
    gain = 4.0 / EXTENDED_GAIN if getattr(run, "real", None) is np.longdouble else 4.0
    return np.maximum(usual, gain * EPS * G.conditioning.growth(steps))


def _dips(found: Scaled, steps: Array, rate: float) -> Array:
    """By what a loss lies below those that follow: where an oscillation passes zero, what is lost is its height."""
    log = found.log() - max(rate, 0.0) * np.arange(found.mantissa.size)
    later = np.maximum.accumulate(log[::-1])[::-1]
    with np.errstate(invalid="ignore", over="ignore"):
        dips = np.exp(np.minimum(later[steps] - log[steps], 700.0))
    return np.nan_to_num(np.maximum(dips, 1.0), nan=1.0)


def lasting(G: Transform, singular: Singularity, steps: Array) -> Array:
    """Steps over which rounding adds up: all of them, or those until label noise has levelled the loss."""
    if G.problem.noise_variance > 0.0 and singular.stable and singular.rate < 0.0:
        return np.minimum(steps, 40.0 / -singular.rate)
    return steps


def by_recursion(G: Transform, steps: Int[Array, " t"], phase: float = 0.0, rate: float = 0.0) -> LossCurve:
    """Every step up to the last, as the reference does.

    Parameters
    ----------
    G : GeneratingFunction
    steps : array, shape (t,)
        Ascending.
    phase : float
        See `Transform.stepper`.
    rate : float
        Growth of the loss in the end; 0 if it does not grow.
    """
    return _stepped(G, G.stepper(phase, int(steps[-1])), steps, rate)


def _stepped(G: Transform, run: Stepper, steps: Int[Array, " t"], rate: float) -> LossCurve:
    last = int(steps[-1])
    # A little further, to see whether the last step is in a dip.
    found = run.losses(last + min(last // 16, 4_000) + 2)
    return LossCurve(found[steps], recursion_error(G, steps, run) * _dips(found, steps, rate), "recursion")


class AboveLimit:
    """The generating function of the loss less its limit: without the pole of label noise at z = 1.

    Parameters
    ----------
    G : Transform
    limit : float
        L(inf).
    """

    def __init__(self, G: Transform, limit: float) -> None:
        self._function, self._limit = G, limit

    def loss(self, q: Array) -> Array:
        """L~ - L(inf)/(1 - z); what rounding leaves of the pole decays with the rest.

        Parameters
        ----------
        q : complex array, shape (k,)
            1 - z.
        """
        return self._function.loss(q) - self._limit / q


def by_contour(
    G: Transform,
    steps: Int[Array, " t"],
    singular: Singularity,
    extended: bool = False,
    counts: tuple[int, ...] = (NODES, FEWER_NODES),
    flat: bool = False,
) -> LossCurve:
    """Contour integration alone, for steps from FIRST_CONTOUR_STEP on.

    A loss that decays towards the floor of label noise would be lost in the rounding of the pole at p = 0, which
    the contour must pass on the right: once the loss has come near, the limit is taken out, and the contour moves left.

    Parameters
    ----------
    G : GeneratingFunction
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
        p_0.
    extended : bool
        Whether to use extended precision.
    counts : tuple of int
        See `genfun.engine.inversion.coefficients`.
    flat : bool
        Whether to leave outside what oscillates: then the loss is the true one only where that has faded.
    """
    apart, limit, rate = near_limit(G, steps, singular)
    parts = [_contour(G, steps[:apart], singular, singular.shift, extended, counts, flat)] if apart else []
    late = steps[apart:]
    return joined([*parts, _contour(G, late, singular, rate, extended, counts, flat, limit)] if late.size else parts)


def near_limit(G: Transform, steps: Array, singular: Singularity) -> tuple[int, float, float]:
    """From which of the steps on the limit is taken out, the limit, and the rate at which the rest decays.

    Parameters
    ----------
    G : Transform
    steps : array, shape (t,)
        Ascending.
    singular : Singularity

    Returns
    -------
    (int, float, float)
        The number of steps, 0 and 0 where the loss does not decay exponentially to a floor of label noise.
    """
    never = (steps.size, 0.0, 0.0)
    if not (G.levels and G.has_limit and singular.stable):
        return never
    rate = G.settling_rate(singular)
    if not rate < 0.0:
        return never
    apart = int(np.searchsorted(steps, NEAR_FLOOR / -rate))
    limit = G.limit() if apart < steps.size else 0.0
    return (apart, limit, rate) if 0.0 < limit < np.inf else never


def _contour(
    G: Transform,
    steps: Array,
    singular: Singularity,
    shift: float,
    extended: bool,
    counts: tuple[int, ...],
    flat: bool,
    limit: float = 0.0,
) -> LossCurve:
    around = None if flat else beside(G, steps, singular)
    last = float(steps[-1])
    # Modes that have turned often by the last step must be told apart.
    function: Any = G.narrowed(last) if around is None else G.resolved(around.turned(steps), last)
    above, times = limit > 0.0, steps.astype(np.float64)
    found = coefficients(
        AboveLimit(function, limit) if above else function,
        times,
        shift,
        extended,
        counts=counts,
        signed=above,
        beside=around,
    )
    power = shift * times
    decay = Scaled.exponential(found.mantissa, power)
    error = np.maximum(found.error, EPS * (300.0 + 4.0 * np.abs(power)))
    if isinstance(G, GeneratingFunction):
        top = int(np.argmax(G.capacity.nodes))
        finer = extended and G.capacity.weights[top] == G.capacity.nodes[top] ** 2
        error = np.maximum(error, EPS / (EXTENDED_GAIN if finer else 1.0) * G.sensitivity.growth(times))
    return above_limit(decay, error, limit, G.floor_error()) if above else LossCurve(decay, error, "contour")


def above_limit(decay: Scaled, error: Array, limit: float, limit_error: float) -> LossCurve:
    """The curve whose distance from a limit is given, and its relative error.

    Parameters
    ----------
    decay : Scaled
        The distance, of either sign.
    error : array, shape (t,)
        Relative, of the distance.
    limit : float
    limit_error : float
        Relative, of the limit.
    """
    loss = decay.plus(limit)
    with np.errstate(invalid="ignore", over="ignore"):
        share = np.exp(Scaled(np.abs(decay.mantissa), decay.exponent).log() - loss.log())
        error = np.where(share > 0.0, share * error, 0.0) + EPS * 16.0 + limit_error
    return LossCurve(loss, np.where(loss.mantissa > 0.0, error, np.inf), "contour")


def by_powers(G: GeneratingFunction, steps: Int[Array, " t"], singular: Singularity) -> LossCurve:
    """Full batch: no noise, every mode on its own.

    Parameters
    ----------
    G : GeneratingFunction
    steps : array, shape (t,)
        Ascending.
    singular : Singularity
    """
    phase = min(G.turning * min(oscillation_steps(singular, singular.rate), float(steps[-1])), MAX_PHASE)
    signal, constant, factor = G.quiet_signal(phase)
    double, error = noiseless_loss(signal, G.method, steps)
    if constant > 0.0:
        total = double.plus(constant)
        with np.errstate(invalid="ignore"):
            share = np.exp(np.minimum(double.log() - total.log(), 0.0))
            error = np.where(share == 0.0, 0.0, share * error) + EPS
        double = total
    return LossCurve(Scaled(factor * double.mantissa, double.exponent), error, "powers")


def automatic(G: Transform, steps: Int[Array, " t"], singular: Singularity | None = None) -> LossCurve:
    """The cheapest sound route for every step; see the module constants for the thresholds.

    The recursion serves the early steps, where it is cheap and exact. The contour takes over at a step where the two
    agree: singularities that the contour does not see fade relative to the loss, so that the disagreement at the
    hand-over bounds the disagreement later. Where they never fade (every mode oscillates), the whole second-moment
    map is squared repeatedly instead, if it is small.

    Parameters
    ----------
    G : GeneratingFunction
    steps : array, shape (t,)
        Ascending, without repeats.
    singular : Singularity, optional
        If known already.
    """
    singular = dominant_singularity(G) if singular is None else singular
    if isinstance(G, GeneratingFunction) and G.gamma == 0.0:
        return by_powers(G, steps, singular)
    known = G.known_curve(steps, singular)
    if known is not None:
        return known
    shift = singular.shift
    last, fade = int(steps[-1]), oscillation_steps(singular, shift)
    reach = int(max(2 * FIRST_CONTOUR_STEP, fade)) if fade <= FAR else PATIENCE
    if reach > BRIEF and last > PATIENCE and encloses(G, steps[steps > BRIEF], singular):
        reach = BRIEF
    soon = last <= max(ALWAYS_RECURSION, reach)
    phase = G.turning * min(fade, last)
    run = G.stepper(phase if soon else min(phase, MAX_PHASE), int(min(last, STEP_BUDGET)))
    if soon or (
        isinstance(run, SingleRecursion) and isinstance(G, GeneratingFunction) and run.worth_stepping(last, G.rounding)
    ):
        return _stepped(G, run, steps, singular.rate)
    budget = int(min(last, STEP_BUDGET, max(ALWAYS_RECURSION, WORK_BUDGET / run.size)))
    reach = min(reach, budget)
    early = run.losses(reach)
    while True:
        check = np.unique(np.linspace(max(0.6 * reach, FIRST_CONTOUR_STEP), reach, 9).astype(np.int64))
        mismatch = float(by_contour(G, check, singular, counts=(NODES,)).loss.relative_difference(early[check]).max())
        levels = early[np.array([0, reach])].log()
        representative = reach >= judged_from(G, reach, float(levels[0]), float(levels[1]))
        representative = representative or encloses(G, steps[steps > reach], singular)
        settled = representative and mismatch <= max(ACCEPT, float(recursion_error(G, np.array([reach]), run)[0]))
        if settled or reach >= budget:
            break
        if reach >= PATIENCE and isinstance(run, SingleRecursion) and dimension(run.function) <= MAX_DIMENSION:
            doubled = _by_doubling(run.function, steps, shift, early, singular)
            # Once what the contour does not see has faded it serves, if that is why the two disagreed.
            faded = steps > max(fade, reach)
            if fade < reach or not faded.any():
                return doubled
            late = _late(G, steps[faded], singular, (reach, float(levels[1])), 1.0, False)
            return _better(doubled, late, faded)
        reach = min(2 * reach, budget)
        early = Scaled.join([early, run.losses(reach)])
    soon, late = steps[steps <= reach], steps[steps > reach]
    parts = []
    if soon.size:
        error = recursion_error(G, soon, run) * _dips(early, soon, singular.rate)
        parts.append(LossCurve(early[soon], error, "recursion"))
    if late.size:
        parts.append(_late(G, late, singular, (reach, float(levels[1])), mismatch, representative))
    return joined(parts)


def _late(
    G: Transform, steps: Array, singular: Singularity, reach: tuple[int, float], mismatch: float, known: bool
) -> LossCurve:
    """By the contour, with what it misses and what the rounding of the rate adds up to in its error."""
    curve = _best_contour(G, steps, singular)
    drift = singular.rate_error * lasting(G, singular, steps)
    unseen = missed(curve.loss.log(), steps, reach, mismatch, singular.unresolved_rate, known)
    return LossCurve(curve.loss, np.maximum(curve.error, unseen) + drift, curve.route)


def _better(curve: LossCurve, other: LossCurve, where: Array) -> LossCurve:
    """The curve, but the other one at those of the steps where that errs less."""
    mantissa, exponent, error = (np.array(x) for x in (curve.loss.mantissa, curve.loss.exponent, curve.error))
    taken = other.error < error[where]
    index = np.flatnonzero(where)[taken]
    mantissa[index], exponent[index] = other.loss.mantissa[taken], other.loss.exponent[taken]
    error[index] = other.error[taken]
    return LossCurve(Scaled(mantissa, exponent), error, curve.route + (" + contour" if index.size else ""))


def _by_doubling(G: GeneratingFunction, steps: Array, shift: float, early: Scaled, singular: Singularity) -> LossCurve:
    """The recursion as far as it went, then squaring; their disagreement grows with the step."""
    reach = early.mantissa.size - 1
    soon, late = steps[steps <= reach], steps[steps > reach]
    check = np.linspace(0.5 * reach, reach, 9).astype(np.int64)
    doubled = doubled_loss(G, np.concatenate((check, late)), shift)
    mismatch = doubled[:9].relative_difference(early[check]).max()
    age = lasting(G, singular, late)
    error = recursion_error(G, age) + mismatch * np.maximum(age, reach) / reach
    # Far beyond the edge the powers over- or underflow: what is left is the late rate, from the last known loss.
    onward = Scaled.exponential(np.full(late.size, early.mantissa[-1]), shift * (late - reach).astype(np.float64))
    lost = ~(np.isfinite(doubled.mantissa[9:]) & (doubled.mantissa[9:] > 0.0))
    found = Scaled(
        np.where(lost, onward.mantissa, doubled.mantissa[9:]),
        np.where(lost, onward.exponent + early.exponent[-1], doubled.exponent[9:]),
    )
    error_soon = recursion_error(G, soon) * _dips(early, soon, singular.rate)
    parts = [LossCurve(early[soon], error_soon, "recursion")] if soon.size else []
    return joined([*parts, LossCurve(found, np.where(lost, np.inf, error), "doubling")])


def _best_contour(G: Transform, steps: Array, singular: Singularity) -> LossCurve:
    """The contour, repeated in extended precision in the windows where rounding shows."""
    curve = by_contour(G, steps, singular)
    parts = []
    for window in windows(steps.astype(np.float64)):
        part = LossCurve(curve.loss[window], curve.error[window], "contour")
        if part.error.max() > TARGET:
            again = by_contour(G, steps[window], singular, extended=True)
            part = again if again.error.max() < part.error.max() else part
        parts.append(part)
    return joined(parts)
