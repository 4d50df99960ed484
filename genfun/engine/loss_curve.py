"""The mean loss at given steps: by recursion, by contour, by powers, and the choice between them."""

from __future__ import annotations

import math

import numpy as np

from genfun._typing import Array, Int
from genfun.engine.contour_curve import EXTENDED_GAIN, LossCurve, best_contour, by_contour, joined
from genfun.engine.doubling import MAX_DIMENSION, dimension, doubled_loss
from genfun.engine.enclosed import encloses, nodes_and_turning
from genfun.engine.fine import is_short
from genfun.engine.generating_function import GeneratingFunction
from genfun.engine.inversion import NODES
from genfun.engine.powers import noiseless_loss
from genfun.engine.recorded_run import OVERHEAD, SingleRecursion
from genfun.engine.singularity import Singularity, dominant_singularity
from genfun.engine.transform import Stepper, Transform
from genfun.engine.unseen import FADED, judged_from, missed
from genfun.problems.problem import LinearProblem
from genfun.scaled import EPS, Scaled

ALWAYS_RECURSION = 256
"""Up to this step the recursion is as cheap as the contour."""
FIRST_CONTOUR_STEP = 32
"""From here on the contour stays inside the strip abs(Im p) < pi."""
PATIENCE, FAR = 4_096, 40_000
"""Oscillations that fade within FAR steps are waited for; else the recursion gives way to squaring the whole map after
PATIENCE steps, if the map is small."""
BRIEF = 1_024
"""So far the recursion goes where the contour encloses what oscillates, if that is less work than to go on."""
NODE_IN_STEPS = 3.5
"""What a node of the contour costs for each mode, in steps in blocks."""
NARROWER = 0.2
"""Modes to be told apart that have turned by an angle: so many times its root those of bins of the usual width."""
COMPARED = 1.25
"""Recursion and contour are compared from the step at which oscillations have faded to this multiple of it."""
MAX_PHASE = 3_000.0
"""Bins are narrowed for oscillations of this length; longer ones show in the disagreement with the contour."""
STEP_BUDGET, WORK_BUDGET = 400_000, 1e8
"""The recursion goes no further than this many steps, and steps times nodes."""
ACCEPT, DOUBTFUL = 1e-11, 1e-8
"""The contour takes over where it and the recursion agree to the first, or to the rounding of one up to the second."""


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
        What stepped; one in extended precision errs less by the ratio of the roundings, and one may know its errors.
    """
    each, usual = EPS * (16.0 + steps), EPS * (16.0 + steps) / G.memory
    own = getattr(run, "errors", None)
    if own is not None:
        return np.maximum(usual, own(steps))
    if not isinstance(G, GeneratingFunction):
        return usual
    gain = 4.0 / EXTENDED_GAIN if getattr(run, "real", None) is np.longdouble else 4.0
    known = gain * EPS * G.conditioning.growth(steps)
    # A long memory by itself does not amplify: in 1,200 random runs this held wherever the bound by the memory did.
    return np.maximum(known, np.minimum(usual, np.maximum(4.0 * each, 3.0 * known)))


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
    reach = math.ceil(max(2 * FIRST_CONTOUR_STEP, COMPARED * fade)) if fade <= FAR else PATIENCE
    if reach > BRIEF and last > PATIENCE and _brief_serves(G, steps, singular, reach, fade):
        reach = BRIEF
    soon = last <= max(ALWAYS_RECURSION, reach)
    phase = G.turning * min(fade, last)
    run = G.stepper(phase if soon else min(phase, MAX_PHASE), int(min(last, STEP_BUDGET)))
    if soon or (
        isinstance(run, SingleRecursion)
        and isinstance(G, GeneratingFunction)
        and run.worth_stepping(last, reach, G.rounding, _contour_in_steps(G, steps, singular, reach, fade))
    ):
        return _stepped(G, run, steps, singular.rate)
    budget = int(min(last, STEP_BUDGET, max(ALWAYS_RECURSION, WORK_BUDGET / run.size)))
    reach = min(reach, budget)
    early = run.losses(reach)
    while True:
        past = COMPARED * fade <= reach
        first = max(0.6 * reach, FIRST_CONTOUR_STEP, fade if past else 0.0)
        check = np.unique(np.linspace(first, reach, 9).astype(np.int64))
        # Near a floor of label noise what has faded beside the start has not beside the loss.
        enclosed = G.problem.noise_variance == 0.0 and encloses(G, steps[steps > reach], singular)
        mismatch = _mismatch(G, check, singular, early, past or not enclosed)
        levels = early[np.array([0, reach])].log()
        representative = reach >= judged_from(G, reach, float(levels[0]), float(levels[1]))
        representative = representative or enclosed
        settled = representative and mismatch <= max(ACCEPT, float(recursion_error(G, np.array([reach]), run)[0]))
        if settled or reach >= budget:
            break
        whole = _squared(G, run, phase, last) if reach >= PATIENCE else None
        if whole is not None:
            doubled = _by_doubling(whole, steps, shift, early, singular)
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


def _brief_serves(G: Transform, steps: Array, singular: Singularity, reach: int, fade: float) -> bool:
    """Whether contours enclose what oscillates from BRIEF on, at less work than the steps from there to `reach`."""
    late = steps[steps > BRIEF]
    if not encloses(G, late, singular):
        return False
    if not isinstance(G, GeneratingFunction):
        return True
    # Recursions follow about half the modes of a long spectrum, which those that hardly move are merged for.
    modes = min(_all_modes(G), np.inf if is_short(G.problem) else G.signal_measure.nodes.size // 2)
    stepped = (min(reach, int(steps[-1])) - BRIEF) * (modes + OVERHEAD)
    return _contour_in_steps(G, steps, singular, BRIEF, fade) <= stepped


def _all_modes(G: GeneratingFunction) -> float:
    """The number of modes of the problem."""
    if isinstance(G.problem, LinearProblem):
        return G.problem.eigenvalues.size
    return getattr(G.problem, "n_modes", None) or np.inf


def _contour_in_steps(G: GeneratingFunction, steps: Array, singular: Singularity, reach: int, fade: float) -> float:
    """Work of the contours about what oscillates beyond `reach`, and where they are compared, in steps times modes."""
    if reach < BRIEF:  # what has faded by then does not turn often
        return 0.0
    short, most, usual, work = is_short(G.problem), _all_modes(G), G.signal_measure.nodes.size, 0.0
    compared = np.array([int(0.6 * reach), reach] if COMPARED * fade > reach else [], dtype=np.int64)
    for at in (compared, steps[steps > reach]):
        if at.size:
            nodes, turned = nodes_and_turning(G, at, singular)
            narrow = most if short else min(most, max(1.0, NARROWER * math.sqrt(turned)) * usual)
            work += nodes * (narrow if turned > 0.0 else usual)
    return NODE_IN_STEPS * work


def _mismatch(G: Transform, check: Array, singular: Singularity, early: Scaled, flat: bool) -> float:
    """By what contour and recursion differ; 0 where that is no more than the contour errs by its own estimate.

    Where later contours leave outside what oscillates (flat), so does this one.
    """
    found = by_contour(G, check, singular, counts=(NODES,), flat=flat).loss.relative_difference(early[check])
    if ACCEPT < found.max() < DOUBTFUL:
        found = np.where(found <= by_contour(G, check, singular, flat=flat).error, 0.0, found)
    return float(found.max())


def _squared(G: Transform, run: Stepper, phase: float, last: int) -> GeneratingFunction | None:
    """What is squared to reach the last step: the modes that have moved by then; None if they are too many."""
    if last > STEP_BUDGET:
        run = G.stepper(min(phase, MAX_PHASE), last)
    return run.function if isinstance(run, SingleRecursion) and dimension(run.function) <= MAX_DIMENSION else None


def _late(
    G: Transform, steps: Array, singular: Singularity, reach: tuple[int, float], mismatch: float, known: bool
) -> LossCurve:
    """By the contour, with what it misses and what the rounding of the rate adds up to in its error."""
    curve = best_contour(G, steps, singular)
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
